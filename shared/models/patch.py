"""A change of some fields of a product: what may be sent, and how it is merged. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, from_json

from shared.models.product import (
    AttributeName,
    AttributeValue,
    Availability,
    Brand,
    Category,
    CreatedAt,
    Currency,
    Description,
    Gtin,
    Mpn,
    Name,
    PageUrl,
    PictureUrls,
    Price,
    Product,
    ProductId,
    SalePrice,
    Sku,
    check_sale_price,
    filterable_names,
)


class Patch(BaseModel):
    """Fields to change, as an RFC 7396 merge patch: null removes, attributes merge key by key.

    A date that is removed becomes that of the patch: every product has one.
    The picture is no part of it (a new one is a put), nor is the version: patches count in the
    order of their arrival. Unknown fields are refused by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Name | None = None
    description: Description | None = None
    category: Category | None = None
    price: Price | None = None
    attributes: (
        Annotated[
            dict[AttributeName, AttributeValue | None],
            Field(max_length=64),
            AfterValidator(filterable_names),
        ]
        | None
    ) = None
    """The attributes to change, by name. null removes one; those that are not named stay."""
    created_at: CreatedAt | None = None
    """The product's date. Without a zone it is in UTC; null makes it the date of the patch."""
    group_id: ProductId | None = None
    """The id that the variants of one product share."""
    brand: Brand | None = None
    sku: Sku | None = None
    gtin: Gtin | None = None
    mpn: Mpn | None = None
    url: PageUrl | None = None
    currency: Currency | None = None
    sale_price: SalePrice | None = None
    availability: Availability | None = None
    additional_image_urls: PictureUrls | None = None
    """The new list of further pictures, in place of the former one."""

    @model_validator(mode="before")
    @classmethod
    def _explain(cls, data: Any) -> Any:
        if isinstance(data, dict):
            if not data:
                raise PydanticCustomError("empty_patch", "must name at least one field to change")
            for field in sorted(_NOT_PATCHABLE.intersection(data)):
                raise PydanticCustomError("not_patchable", _EXPLANATIONS[field], {"field": field})
            if data.get("name", "") is None:
                raise PydanticCustomError(
                    "not_removable", "every product needs one", {"field": "name"}
                )
        return data

    @model_validator(mode="after")
    def _check_sale_price(self) -> "Patch":
        # Against a stored price it is checked by `merged`.
        check_sale_price(self.price, self.sale_price)
        return self

    def fields(self) -> dict[str, Any]:
        """The fields that were sent, null ones included."""
        return self.model_dump(exclude_unset=True)


_EXPLANATIONS: Final = {
    "image_url": "a new picture is a new product to index; send the whole product",
    "version": "a patch has none, patches count in the order of their arrival",
    "id": "it can't change; delete the product and index another",
}
_NOT_PATCHABLE: Final = frozenset(_EXPLANATIONS)


def merged(product: Product, deltas: Iterable[str]) -> Product:
    """The product with the patches applied in their order.

    Raises pydantic's ValidationError if together they break a limit, as by a 65th attribute.
    """
    fields = product.model_dump(exclude_none=True)
    for delta in deltas:
        for name, value in from_json(delta).items():
            if name == "attributes" and value is not None:
                value = _merged_attributes(fields.get("attributes", {}), value)  # noqa: PLW2901
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = value
    return Product.model_validate(fields)


def merged_without_faulty(
    product: Product, deltas: Sequence[str]
) -> tuple[Product, Mapping[int, ValidationError]]:
    """The product with the patches that it can take, and what is wrong with the others, by their
    places in `deltas`.

    Only if all together break a limit, each is looked at by itself, in order, beside those before
    it that are taken.
    """
    try:
        return merged(product, deltas), {}
    except ValidationError:
        faulty = {}
    for place, delta in enumerate(deltas):
        try:
            product = merged(product, [delta])
        except ValidationError as err:
            faulty[place] = err
    return product, faulty


def removes_date(deltas: Iterable[str]) -> bool:
    """Whether these patches, applied in their order, leave the product without a date."""
    dates = [fields["created_at"] for fields in map(from_json, deltas) if "created_at" in fields]
    return bool(dates) and dates[-1] is None


def _merged_attributes(held: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    together = {**held, **changes}
    return {name: value for name, value in together.items() if value is not None}
