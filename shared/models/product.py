"""A product as a shop sends it, and as the index holds it."""

import math
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from ada_url import URL
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.fetch.urls import FORBIDDEN_IN_URL, WHITE_SPACE
from shared.models.attributes import CONTROL_CHARACTER, MAX_NAME, unfilterable
from shared.models.version import MAX_VERSION, not_ahead

_NUMBER: Final = re.compile(r"\s*[+-]?[0-9.]+\s*")
_GTIN: Final = re.compile("^[0-9]{8,14}$")
_CURRENCY: Final = re.compile("^[A-Za-z]{3}$")

_POINT_NAMESPACE: Final = uuid.UUID("6d1c3d52-4f0e-5a0b-9d0e-7a3f1c55b1aa")
"""Any namespace does, as long as it never changes: point ids are derived from it."""


def point_id(tenant: str, product_id: str) -> str:
    """The product's point in Qdrant: a UUIDv5, equal in every process and without collisions.

    A tenant has no `/`, so no two (tenant, product) pairs give the same name.
    """
    return str(uuid.uuid5(_POINT_NAMESPACE, f"{tenant}/{product_id}"))


def paid_price(fields: Mapping[str, Any]) -> int | float | None:
    """The price that the shopper pays, by a product's fields: the sale price if there is one."""
    sale_price: int | float | None = fields.get("sale_price")
    return fields.get("price") if sale_price is None else sale_price


def check_sale_price(price: float | None, sale_price: float | None) -> None:
    """Raises PydanticCustomError for a sale price above the price."""
    if price is not None and sale_price is not None and sale_price > price:
        raise PydanticCustomError(
            "sale_price_above_price", "must not be above price", {"field": "sale_price"}
        )


def _without_control_characters(value: str) -> str:
    if CONTROL_CHARACTER.search(value):
        raise PydanticCustomError("control_character", "must not hold control characters")
    return value


def _http_url(value: str) -> str:
    """Refuse what can't be fetched at all; which addresses may be reached is for `shared/fetch`."""
    value = value.strip(WHITE_SPACE)
    if FORBIDDEN_IN_URL.search(value):
        raise PydanticCustomError("invalid_url", "must not hold control characters; escape them")
    try:
        fine = URL(value).protocol in ("http:", "https:")
    except ValueError:
        fine = False
    if not fine:
        raise PydanticCustomError("invalid_url", "must be an absolute http or https URL")
    return value


def _gtin(value: str) -> str:
    if not _GTIN.fullmatch(value):
        raise PydanticCustomError("gtin_digits", "must be 8 to 14 digits and nothing else")
    return value


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise PydanticCustomError(
            "currency_code", "must be the three letters of a currency, such as EUR"
        )
    return value.upper()


def _created_at(value: object) -> object:
    if isinstance(value, datetime):
        return value
    # Pydantic reads a number, in quotes, too, as seconds since 1970.
    if not isinstance(value, str) or len(value) > 64 or _NUMBER.fullmatch(value):
        raise PydanticCustomError("datetime_type", "must be an ISO 8601 date-time string")
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "datetime_range", "must lie between years 1 and 9999 in UTC"
        ) from None


def _exact_number(value: int | float) -> int | float:
    if isinstance(value, int) and abs(value) > MAX_VERSION:
        raise PydanticCustomError("number_range", "whole numbers must lie within ±(2^53 − 1)")
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", "must be a finite number")
    return value


def filterable_names(attributes: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """The attributes. Refuses what comes from outside with a name that could not be filtered on;
    what was accepted before that rule stays good, and a patch may remove it."""
    if not info.context:
        return attributes
    for name, value in attributes.items():
        if value is not None and (fault := unfilterable(name)):
            field = f"attributes.{name.replace('.', '·')}"
            raise PydanticCustomError(fault.type, fault.message_template, {"field": field})
    return attributes


_Number = Annotated[StrictInt | StrictFloat, AfterValidator(_exact_number)]
AttributeValue = (
    StrictBool
    | _Number
    | Annotated[StrictStr, Field(max_length=1024)]
    | Annotated[list[Annotated[StrictStr, Field(max_length=256)]], Field(max_length=64)]
)
AttributeName = Annotated[
    StrictStr, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_without_control_characters)
]
Attributes = Annotated[
    dict[AttributeName, AttributeValue],
    Field(
        max_length=64,
        description="Further facts by name, at most 64, for filters. Names hold no double quotes "
        "and no backslashes. Whole numbers lie within ±(2^53 − 1); lists hold strings.",
    ),
    AfterValidator(filterable_names),
]

ProductId = Annotated[
    StrictStr, Field(min_length=1, max_length=128), AfterValidator(_without_control_characters)
]
Name = Annotated[
    StrictStr, Field(min_length=1, max_length=512, description="The product's name, as shown.")
]
Description = Annotated[
    StrictStr, Field(max_length=8000, description="A text about the product. It is stored.")
]
MAX_PRICE: Final = 1e15
Price = Annotated[
    StrictInt | StrictFloat,
    Field(
        ge=0,
        le=MAX_PRICE,
        allow_inf_nan=False,
        description="The regular price. All prices of a catalogue are in one currency.",
    ),
]
Version = Annotated[
    StrictInt,
    Field(
        ge=0,
        le=MAX_VERSION,
        description="The shop's own version of this change, such as a counter or a time. A change "
        "whose version is not above the last accepted one ends as `stale`.",
    ),
    AfterValidator(not_ahead),
]
Category = Annotated[
    StrictStr,
    Field(
        min_length=1,
        max_length=128,
        description="The product's category. `Women > Dresses` is one within `Women`.",
    ),
    AfterValidator(_without_control_characters),
]
ImageUrl = Annotated[StrictStr, Field(min_length=1, max_length=2000), AfterValidator(_http_url)]
Brand = Annotated[
    StrictStr,
    Field(min_length=1, max_length=128, description="The brand, as shown."),
    AfterValidator(_without_control_characters),
]
Sku = Annotated[
    StrictStr,
    Field(min_length=1, max_length=64, description="The shop's own number of the article."),
    AfterValidator(_without_control_characters),
]
Gtin = Annotated[
    StrictStr,
    Field(
        json_schema_extra={"pattern": _GTIN.pattern},
        description="The number of the article in the world's trade (EAN, UPC, ISBN): 8 to 14 "
        "digits. A wrong check digit gets the warning `gtin_check_digit`.",
    ),
    AfterValidator(_gtin),
]
Mpn = Annotated[
    StrictStr,
    Field(min_length=1, max_length=70, description="The manufacturer's number of the article."),
    AfterValidator(_without_control_characters),
]
Currency = Annotated[
    StrictStr,
    Field(
        json_schema_extra={"pattern": _CURRENCY.pattern},
        description="The currency of the prices: three letters (ISO 4217), kept in capitals.",
    ),
    AfterValidator(_currency),
]
SalePrice = Annotated[
    StrictInt | StrictFloat,
    Field(
        ge=0,
        le=MAX_PRICE,
        allow_inf_nan=False,
        description="What the shopper pays for now, at most `price`. Filters and sorts use it.",
    ),
]
Availability = Annotated[
    Literal["in_stock", "out_of_stock", "preorder", "backorder"],
    Field(description="Whether the product can be bought. Without it the product is in stock."),
]
PictureUrls = Annotated[
    list[ImageUrl],
    Field(
        max_length=10,
        description="Addresses of further pictures, at most 10: kept and shown, not searched by.",
    ),
]
PageUrl = Annotated[
    StrictStr,
    Field(max_length=2000, description="The address (http or https) of the product's page."),
    AfterValidator(_http_url),
]


CreatedAt = Annotated[
    datetime,
    Field(description="The product's date. Without a zone it is in UTC."),
    BeforeValidator(_created_at, json_schema_input_type=str),
    AfterValidator(_in_utc),
]


class Product(BaseModel):
    """A product as accepted from a shop. Unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: ProductId
    """The shop's own id. A product that is sent again under its id replaces the former one."""
    name: Name
    image_url: ImageUrl
    """The address (http or https) that the service fetches the product's picture from."""
    description: Description | None = None
    category: Category | None = None
    price: Price | None = None
    attributes: Attributes = Field(default_factory=dict)
    created_at: CreatedAt | None = None
    """The product's date. Without a zone it is in UTC; without a date it is when the product was
    first accepted."""
    version: Version | None = None
    group_id: ProductId | None = None
    """The id that the variants of one product share. `/similar` leaves a product's group out."""
    brand: Brand | None = None
    sku: Sku | None = None
    gtin: Gtin | None = None
    mpn: Mpn | None = None
    url: PageUrl | None = None
    currency: Currency | None = None
    sale_price: SalePrice | None = None
    availability: Availability | None = None
    additional_image_urls: PictureUrls | None = None

    @model_validator(mode="before")
    @classmethod
    def _explain_embedding(cls, data: Any) -> Any:
        if isinstance(data, dict) and "embedding" in data:
            raise PydanticCustomError(
                "embedding_not_accepted",
                "leave it out: the service computes it from image_url",
                {"field": "embedding"},
            )
        return data

    @model_validator(mode="after")
    def _check_sale_price(self) -> "Product":
        check_sale_price(self.price, self.sale_price)
        return self


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts about the picture behind a stored vector."""

    sha256: str
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """A live product as the index holds it. `rev` is in microseconds since 1970."""

    product: Product
    rev: int
    indexed_at: str
    image: ImageFacts
    warnings: Sequence[str] = field(default=())
    embedding: Sequence[float] | None = None
    payload: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The point's payload as it was read."""
