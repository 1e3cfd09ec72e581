"""A search and its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.models.product import Category, Price

MAX_TOP_K: Final = 100


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must hold more than white space")
    return text


class Filters(BaseModel):
    """Conditions that every result meets; absent means any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category_filter: Category | None = None
    price_min: Price | None = None
    price_max: Price | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "Filters":
        low, high = self.price_min, self.price_max
        if low is not None and high is not None and low > high:
            raise PydanticCustomError("price_range", "price_min must not be above price_max")
        return self


class SearchRequest(Filters):
    """What a shopper looks for. Unknown fields are refused by name."""

    text_query: Annotated[
        StrictStr, Field(min_length=1, max_length=1000), AfterValidator(_not_blank)
    ]
    top_k: Annotated[StrictInt, Field(ge=1, le=MAX_TOP_K)] = 10

    def normalised_text(self) -> str:
        """The text with runs of white space folded: the same vector in every tokenizer."""
        return " ".join(self.text_query.split())


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: the product's public fields and the plain cosine of the two vectors."""

    product_id: str
    score: float
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Results in falling order of similarity; `cached` tells whether they came from Redis."""

    query_type: str
    top_k: int
    results: Sequence[Mapping[str, object]]
    execution_time_ms: float
    cached: bool
