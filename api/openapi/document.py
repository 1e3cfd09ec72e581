"""The OpenAPI document: an app's routes, the operations at their views, and their models."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Literal

from flask import Flask
from pydantic import BaseModel, TypeAdapter
from werkzeug.routing import Rule

from api.openapi.describe import Json, Operation, operation_of, template
from api.requests.bodies import JSON
from api.responses.answers import PREFIX
from api.responses.problem_answer import ProblemAnswer
from api.responses.problems import MEDIA_TYPE

_REFERENCE: Final = "#/components/schemas/{model}"

_BOUNDS: Final = {"ge": "minimum", "le": "maximum"}
"""Pydantic has no JSON Schema for bounds on a union, such as that of a price."""

_DESCRIPTION: Final = """\
Visual product search for shops: push a catalogue, search it by words or by picture.

Every change is answered with 202 and a job; `?wait=10` waits for its end. Errors are
`application/problem+json` with a stable `code`. Paths outside of /api/v1 are found under it, too;
probes should use them as they stand here."""

_IDEMPOTENCY_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Any text that stands for this one change. Sent again with the same key and "
    "body, the change is made once, and the answer names the same job; another body gets 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_CONTENT_ENCODING: Final[Json] = {
    "name": "Content-Encoding",
    "in": "header",
    "description": "`gzip` if the body is packed so.",
    "schema": {"type": "string", "enum": ["gzip", "identity"]},
}

_PROBLEMS: Final[Mapping[int, str]] = {
    400: "The URL or the body can't be read: it is not UTF-8, not JSON, or cut short.",
    401: "The key is missing or unknown. Send `Authorization: Bearer …`.",
    403: "Without keys only programs on this machine are served, under this machine's name.",
    404: "There is no such product or job.",
    409: "The Idempotency-Key stands for another request, or the job can't be retried now.",
    413: "The body is too large.",
    415: "The Content-Type or the Content-Encoding is none of those listed.",
    422: "A field or parameter is wrong; `errors` names each of them.",
    429: "The caller's rate limit is used up. Wait as `Retry-After` says.",
    500: "An error on our side, which was logged under `request_id`.",
    503: "A part of the service doesn't answer now. Wait as `Retry-After` says, then send again.",
}


class Undescribed(Exception):
    """A view without an `Operation`."""


def document(app: Flask, *, keys_needed: bool) -> Json:
    """The OpenAPI 3.1 document of the app's routes. `keys_needed`: whether it asks for keys.

    Raises `Undescribed`.
    """
    paths: dict[str, Json] = {}
    bodies: dict[type, None] = {}
    answers: dict[type, None] = {ProblemAnswer: None}
    for rule, view, operation in _operations(app):
        entry = _entry(rule, view, operation, keys_needed=keys_needed)
        if operation.body is not None:
            content = _with_references(operation.body, bodies)
            entry["requestBody"] = {"required": True, "content": content}
        entry["responses"] = _with_references(entry["responses"], answers)
        paths.setdefault(template(rule.rule), {})[operation.method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {"title": "Vitrine", "version": "1", "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": _schemas(tuple(bodies), tuple(answers)),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operations(app: Flask) -> Iterator[tuple[Rule, Any, Operation]]:
    rules = list(app.url_map.iter_rules())
    paths = {rule.rule for rule in rules}
    for rule in rules:
        view = app.view_functions[rule.endpoint]
        operation = operation_of(view)
        if operation is None:
            raise Undescribed(f"{rule.endpoint} at {rule.rule}: the view needs an @Operation")
        # Open paths are found at the root and below the prefix; one of the two will do.
        is_twin = rule.rule.removeprefix(PREFIX) in paths - {rule.rule}
        if not (operation.is_hidden or is_twin):
            yield rule, view, operation


def _entry(rule: Rule, view: Any, operation: Operation, *, keys_needed: bool) -> Json:
    resource, _, name = rule.endpoint.rpartition(".")
    summary, _, description = (inspect.getdoc(view) or "").partition("\n")
    first, *others = name.split("_")
    entry: Json = {
        "operationId": first + "".join(map(str.capitalize, others)),
        "summary": summary.strip().removesuffix("."),
        "tags": [resource.capitalize()],
        "parameters": list(_parameters(rule, operation)),
        "responses": {str(status): answer for status, answer in operation.answers.items()},
    }
    if description.strip():
        entry["description"] = description.strip()
    for status in sorted(_statuses(operation, keys_needed=keys_needed)):
        entry["responses"][str(status)] = _problem(status)
    if keys_needed and not operation.is_open:
        entry["security"] = [{"bearer": []}, {"apiKey": []}]
    return entry


def _statuses(operation: Operation, *, keys_needed: bool) -> set[int]:
    """The problems that the operation may be answered with. Any URL may be no UTF-8."""
    statuses = {400, 500, *operation.problems}
    if not operation.is_open:
        statuses |= {401, 422, 429, 503}
    if operation.body is not None:
        statuses |= {413, 415}
    if operation.is_write:
        statuses.add(409)
    if not keys_needed:
        statuses.add(403)
    return statuses


def _problem(status: int) -> Json:
    answer = {
        "description": _PROBLEMS[status],
        "content": {MEDIA_TYPE: {"schema": ProblemAnswer}},
    }
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": seconds}
    return answer


def _parameters(rule: Rule, operation: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", template(rule.rule)):
        more = operation.in_path.get(name, {})
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, **more}
    if operation.is_write:
        yield _IDEMPOTENCY_KEY
    if operation.body is not None:
        yield _CONTENT_ENCODING
    if operation.parameters is not None:
        for name, field in text_fields(operation.parameters).items():
            yield _in_query(name, field, operation.parameters)


def _in_query(name: str, field: Json, model: type[BaseModel]) -> Json:
    schema = dict(field)
    parameter: Json = {"name": name, "in": "query"}
    if model.model_fields[name].is_required():
        parameter["required"] = True
    if description := schema.pop("description", None):
        parameter["description"] = description
    if examples := schema.pop("examples", None):
        parameter["example"] = examples[0]
    if schema.get("type") == "object":
        return {**parameter, "content": {JSON: {"schema": schema, "example": {}}}}
    return {**parameter, "schema": schema}


@lru_cache
def text_fields(model: type[BaseModel]) -> Mapping[str, Json]:
    """The schemas of a model's fields in a URL or a form, in which null is written by absence."""
    fields = {}
    for name, described in model.model_json_schema(ref_template=_REFERENCE)["properties"].items():
        schema = _standard(described)
        while kinds := schema.pop("anyOf", None):
            # A list comes as its members, and so a lone value is a list of one.
            of_lists = [kind for kind in kinds if kind.get("type") == "array"]
            for kind in of_lists or kinds:
                schema.update(kind if kind != {"type": "null"} else {})
        hidden = {"title"} if schema.get("default") is not None else {"title", "default"}
        fields[name] = {key: value for key, value in schema.items() if key not in hidden}
    return fields


def _with_references(part: Any, found: dict[type, None]) -> Any:
    """The part of the document with references in the place of types, which are noted."""
    if isinstance(part, type):
        found[part] = None
        return {"$ref": _REFERENCE.format(model=part.__name__)}
    if isinstance(part, dict):
        return {name: _with_references(value, found) for name, value in part.items()}
    return part


_Schema = tuple[type, Literal["validation", "serialization"], TypeAdapter[Any]]


@lru_cache
def _schemas(bodies: Sequence[type], answers: Sequence[type]) -> Json:
    # As sent for bodies, as answered for answers: defaults are optional in one, present in the
    # other.
    inputs: list[_Schema] = [(body, "validation", TypeAdapter(body)) for body in bodies]
    outputs: list[_Schema] = [(answer, "serialization", TypeAdapter(answer)) for answer in answers]
    _, definitions = TypeAdapter.json_schemas([*inputs, *outputs], ref_template=_REFERENCE)
    schemas: Json = _standard(definitions["$defs"])
    return schemas


def _standard(schema: Any) -> Any:
    """The schema with JSON Schema's names for bounds that pydantic leaves under its own. The
    description of a choice's member becomes that of the choice, because pages show that one."""
    if isinstance(schema, list):
        return [_standard(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    standard = {_BOUNDS.get(name, name): _standard(part) for name, part in schema.items()}
    for choice in standard.get("anyOf", []):
        if description := choice.pop("description", None):
            standard.setdefault("description", description)
    return standard
