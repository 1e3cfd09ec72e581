"""A view's part of the OpenAPI document stands at the view: its decorator and its docstring."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from flask import Blueprint, Response
from pydantic import BaseModel

from api.requests.bodies import JSON, NDJSON

Json = dict[str, Any]
View = TypeVar("View", bound=Callable[..., Response])

_MARK: Final = "operation"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, and the decorator of its view.

    The first line of the view's docstring is the summary, the rest the description. In `answers`
    and `body` a type stands for its schema. The statuses that follow from the other fields are not
    among `problems`.
    """

    method: str
    rule: str
    """The path as Flask takes it, without the version's prefix."""
    answers: Mapping[int, Json]
    parameters: type[BaseModel] | None = None
    """Of the query."""
    in_path: Mapping[str, Json] = field(default_factory=dict)
    """Description and example of each parameter of the path."""
    body: Json | None = None
    """By media type."""
    problems: Sequence[int] = ()
    is_write: bool = False
    """Whether it takes an Idempotency-Key, and counts against the limit of writes."""
    is_open: bool = False
    """Whether it asks for no key."""
    is_hidden: bool = False
    """Whether the document leaves it out."""

    def __call__(self, view: View) -> View:
        """Marks the view."""
        setattr(view, _MARK, self)
        return view


def operation_of(view: object) -> Operation | None:
    """The view's operation; None if it has none."""
    return getattr(view, _MARK, None)


def routes_of(resource: object) -> Blueprint:
    """The resource's views at their paths. Its class will do if they are only to be described."""
    owner = resource if isinstance(resource, type) else type(resource)
    name = owner.__name__.removesuffix("Resource").lower()
    blueprint = Blueprint(name, owner.__module__)
    for attribute, value in vars(owner).items():
        if operation := operation_of(value):
            view = getattr(resource, attribute)
            blueprint.add_url_rule(operation.rule, attribute, view, methods=[operation.method])
    return blueprint


def template(rule: str) -> str:
    """A path of Flask's as OpenAPI writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def json_answer(description: str, schema: type) -> Json:
    """An answer in JSON."""
    return {"description": description, "content": {JSON: {"schema": schema}}}


def text_answer(description: str, media_type: str) -> Json:
    """An answer in text."""
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def accepted(schema: type) -> Json:
    """202: a change that waits for a worker."""
    location = {"description": "The path of the job.", "schema": {"type": "string"}}
    return {
        **json_answer("The change is kept, and a job will make it.", schema),
        "headers": {"Location": location},
    }


LINES: Final[Json] = {
    NDJSON: {"schema": {"type": "string", "description": "One JSON object per line."}}
}
