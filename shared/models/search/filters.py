"""The conditions that every result of a search meets."""

from collections.abc import Sequence
from typing import Annotated, Final

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
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.models.attributes import unfilterable
from shared.models.product import AttributeName, Category, Price
from shared.models.search.hits import Hit
from shared.models.terms import attribute_term, field_term, sorted_terms, terms_of
from shared.models.version import MAX_VERSION

_MAX_FILTER_VALUES: Final = 64

AttributeScalar = str | bool | int | float


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


_JsonValue = StrictStr | StrictBool | StrictInt | StrictFloat
_Values = Annotated[
    tuple[AttributeScalar, ...],
    BeforeValidator(_values, json_schema_input_type=_JsonValue | list[_JsonValue]),
    Field(strict=True),
]
_FilterName = Annotated[AttributeName, AfterValidator(_nameable)]


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
