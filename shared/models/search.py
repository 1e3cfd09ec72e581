"""A search and its answer."""

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictBytes,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.models.attributes import unfilterable
from shared.models.product import (
    AttributeName,
    Category,
    ImageUrl,
    Price,
    ProductId,
)
from shared.models.terms import attribute_term, field_term, sorted_terms, terms_of
from shared.models.version import MAX_VERSION

MAX_TOP_K: Final = 100
MAX_OFFSET: Final = 1000
MAX_PICTURE_BYTES: Final = 10 * 2**20
"""Of a picture sent with the query; one that is fetched may have as many as a product's."""

SCORE_DIGITS: Final = 6
"""Of a cosine that is shown: its seventh depends on the order in which a server adds up."""

_MAX_FILTER_VALUES: Final = 64

QueryType = Literal["text", "image", "product", "mixed"]
AttributeScalar = str | bool | int | float


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must hold more than white space")
    return text


def _nameable(name: str) -> str:
    if fault := unfilterable(name):
        raise fault
    return name


def _values(given: object) -> tuple[AttributeScalar, ...]:
    """The values of which an attribute must have one: a lone value, or a list of them."""
    values = given if isinstance(given, list | tuple) else [given]
    if not 1 <= len(values) <= _MAX_FILTER_VALUES:
        raise PydanticCustomError(
            "value_count", f"must be a value, or a list of 1 to {_MAX_FILTER_VALUES} values"
        )
    return tuple(_scalar(value) for value in values)


def _scalar(value: object) -> AttributeScalar:
    if isinstance(value, str) and len(value) <= 1024:
        return value
    # JSON's numbers are finite here already; larger ones than these are no product's.
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) <= MAX_VERSION):
        return value
    raise PydanticCustomError(
        "attribute_type",
        "must be a string of up to 1,024 characters, a number within ±(2^53 − 1), a boolean, or a "
        "list of those",
    )


def _decoded(value: object) -> object:
    """The bytes that standard base64 stands for (RFC 4648, section 4), read strictly."""
    if not isinstance(value, str):
        return value
    if value.startswith("data:"):
        raise PydanticCustomError(
            "base64_data_url", "must be base64 alone: leave out what stands before the comma"
        )
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as err:
        raise PydanticCustomError(
            "base64_invalid",
            "must be standard base64 with its padding, without line breaks or other characters",
        ) from err


_JsonValue = StrictStr | StrictBool | StrictInt | StrictFloat
_Values = Annotated[
    tuple[AttributeScalar, ...],
    BeforeValidator(_values, json_schema_input_type=_JsonValue | list[_JsonValue]),
    Field(strict=True),
]
_FilterName = Annotated[AttributeName, AfterValidator(_nameable)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=1000), AfterValidator(_not_blank)]
PictureBytes = Annotated[
    StrictBytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class Filters(BaseModel):
    """Conditions that every result meets; absent means any."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    category_filter: Category | None = None
    """The category of all results, compared without case and accents."""
    price_min: Price | None = None
    """The lowest price. Products without a price are then left out."""
    price_max: Price | None = None
    """The highest price. Products without a price are then left out."""
    attributes: Annotated[
        dict[_FilterName, _Values],
        Field(
            max_length=16,
            description="By name: the value that the attribute must have, or a list of values of "
            "which it must have one. Strings are compared without case and accents. A list among a "
            "product's attributes has each of its members. "
            f"At most 16 attributes with {_MAX_FILTER_VALUES} values each: strings of up to 1,024 "
            "characters, numbers within ±(2^53 − 1), booleans.",
        ),
    ] = {}

    @model_validator(mode="after")
    def _ordered(self) -> "Filters":
        low, high = self.price_min, self.price_max
        if low is not None and high is not None and low > high:
            raise PydanticCustomError(
                "price_range", "price_min must not be above price_max", {"field": "price_min"}
            )
        return self

    def terms(self) -> Sequence[Sequence[str]]:
        """The conditions on strings and attributes: of each of these lists, a product has a term.

        The same for all filters that ask for the same, whatever they were written like.
        """
        conditions = [
            sorted_terms(attribute_term(name, value) for value in values)
            for name, values in self.attributes.items()
        ]
        if self.category_filter is not None:
            conditions.append([field_term("category", self.category_filter)])
        return sorted(conditions)

    def admit(self, hit: "Hit") -> bool:
        """Whether a product with these fields meets the conditions, as the index sees it."""
        price = hit.price
        if self.price_min is not None and (price is None or price < self.price_min):
            return False
        if self.price_max is not None and (price is None or price > self.price_max):
            return False
        conditions = self.terms()
        if not conditions:
            return True
        terms = set(terms_of({"category": hit.category, "attributes": hit.attributes}))
        return all(not terms.isdisjoint(condition) for condition in conditions)


class Ranking(Filters):
    """Which of the nearest products are wanted."""

    top_k: Annotated[StrictInt, Field(ge=1, le=MAX_TOP_K)] = 10
    """The most results that the answer holds."""
    offset: Annotated[StrictInt, Field(ge=0, le=MAX_OFFSET)] = 0
    """Results to leave out at the top."""
    min_score: (
        Annotated[StrictInt | StrictFloat, Field(ge=-1, le=1, allow_inf_nan=False)] | None
    ) = None
    """The least `similarity_score`, as results show it."""


class SearchRequest(Ranking):
    """A shopper's query: at least one source. Unknown fields are refused by name."""

    text_query: Text | None = None
    """Words that describe the picture of what is looked for."""
    image_url: ImageUrl | None = None
    """The address of a picture (http or https). The service fetches it."""
    image: Annotated[PictureBytes | None, Field(alias="image_base64")] = None
    """A picture's file of at most 10 MiB, in standard base64."""
    product_id: ProductId | None = None
    """A product of the index, which is searched by as its own picture."""

    @model_validator(mode="after")
    def _has_source(self) -> "SearchRequest":
        if not self.source_count:
            raise PydanticCustomError(
                "source_missing",
                "needs at least one of text_query, image_url, image_base64 and product_id; a form "
                "may send a picture's file as image",
            )
        return self

    @property
    def source_count(self) -> int:
        """How many sources are given; several are mixed."""
        sources = (self.text_query, self.image_url, self.image, self.product_id)
        return sum(source is not None for source in sources)

    @property
    def has_picture(self) -> bool:
        """Whether it takes a picture to answer."""
        return self.image_url is not None or self.image is not None

    @property
    def query_type(self) -> QueryType:
        """The kind of its source, or `mixed`."""
        if self.source_count > 1:
            return "mixed"
        if self.has_picture:
            return "image"
        return "text" if self.product_id is None else "product"

    def normalised_text(self) -> str | None:
        """The text with runs of white space folded: the same vector in every tokenizer."""
        return None if self.text_query is None else " ".join(self.text_query.split())


class SimilarRequest(Ranking):
    """A product to which others are looked for."""

    product_id: Annotated[ProductId, Field(examples=["prod_001"])]
    """The product to which others are looked for. It and its group are left out."""


class Ranked(NamedTuple):
    """A product that answers a search, and the score that its hit shows."""

    product_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: the product's public fields, and the plain cosine of the two vectors."""

    # The cache holds these too: other versions' entries are told apart by their fields and types.
    __pydantic_config__ = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    product_id: str
    """The product's id."""
    name: str
    """The product's name."""
    description: str | None
    """The text about the product."""
    price: int | float | None
    """The product's price."""
    category: str | None
    """The product's category."""
    image_url: str
    """The address of the product's picture."""
    attributes: dict[str, Any]
    """Further facts by name."""
    similarity_score: float
    """The cosine between the search and the product's picture, −1 to 1, to six digits. With CLIP's
    base models 0.25 to 0.35 is a good match for words."""

    @classmethod
    def of(cls, payload: Mapping[str, Any], score: float) -> "Hit":
        """The hit of a live point, by its payload; fields that the product lacks are None."""
        shown: dict[str, Any] = {name: payload.get(name) for name in _SHOWN}
        shown["attributes"] = payload.get("attributes", {})
        return cls(product_id=payload["id"], similarity_score=round(score, SCORE_DIGITS), **shown)

    @property
    def ranked(self) -> Ranked:
        """Its id and its score."""
        return Ranked(self.product_id, self.similarity_score)


_SHOWN: Final = tuple(
    field.name for field in fields(Hit) if field.name not in ("product_id", "similarity_score")
)

PAYLOAD_OF_HIT: Final = ("id", *_SHOWN)
"""The fields of a point's payload that `Hit.of` reads; nothing else is read for a search."""


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Results in falling order of similarity; `cached`: whether at least their ranking came from
    the cache."""

    query_type: QueryType
    top_k: int
    results: Sequence[Hit]
    execution_time_ms: float
    cached: bool
