"""The conditions that every result of a search meets."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.models.attributes import unfilterable
from shared.models.product import AttributeName, Brand, Category, Price, paid_price
from shared.models.terms import (
    IN_STOCK,
    TERM_FIELDS,
    attribute_term,
    field_term,
    members,
    sorted_terms,
    terms_about,
)
from shared.models.version import MAX_VERSION

_MAX_FILTER_VALUES: Final = 64

FILTERED_FIELDS: Final = (*TERM_FIELDS, "attributes", "price", "sale_price")
"""The fields of a product that filters look at."""

AttributeScalar = str | bool | int | float

_ATTRIBUTE: Final = "attributes."


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number. null is no bound."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)

    gt: float | None = None
    """The number is above this one."""
    gte: float | None = None
    """The number is this one, or above it."""
    lt: float | None = None
    """The number is below this one."""
    lte: float | None = None
    """The number is this one, or below it."""

    def bounds(self) -> dict[str, float]:
        """The bounds by name."""
        return {name: bound for name, bound in asdict(self).items() if bound is not None}

    def holds(self, value: object) -> bool:
        """Whether the value is a number within the bounds."""
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and (self.gt is None or value > self.gt)
            and (self.gte is None or value >= self.gte)
            and (self.lt is None or value < self.lt)
            and (self.lte is None or value <= self.lte)
        )


class AnyOf(NamedTuple):
    """Terms of which a product must have one. `attribute`: the thing that they are about."""

    attribute: str
    terms: Sequence[str]

    def admits(self, fields: Mapping[str, Any]) -> bool:
        """Whether a product with these fields has one."""
        return any(term in self.terms for term in terms_about(self.attribute, fields))

    def normalised(self) -> Sequence[object]:
        """The same for all conditions that ask for the same."""
        return [self.attribute, *self.terms]


class Within(NamedTuple):
    """Bounds of a number. `attribute`: `price`, which is what the shopper pays, or
    `attributes.<name>`."""

    attribute: str
    bounds: Range

    def admits(self, fields: Mapping[str, Any]) -> bool:
        """Whether a product with these fields has a number within the bounds."""
        if self.attribute == "price":
            return self.bounds.holds(paid_price(fields))
        held = fields.get("attributes", {}).get(self.attribute.removeprefix(_ATTRIBUTE))
        return any(map(self.bounds.holds, members(held)))

    def normalised(self) -> Sequence[object]:
        """The same for all conditions that ask for the same: 20 and 20.0 do."""
        bounds = self.bounds.bounds().items()
        return [self.attribute, {name: float(bound) for name, bound in bounds}]


Condition = AnyOf | Within


def _nameable(name: str) -> str:
    if fault := unfilterable(name):
        raise fault
    return name


def _listed(given: object) -> object:
    values = given if isinstance(given, list | tuple) else [given]
    if not 1 <= len(values) <= _MAX_FILTER_VALUES:
        raise PydanticCustomError(
            "value_count", f"must be a string, or a list of 1 to {_MAX_FILTER_VALUES} strings"
        )
    return values


def _wanted(given: object) -> tuple[AttributeScalar, ...] | Range:
    """The values of which an attribute must have one, a lone value or a list of them; or the bounds
    of its number."""
    if isinstance(given, Range):
        return given
    if isinstance(given, dict):
        return _range(given)
    values = given if isinstance(given, list | tuple) else [given]
    if not 1 <= len(values) <= _MAX_FILTER_VALUES:
        raise PydanticCustomError(
            "value_count", f"must be a value, or a list of 1 to {_MAX_FILTER_VALUES} values"
        )
    return tuple(_scalar(value) for value in values)


def _range(given: Mapping[str, Any]) -> Range:
    bounds = {name: bound for name, bound in given.items() if bound is not None}
    known = set(Range.__dataclass_fields__)
    if not bounds or not given.keys() <= known or not all(map(_is_number, bounds.values())):
        raise PydanticCustomError(
            "attribute_range",
            "must have one or more of the bounds gt, gte, lt and lte, each a number within "
            "±(2^53 − 1)",
        )
    return Range(**bounds)


def _is_number(value: object) -> bool:
    # JSON's numbers are finite here already; larger ones than these are no product's.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= MAX_VERSION  # type: ignore[arg-type]


def _scalar(value: object) -> AttributeScalar:
    if isinstance(value, str) and len(value) <= 1024:
        return value
    if isinstance(value, bool) or _is_number(value):
        return value  # type: ignore[return-value]
    raise PydanticCustomError(
        "attribute_type",
        "must be a string of up to 1,024 characters, a number within ±(2^53 − 1), a boolean, a "
        "list of those, or the bounds of a number",
    )


def _only_true(value: object) -> object:
    if value is not None and value is not True:
        raise PydanticCustomError("only_true", "must be true, or left out")
    return value


_MANY: Final = Field(min_length=1, max_length=_MAX_FILTER_VALUES)
_Categories = Annotated[
    tuple[Category, ...],
    BeforeValidator(_listed, json_schema_input_type=Category | Annotated[list[Category], _MANY]),
]
_Brands = Annotated[
    tuple[Brand, ...],
    BeforeValidator(_listed, json_schema_input_type=Brand | Annotated[list[Brand], _MANY]),
]
_JsonValue = StrictStr | StrictBool | StrictInt | StrictFloat
_Wanted = Annotated[
    tuple[AttributeScalar, ...] | Range,
    PlainValidator(_wanted, json_schema_input_type=_JsonValue | list[_JsonValue] | Range),
]
_FilterName = Annotated[AttributeName, AfterValidator(_nameable)]


class Filters(BaseModel):
    """Conditions that every result meets; absent means any."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    category_filter: Annotated[
        _Categories | None,
        Field(
            description="The category of all results, or a list of categories: `Women` is also of "
            "what is in `Women > Dresses`. Compared without case and accents, and without the "
            "spaces around `>`."
        ),
    ] = None
    brand_filter: Annotated[
        _Brands | None,
        Field(
            description="The brand of all results, or a list of brands. Compared without case and "
            "accents."
        ),
    ] = None
    in_stock: Annotated[Literal[True] | None, BeforeValidator(_only_true)] = None
    """True leaves out what is not in stock now: also what can be ordered already (`preorder`,
    `backorder`). A product without `availability` is in stock."""
    price_min: Price | None = None
    """The least that the shopper pays: `sale_price`, or `price` if there is none. Products without
    either are then left out."""
    price_max: Price | None = None
    """The most that the shopper pays: `sale_price`, or `price` if there is none. Products without
    either are then left out."""
    attributes: Annotated[
        dict[_FilterName, _Wanted],
        Field(
            max_length=16,
            description="By name: the value that the attribute must have, a list of values of "
            "which it must have one, or bounds of its number, such as "
            '`{"rating": {"gte": 4, "lt": 5}}`. Strings are compared without case and accents. A '
            "list among a product's attributes has each of its members. "
            f"At most 16 attributes with {_MAX_FILTER_VALUES} values each: strings of up to 1,024 "
            "characters, numbers within ±(2^53 − 1), booleans.",
        ),
    ] = {}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.price_min, self.price_max
        if low is not None and high is not None and low > high:
            raise PydanticCustomError(
                "price_range", "price_min must not be above price_max", {"field": "price_min"}
            )
        return self

    def conditions(self) -> Sequence[Condition]:
        """All conditions, each with the attribute that it is about: `category`, `brand`,
        `availability`, `price` or `attributes.<name>`, at most one for each.

        The same for all filters that ask for the same, whatever they were written like.
        """
        found: list[Condition] = []
        for attribute, values in (("category", self.category_filter), ("brand", self.brand_filter)):
            if values is not None:
                terms = sorted_terms(field_term(attribute, value) for value in values)
                found.append(AnyOf(attribute, terms))
        if self.in_stock:
            found.append(AnyOf("availability", [field_term("availability", IN_STOCK)]))
        if self.price_min is not None or self.price_max is not None:
            found.append(Within("price", Range(gte=self.price_min, lte=self.price_max)))
        for name, wanted in sorted(self.attributes.items()):
            if isinstance(wanted, Range):
                found.append(Within(f"{_ATTRIBUTE}{name}", wanted))
            else:
                terms = sorted_terms(attribute_term(name, value) for value in wanted)
                found.append(AnyOf(f"{_ATTRIBUTE}{name}", terms))
        return found

    def filtered_on(self) -> Set[str]:
        """The attributes that there is a condition on, by the names that `conditions` gives."""
        return {condition.attribute for condition in self.conditions()}

    def without(self, attribute: str) -> Self:
        """The same without the condition on this attribute, by the names that `conditions` gives.

        For a facet, which shows what its attribute's other values would give.
        """
        if attribute.startswith(_ATTRIBUTE):
            name = attribute.removeprefix(_ATTRIBUTE)
            others = {other: wanted for other, wanted in self.attributes.items() if other != name}
            return self.model_copy(update={"attributes": others})
        return self.model_copy(update=dict.fromkeys(_FIELDS_OF[attribute]))

    def predicate(self) -> Callable[[Mapping[str, Any]], bool]:
        """Whether a product meets the conditions, as the index sees it, by its `FILTERED_FIELDS`.

        To be asked of many products: the conditions are put together once.
        """
        conditions = self.conditions()
        return lambda fields: all(condition.admits(fields) for condition in conditions)

    def admits(self, fields: Mapping[str, Any]) -> bool:
        """Whether a product with these fields meets the conditions, as the index sees it."""
        return self.predicate()(fields)


_FIELDS_OF: Final[Mapping[str, Sequence[str]]] = {
    "category": ("category_filter",),
    "brand": ("brand_filter",),
    "availability": ("in_stock",),
    "price": ("price_min", "price_max"),
}
