"""Parameters of URLs and fields of forms: typed, bounded, and refused by name if unknown."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

from flask import Request
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StringConstraints,
)
from pydantic_core import from_json
from werkzeug.datastructures import MultiDict

from api.requests.validation import Fault, Invalid, validated
from api.responses.problems import invalid
from shared.models.change import Outcome
from shared.models.job import JobState
from shared.models.product import Category
from shared.models.version import MAX_VERSION, not_ahead

MAX_WAIT_SECONDS: Final = 30
"""Longer waits belong to polling; proxies cut connections at about twice this."""

# Python's own readers would also take 5_0, +5, 1e1, white space and the digits of other scripts.
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,400}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?")

M = TypeVar("M", bound=BaseModel)

Wait = Annotated[
    StrictFloat,
    Field(
        ge=0,
        le=MAX_WAIT_SECONDS,
        allow_inf_nan=False,
        description="Seconds to wait for the end, at most 30; 0 is not to wait.",
    ),
]
Cursor = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Field(description="`next_cursor` of the page before."),
]

Limit = Annotated[StrictInt, Field(ge=1, le=100, description="Entries in a page.")]
Refetch = Annotated[
    bool,
    Field(description="Fetches and embeds each picture, also if nothing says that it changed."),
]


class Parameters(BaseModel):
    """Base of all sets of parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParameters(Parameters):
    """For calls that take none."""


class WaitParameters(Parameters):
    """Of calls that can wait for a job."""

    wait: Wait | None = None


class BatchParameters(Parameters):
    """Of indexing many products."""

    refetch: Refetch = False


class IndexParameters(WaitParameters, BatchParameters):
    """Of indexing one product."""


class DeleteParameters(WaitParameters):
    """Of a delete."""

    version: (
        Annotated[
            StrictInt,
            Field(ge=0, le=MAX_VERSION, description="The shop's own version of this change."),
            AfterValidator(not_ahead),
        ]
        | None
    ) = None


class ProductParameters(Parameters):
    """Of reading one product."""

    include: (
        Annotated[Literal["embedding"], Field(description="Adds the picture's vector.")] | None
    ) = None


class ListParameters(Parameters):
    """Of listing products."""

    limit: Limit = 20
    cursor: Cursor | None = None
    category: Category | None = None


class ItemsParameters(Parameters):
    """Of listing a job's items."""

    status: Annotated[Outcome, Field(description="Only items with this outcome.")] | None = None
    limit: (
        Annotated[
            StrictInt,
            Field(ge=1, le=1000, description="Items in a page; without it 100, as lines all."),
        ]
        | None
    ) = None
    cursor: Cursor | None = None


class JobsParameters(Parameters):
    """Of listing jobs."""

    state: Annotated[JobState, Field(description="Only jobs in this state.")] | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


def read_parameters(model: type[M], request: Request) -> M:
    """The request's parameters. Raises a 422 problem."""
    check_once(request.args, except_for=lists(model))
    try:
        return validated(model, read_texts(model, request.args))
    except Invalid as err:
        raise invalid(err.faults) from err


def read_texts(model: type[BaseModel], texts: "MultiDict[str, str]") -> dict[str, Any]:
    """The texts of a URL or a form with the types that the model's JSON document has.

    Known fields that are empty are left out, because forms send fields that nobody filled in. A
    text that is not of its field's type stays as it is, and the model refuses it. A list's members
    come one by one under the list's name.
    """
    kinds = _kinds(model)
    read: dict[str, Any] = {}
    for name, given in texts.lists():
        of_field = kinds.get(name, frozenset())
        filled = [text for text in given if text or name not in kinds]
        if "array" in of_field and filled:
            read[name] = filled
        elif filled:
            read[name] = _typed(filled[0], of_field)
    return read


def lists(model: type[BaseModel]) -> Set[str]:
    """The fields that may have several values."""
    return {name for name, kinds in _kinds(model).items() if "array" in kinds}


@lru_cache
def _kinds(model: type[BaseModel]) -> Mapping[str, Set[str]]:
    """JSON's types of each field."""
    properties = model.model_json_schema()["properties"]
    return {name: frozenset(_types(schema)) for name, schema in properties.items()}


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    yield schema.get("type", "")
    for choice in schema.get("anyOf", []):
        yield from _types(choice)


def _typed(text: str, kinds: Set[str]) -> object:
    if "integer" in kinds and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if "number" in kinds and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if "boolean" in kinds and text in ("true", "false"):
        return text == "true"
    if "object" in kinds:
        with contextlib.suppress(ValueError):
            return from_json(text, allow_inf_nan=False)
    return text


def check_once(*given: "MultiDict[str, Any]", except_for: Set[str] = frozenset()) -> None:
    """Raises a 422 problem for every name that comes more than once but those of lists."""
    names = [name for fields in given for name, _ in fields.items(multi=True)]
    repeated = [
        Fault(field=name, code="repeated", message="must be given once")
        for name, times in Counter(names).items()
        if times > 1 and name not in except_for
    ]
    if repeated:
        raise invalid(repeated)
