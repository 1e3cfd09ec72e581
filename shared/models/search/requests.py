"""A search as a shopper asks for it."""

import binascii
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBytes,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.models.product import ImageUrl, ProductId
from shared.models.search.filters import Filters
from shared.models.search.hits import QueryType

MAX_TOP_K: Final = 100
MAX_OFFSET: Final = 1000
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
