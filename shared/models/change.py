"""A change a shop asks for, and what becomes of it."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from pydantic_core import to_json

from shared.errors import REMARKS
from shared.models.product import Product


class Lane(StrEnum):
    """Where a change waits. Each lane is one Celery queue of the same name."""

    FAST = "fast"
    """Needs no model: patches and deletes."""
    SINGLE = "single"
    """Products pushed one by one; taken before bulk ones."""
    BULK = "bulk"
    """Products pushed by the thousand."""


class Kind(StrEnum):
    """The kind of a product's wanted state."""

    PUT = "put"
    DELETE = "delete"
    DELTA = "delta"
    """Some fields of a product that is live; the rest stays as the index holds it."""


class Outcome(StrEnum):
    """How an item of a job ended, or that it hasn't."""

    PENDING = "pending"
    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    STALE = "stale"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class Aspect(StrEnum):
    """A part of the index that answers depend on. Each has a generation of its own per tenant."""

    MEMBERSHIP = "membership"
    """Which products there are, and their vectors."""
    CATEGORY = "category"
    BRAND = "brand"
    AVAILABILITY = "availability"
    PRICE = "price"
    """The price that the shopper pays, and the price without a sale."""
    ATTRIBUTES = "attributes"
    SHOWN = "shown"
    """Fields that no filter looks at."""


class State(StrEnum):
    """The state of a product in the index."""

    ABSENT = "absent"
    LIVE = "live"
    DELETED = "deleted"


EVERYTHING = frozenset(Aspect)


@dataclass(frozen=True, slots=True)
class Change:
    """One accepted item. `position` is its place in the request, from 0."""

    position: int
    product_id: str
    kind: Kind
    version: int | None = None
    body: str = ""
    """The product as JSON for a put, a merge patch for a delta, empty for a delete."""
    refetch: bool = False
    """Whether a put's picture is fetched and embedded although nothing says that it changed."""

    @classmethod
    def put(cls, product: Product, position: int = 0, refetch: bool = False) -> "Change":
        """The wish that the index hold this product."""
        body = product.model_dump_json(exclude_none=True)
        return cls(position, product.id, Kind.PUT, product.version, body, refetch)

    @classmethod
    def delete(cls, product_id: str, version: int | None = None) -> "Change":
        """The wish that the index hold no such product."""
        return cls(0, product_id, Kind.DELETE, version)

    @classmethod
    def patch(cls, product_id: str, fields: Mapping[str, object]) -> "Change":
        """The wish that these fields change; None removes one."""
        return cls(0, product_id, Kind.DELTA, None, to_json(fields).decode())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Patches that fail by themselves, while what they were lined up with goes on."""

    places: Sequence[int]
    """In the deltas, counted back from the last one, which is 1."""
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A product's wanted state as handed to a worker under a lease."""

    tenant: str
    product_id: str
    rev: int
    """Microseconds since 1970, rising with every accepted change of the product."""
    kind: Kind
    body: str
    """The product as JSON for a put, else empty."""
    deltas: Sequence[str]
    """Merge patches as JSON, to be applied in this order to the body or to the indexed product."""
    version: int | None
    """The shop's own version of the product, the highest accepted."""
    attempts: int
    """Attempts that have already failed through the item's own fault."""
    request_id: str
    """The request that asked for it, for the log."""
    sole_writer: bool
    """Whether nobody else can have written this product since its last change landed, so that
    what the index holds is what searches were last told of."""
    refetch: bool = False
    """Whether the picture is fetched and embedded although nothing says that it changed."""
    last_fault: str = ""
    """The code that the last attempt ended with, if it is to be tried again."""
    picture_wait: float = 0.0
    """Seconds until the picture may be asked for again. Its fields don't wait."""
    suspect: bool = False
    """Whether its lease was lost before: its worker may have died of it. Then nothing else is
    decoded or embedded in this process beside it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Products leased to one task. `more` tells that others may be due too."""

    token: str
    wanted: Sequence[Wanted]
    more: bool


class Verdict(StrEnum):
    """A worker's verdict on a wanted state that has not landed yet."""

    RETRY = "retry"
    """Try again after the delay; counts as an attempt."""
    RELEASE = "release"
    """Give it back after the delay; not its fault, so nothing is counted."""
    SHOWN = "shown"
    """Its fields are in the index, its picture is still in work: nothing is given back."""


@dataclass(frozen=True, slots=True)
class Report:
    """The end of one wanted state, or its next step; `rev` tells which state."""

    tenant: str
    product_id: str
    rev: int
    result: Outcome | Verdict
    code: str = ""
    message: str = ""
    retryable: bool = False
    delay_seconds: float = 0.0
    changed: Set[Aspect] = frozenset()
    """The aspects that searches must look at anew."""
    found: State | None = None
    """The product's state in the index when the change failed."""
    refusal: Refusal | None = None
    """Patches among what was wanted that fail, however the rest ends."""
    picture_waits: bool = False
    """Whether the delay is for the picture's sake: fields that come meanwhile don't wait for it."""
    more_codes: Sequence[str] = ()
    """Codes of further warnings, beside `code`; `message` is of all."""

    @property
    def is_incomplete(self) -> bool:
        """Whether it has failed, or landed without its picture, so that it may be sent again."""
        return self.result is Outcome.FAILED or (self.code != "" and self.code not in REMARKS)
