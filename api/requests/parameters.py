"""Query parameters: typed, bounded, and refused by name if unknown."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from flask import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from werkzeug.datastructures import MultiDict

from api.requests.validation import Fault, Invalid, validated
from api.responses.problems import invalid
from shared.models.change import Outcome
from shared.models.job import JobState
from shared.models.product import Category
from shared.models.version import MAX_VERSION, not_ahead

MAX_WAIT_SECONDS: Final = 30
"""Longer waits belong to polling; proxies cut connections at about twice this."""

M = TypeVar("M", bound=BaseModel)

Wait = Annotated[
    float,
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
            int,
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

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None
    category: Category | None = None


class ItemsParameters(Parameters):
    """Of listing a job's items."""

    status: Annotated[Outcome, Field(description="Only items with this outcome.")] | None = None
    limit: (
        Annotated[
            int, Field(ge=1, le=1000, description="Without it 100; as lines all that there are.")
        ]
        | None
    ) = None
    cursor: Cursor | None = None


class JobsParameters(Parameters):
    """Of listing jobs."""

    state: Annotated[JobState, Field(description="Only jobs in this state.")] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None


def read_parameters(model: type[M], request: Request) -> M:
    """The request's parameters. Raises a 422 problem."""
    check_once(request.args)
    try:
        return validated(model, without_empty(request.args, model.model_fields))
    except Invalid as err:
        raise invalid(err.faults) from err


def without_empty(texts: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """The texts of a URL or a form but for the known ones that are empty: forms send a field that
    nobody filled in, and an empty text is no value of any of ours."""
    return {name: text for name, text in texts.items() if text or name not in known}


def check_once(*given: "MultiDict[str, Any]") -> None:
    """Raises a 422 problem for every name that comes more than once."""
    names = [name for fields in given for name, _ in fields.items(multi=True)]
    repeated = [
        Fault(field=name, code="repeated", message="must be given once")
        for name, times in Counter(names).items()
        if times > 1
    ]
    if repeated:
        raise invalid(repeated)
