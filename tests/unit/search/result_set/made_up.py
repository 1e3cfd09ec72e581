"""Catalogues and result sets that nobody has, and their answers worked out product by product."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.models.search.filters import AnyOf, Condition, Range, Within
from shared.models.search.requests import Sort
from shared.search.result_set.columns import Positions
from shared.search.result_set.page import View
from shared.search.result_set.results import Found

COLOURS = ("red", "blue", "green")
BRANDS = ("Acme", "Zeta")
AVAILABILITIES = ("in_stock", "out_of_stock", "preorder")
SORTS: tuple[Sort, ...] = ("relevance", "price_asc", "price_desc", "newest", "name")
FACETS = ("category", "brand", "availability", "price", "attributes.color", "attributes.size")


@dataclass(frozen=True)
class MadeUp:
    """A product as the columns know it."""

    id: str
    group: str
    price: float | None
    created: int
    name: str
    fields: Mapping[str, tuple[Any, ...]]
    """The values by the name of the facet."""


@dataclass(frozen=True)
class MadeUpColumn:
    """A column whose terms are its values as text."""

    held: Sequence[Sequence[Any]]
    values: Sequence[Any]

    @property
    def terms(self) -> Sequence[str]:
        return [str(value) for value in self.values]

    def codes_of(self, terms: Sequence[str]) -> NDArray[np.int64]:
        return np.array([at for at, term in enumerate(self.terms) if term in terms], np.int64)

    def at(self, positions: Positions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = [
            (row, self.values.index(value))
            for row, position in enumerate(positions)
            for value in self.held[position]
        ]
        rows, codes = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(rows, np.int64), np.array(codes, np.int64)


class MadeUpColumns:
    """Columns that are filled one product after the other."""

    def __init__(self, products: Sequence[MadeUp]) -> None:
        self.products = {each.id: each for each in products}
        self.ids = np.array([each.id for each in products], np.object_)
        self.live_positions = np.arange(len(products))
        self.id_ranks = _ranks([each.id for each in products])
        self.groups = _ranks([each.group for each in products])
        self.prices = np.array(
            [np.nan if each.price is None else each.price for each in products], np.float64
        )
        self.created = np.array([each.created for each in products], np.int64)
        self.name_ranks = _ranks([each.name for each in products])
        self.buyable = np.array([_buyable(each) for each in products], np.bool_)
        self._columns = {name: _column(products, name) for name in FACETS if name != "price"}

    def positions_of(self, ids: Sequence[str]) -> Positions:
        places = {product_id: place for place, product_id in enumerate(self.ids)}
        return np.array([places.get(each, -1) for each in ids], np.int64)

    def column(self, name: str) -> MadeUpColumn | None:
        return self._columns.get(name)

    def numbers(self, name: str) -> NDArray[np.float64] | None:
        if name != "attributes.size":
            return None
        held = [each.fields.get(name, ()) for each in self.products.values()]
        return np.array([values[0] if values else np.nan for values in held], np.float64)


def _buyable(product: MadeUp) -> bool:
    return product.fields["availability"] != ("out_of_stock",)


def _ranks(values: Sequence[str]) -> NDArray[np.int64]:
    order = {value: rank for rank, value in enumerate(sorted(set(values)))}
    return np.array([order[value] for value in values], np.int64)


def _column(products: Sequence[MadeUp], name: str) -> MadeUpColumn:
    held = [each.fields.get(name, ()) for each in products]
    values = sorted({value for each in held for value in each}, key=str)
    return MadeUpColumn(held, values)


def _product(chance: Random, number: int) -> MadeUp:
    path = chance.choice([(), ("women",), ("women", "women > dresses"), ("men",)])
    prices = [None, 1, 2.5, 9.99, 10, 19.99, 20, chance.uniform(0, 100), chance.expovariate(1e-5)]
    return MadeUp(
        id=f"p{number}",
        # Some groups of several, and products by themselves.
        group=chance.choice(["shirt", "shoe", "sock", f"p{number}", f"p{number}"]),
        price=chance.choice(prices),
        created=chance.randrange(5),
        name=chance.choice(["shirt", "shoe", "tee", "vest"]),
        fields={
            "category": path,
            "brand": chance.choice([(), *((brand,) for brand in BRANDS)]),
            "availability": (chance.choice(AVAILABILITIES),),
            "attributes.color": tuple(chance.sample(COLOURS, chance.randrange(3))),
            "attributes.size": chance.choice([(), (36,), (38.5,), (40,)]),
        },
    )


def catalogue(chance: Random) -> MadeUpColumns:
    """Up to 25 products, in no order."""
    numbers = list(range(chance.randrange(26)))
    chance.shuffle(numbers)
    return MadeUpColumns([_product(chance, number) for number in numbers])


def found(chance: Random, columns: MadeUpColumns, *, cut: bool) -> Found:
    """Some of the products, one that is gone, and scores that often tie."""
    ids = [*chance.sample(list(columns.ids), chance.randint(0, len(columns.ids))), "gone"]
    drawn = sorted(
        (-chance.choice([0, 0, 0, 1, 2]), -chance.choice([0.0, 0.25, 0.5, 1.0]), product_id)
        for product_id in ids
    )
    return Found(
        ids=[product_id for _, _, product_id in drawn],
        scores=[-score for _, score, _ in drawn],
        words=[None for _ in drawn],
        looks=[None for _ in drawn],
        tiers=[-tier for tier, _, _ in drawn],
        cut=cut,
    )


def conditions() -> st.SearchStrategy[list[Condition]]:
    """Some conditions, each on a field of its own."""
    bounds = st.none() | st.sampled_from([2.5, 10, 19.99, 38.5])
    ranges = st.builds(Range, gte=bounds, gt=bounds, lte=bounds, lt=bounds)
    terms = {
        "category": ["women", "women > dresses", "men", "nothing"],
        "brand": BRANDS,
        "availability": ["in_stock"],
        "attributes.color": COLOURS,
        "attributes.size": ["36", "38.5", "41"],
        "attributes.nobody": ["any"],
    }
    asked = {name: any_of(name, values) for name, values in terms.items()}
    for name in ("price", "attributes.size", "attributes.nobody"):
        within = st.builds(Within, st.just(name), ranges)
        asked[name] = asked[name] | within if name in asked else within
    return st.fixed_dictionaries({}, optional=asked).map(lambda chosen: list(chosen.values()))


def any_of(name: str, terms: Sequence[str]) -> st.SearchStrategy[Condition]:
    return st.lists(st.sampled_from(terms), min_size=1, unique=True).map(
        lambda chosen: AnyOf(name, chosen)
    )


def views() -> st.SearchStrategy[View]:
    """Whatever may be asked of a result set."""
    return st.builds(
        View,
        conditions=conditions(),
        sort=st.sampled_from(SORTS),
        facets=st.lists(st.sampled_from(FACETS), unique=True),
        grouped=st.booleans(),
        in_stock_first=st.booleans(),
    )


def meets(product: MadeUp, asked: Sequence[Condition]) -> bool:
    """Whether the product meets the conditions, read from its fields."""
    return all(_meets(product, condition) for condition in asked)


def _meets(product: MadeUp, condition: Condition) -> bool:
    held = product.fields.get(condition.attribute, ())
    if isinstance(condition, AnyOf):
        return any(str(value) in condition.terms for value in held)
    is_price = condition.attribute == "price"
    return condition.bounds.holds(product.price if is_price else next(iter(held), None))
