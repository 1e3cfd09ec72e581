"""A search as a shopper asks for it."""

import binascii
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
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

from shared.models.attributes import MAX_NAME, unfilterable
from shared.models.product import ImageUrl, ProductId
from shared.models.search.filters import Filters
from shared.models.search.hits import QueryType

MAX_TOP_K: Final = 100
MAX_OFFSET: Final = 1000
"""Of a search: a result set has no more products."""
MAX_BROWSED: Final = 10_000
"""The highest offset of a request without a source."""
MAX_PICTURE_BYTES: Final = 10 * 2**20
"""Of a picture sent with the query; one that is fetched may have as many as a product's."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must hold more than white space")
    return text


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


_ATTRIBUTE: Final = "attributes."
_FACETS: Final = ("category", "brand", "availability", "price")
_MAX_FACETS: Final = 10


def _facets(given: object) -> tuple[str, ...]:
    """The names of the facets, each once: a lone one, or a list of them."""
    named = map(_facet, given if isinstance(given, list | tuple) else [given])
    names = tuple(dict.fromkeys(named))
    if len(names) > _MAX_FACETS:
        raise PydanticCustomError("facet_count", f"must be at most {_MAX_FACETS} facets")
    return names


def _facet(name: object) -> str:
    if isinstance(name, str):
        attribute = name.removeprefix(_ATTRIBUTE)
        if name in _FACETS or (
            attribute != name and 1 <= len(attribute) <= MAX_NAME and not unfilterable(attribute)
        ):
            return name
    raise PydanticCustomError(
        "facet_unknown", f"must be {', '.join(_FACETS)} or {_ATTRIBUTE} and an attribute's name"
    )


Sort = Literal["relevance", "price_asc", "price_desc", "newest", "name"]
Match = Literal["auto", "looks", "words"]
Cutoff = Literal["auto", "strict", "off"]
Matching = Annotated[
    Match,
    Field(
        description="How products are found. `auto`: by words and looks for a text alone, else by "
        "looks. `looks`: by looks alone. `words`: by words alone, for a text alone."
    ),
]
Facets = Annotated[
    tuple[str, ...],
    BeforeValidator(
        _facets,
        json_schema_input_type=StrictStr
        | Annotated[list[StrictStr], Field(max_length=_MAX_FACETS)],
    ),
]
Text = Annotated[StrictStr, Field(min_length=1, max_length=1000), AfterValidator(_not_blank)]
PictureBytes = Annotated[
    StrictBytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class Ranking(Filters):
    """Which of the nearest products are wanted."""

    top_k: Annotated[StrictInt, Field(ge=1, le=MAX_TOP_K)] = 10
    """The most results that the answer holds."""
    offset: Annotated[
        StrictInt,
        Field(
            ge=0,
            le=MAX_BROWSED,
            description=f"Results to leave out at the top. At most {MAX_OFFSET:,} if there is "
            "anything to search by.",
        ),
    ] = 0
    sort: Annotated[
        Sort | None,
        Field(
            description="The order of the results: the same products in each. `relevance` if there "
            "is anything to search by, else `newest`. Prices are what the shopper pays; products "
            "without one come last."
        ),
    ] = None
    facets: Annotated[
        Facets,
        Field(
            description="Up to 10 of `category`, `brand`, `availability`, `price` and "
            "`attributes.<name>`: how many products the same request would find with each value, "
            "or with each range of prices. A facet leaves out the filter on its own field."
        ),
    ] = ()
    group: StrictBool = True
    """Whether of products with one `group_id` only the best that meets the filters is a result."""
    cutoff: Annotated[
        Cutoff,
        Field(
            description="Which products are too unlike to be results of a search by looks. `auto`: "
            "those that are no nearer than unrelated products are. `strict`: also those that are "
            "far behind the nearest product, which suits sorting by price. `off`: none. Products "
            "that the words match are always results."
        ),
    ] = "auto"
    min_score: (
        Annotated[StrictInt | StrictFloat, Field(ge=-1, le=1, allow_inf_nan=False)] | None
    ) = None
    """The least `similarity_score` of products that no words match, as results show it: a cut-off
    in the place of `cutoff`."""
    explain: StrictBool = False
    """Whether each result says why it is here."""


class SearchRequest(Ranking):
    """A shopper's query; without a source it browses. Unknown fields are refused by name."""

    text_query: Text | None = None
    """Words: a product's code, words of its texts, or what its picture shows."""
    image_url: ImageUrl | None = None
    """The address of a picture (http or https). The service fetches it."""
    image: Annotated[PictureBytes | None, Field(alias="image_base64")] = None
    """A picture's file of at most 10 MiB, in standard base64."""
    product_id: ProductId | None = None
    """A product of the index, which is searched by as its own picture."""

    match: Matching = "auto"

    @model_validator(mode="after")
    def _fits_sources(self) -> "SearchRequest":
        if self.match == "words" and (self.text_query is None or self.source_count > 1):
            raise PydanticCustomError(
                "words_alone", "words needs text_query, and no other source", {"field": "match"}
            )
        if self.source_count and self.offset > MAX_OFFSET:
            raise PydanticCustomError(
                "offset_too_high",
                f"must be at most {MAX_OFFSET:,} if there is anything to search by",
                {"field": "offset"},
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
        """The kind of its source, `mixed` of several, `browse` without one."""
        if self.source_count > 1:
            return "mixed"
        if not self.source_count:
            return "browse"
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
