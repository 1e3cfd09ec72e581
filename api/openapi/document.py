"""The OpenAPI document, made from the models that the views themselves use."""

from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from api.openapi.operations import OPERATIONS
from api.openapi.parts import (
    ANSWERS,
    BODIES,
    BOUNDS,
    REFERENCE,
    Json,
    Operation,
    ProblemAnswer,
    reference,
)
from api.responses.problems import MEDIA_TYPE

_Schema = tuple[type, Literal["validation", "serialization"], TypeAdapter[Any]]


def document(*, keys_needed: bool) -> Json:
    """The OpenAPI 3.1 document. `keys_needed` tells whether this process asks for keys."""
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        entry = _operation(operation, keys_needed=keys_needed)
        paths.setdefault(operation.path, {})[operation.method] = entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vitrine",
            "version": "1",
            "description": "Visual product search for shops. Paths outside of /api/v1 are found "
            "under it too; probes should use them as they stand here.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(operation: Operation, *, keys_needed: bool) -> Json:
    answers = {str(status): answer for status, answer in operation.answers.items()}
    # Any URL may be no UTF-8.
    problems = {*operation.problems, HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR}
    if not operation.open:
        problems.add(HTTPStatus.TOO_MANY_REQUESTS)
    if not keys_needed:
        problems.add(HTTPStatus.FORBIDDEN)  # under another name than this machine's
    for status in sorted(problems):
        answers[str(int(status))] = _problem(status)
    entry: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*operation.extra_parameters, *_query(operation.parameters)],
        "responses": answers,
    }
    if operation.body is not None:
        entry["requestBody"] = {"required": True, "content": operation.body}
    if keys_needed and not operation.open:
        entry["security"] = [{"bearer": []}, {"apiKey": []}]
    return entry


def _problem(status: int) -> Json:
    answer: Json = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": reference(ProblemAnswer)}},
    }
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        answer["headers"] = {"Retry-After": seconds}
    return answer


def _query(model: type[BaseModel] | None) -> list[Json]:
    """A model's fields as query parameters, each with a schema of its own."""
    if model is None:
        return []
    parameters = []
    for name, info in model.model_fields.items():
        adapter: TypeAdapter[Any] = TypeAdapter(info.rebuild_annotation())
        schema = adapter.json_schema(ref_template=REFERENCE)
        # What it refers to stands among the components.
        schema.pop("$defs", None)
        # An absent parameter is no `null`.
        kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
        for kind in kinds:
            schema.update(kind)
        if info.default is not None:
            schema["default"] = info.default
        parameters.append({"name": name, "in": "query", "schema": schema})
    return parameters


def _schemas() -> Json:
    # As sent for bodies, as answered for answers: defaults are optional in one, present in the
    # other.
    inputs: list[_Schema] = [(body, "validation", TypeAdapter(body)) for body in BODIES]
    outputs: list[_Schema] = [(answer, "serialization", TypeAdapter(answer)) for answer in ANSWERS]
    _, definitions = TypeAdapter.json_schemas([*inputs, *outputs], ref_template=REFERENCE)
    schemas: Json = _standard(definitions["$defs"])
    return schemas


def _standard(schema: Any) -> Any:
    """The schema with JSON Schema's names for bounds that pydantic leaves under its own."""
    if isinstance(schema, list):
        return [_standard(part) for part in schema]
    if isinstance(schema, dict):
        return {BOUNDS.get(name, name): _standard(part) for name, part in schema.items()}
    return schema
