"""The equations hold for a search that is right, and each is noticed when it breaks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from benchmarks.relevance.drawn import Naming, products
from benchmarks.relevance.equations import first_broken

# One in seven: of each garment, colour and pattern some.
CATALOGUE = products(Naming.FULL, "http://pictures.example")[::7]

Product = Mapping[str, Any]


def paid(product: Product) -> float:
    price: float = product.get("sale_price", product["price"])
    return price


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def values(product: Product, facet: str) -> list[Any]:
    if facet == "category":
        path = product["category"].split(" > ")
        return [" > ".join(path[: depth + 1]) for depth in range(len(path))]
    if facet == "brand":
        return [product["brand"]]
    return listed(product["attributes"].get(facet.removeprefix("attributes."), []))


def same(products: Sequence[Product]) -> Sequence[Product]:
    return products


@dataclass
class Engine:
    """A search over a few hundred products, straight from the contract."""

    change_page: Callable[[Sequence[Product]], Sequence[Product]] = same
    change_sorted: Callable[[Sequence[Product]], Sequence[Product]] = same
    change_count: Callable[[int], int] = int
    change_total: Callable[[int], int] = int
    groups: bool = True
    generations: Callable[[], str] = lambda: "1"

    def search(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        found = self._grouped(self._found(request), request)
        sort = request.get("sort", "relevance" if "text_query" in request else "newest")
        if sort.startswith("price"):
            found = sorted(found, key=paid, reverse=sort == "price_desc")
            found = list(self.change_sorted(found))
        offset, top_k = request.get("offset", 0), request.get("top_k", 10)
        page = self.change_page(found[offset : offset + top_k])
        return {
            "results": [{**one, "product_id": one["id"]} for one in page],
            "total_results": self.change_total(len(found)),
            "total_relation": "eq",
            "generation": self.generations(),
            "facets": {name: self._facet(name, request) for name in request.get("facets", [])},
        }

    def _facet(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if name == "price":
            own = {"price_min": 0, "price_max": 10_000}
            found = self._grouped(self._found({**request, **own}), request)
            prices = [paid(one) for one in found]
            counted = {
                "count": self.change_count(
                    len(
                        self._grouped(
                            self._found({**request, "price_min": 5, "price_max": 80}), request
                        )
                    )
                ),
                "min": 5,
                "max": 80,
            }
            return {"min": min(prices, default=None), "ranges": [counted] if prices else []}
        without = {key: value for key, value in request.items() if key not in (f"{name}_filter",)}
        attribute = name.removeprefix("attributes.")
        without["attributes"] = {
            key: value for key, value in request.get("attributes", {}).items() if key != attribute
        }
        counts: dict[Any, set[str]] = {}
        for one in self._found(without):
            key = one.get("group_id", one["id"]) if request["group"] else one["id"]
            for value in values(one, name):
                counts.setdefault(value, set()).add(key)
        return {
            "values": [
                {"value": value, "count": self.change_count(len(keys))}
                for value, keys in counts.items()
            ]
        }

    def _grouped(self, found: Sequence[Product], request: Mapping[str, Any]) -> list[Product]:
        if not (request["group"] and self.groups):
            return list(found)
        return list({one.get("group_id", one["id"]): one for one in found}.values())

    def _found(self, request: Mapping[str, Any]) -> list[Product]:
        words = set(request.get("text_query", "").lower().split())
        return [
            one
            for one in CATALOGUE
            if (not words or words & set(one["name"].lower().split()))
            and (not request.get("in_stock") or one["availability"] == "in_stock")
            and request.get("price_min", 0) <= paid(one) <= request.get("price_max", 10_000)
            and self._meets(one, request)
        ]

    def _meets(self, one: Product, request: Mapping[str, Any]) -> bool:
        wanted = {
            name.removesuffix("_filter"): request[name]
            for name in ("category_filter", "brand_filter")
            if name in request
        } | {f"attributes.{name}": value for name, value in request.get("attributes", {}).items()}
        return all(set(values(one, name)) & set(listed(value)) for name, value in wanted.items())


class _Shop:
    def __init__(self, engine: Engine) -> None:
        self.api = engine


def broken(engine: Engine) -> list[str]:
    """What twenty random requests find wrong."""
    found = (first_broken(_Shop(engine), CATALOGUE, seed) for seed in range(20))  # type: ignore[arg-type]
    return [each for each in found if each]


def test_a_search_that_is_right_breaks_nothing() -> None:
    assert broken(Engine()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        replace(Engine(), change_page=lambda page: page[:-1]),
        replace(Engine(), change_page=lambda page: [*page[:-1], *page[:1]]),
        replace(Engine(), change_sorted=lambda page: page[1:]),
        replace(Engine(), change_sorted=lambda page: page[::-1]),
        replace(Engine(), change_count=lambda count: count + 1),
        replace(Engine(), change_total=lambda total: total + 1),
        replace(Engine(), change_total=lambda total: min(total, 10)),
        replace(Engine(), groups=False),
    ],
    ids=[
        "a page that is one short",
        "one product twice",
        "a sort that loses one",
        "a sort that turns round",
        "a count that is one more",
        "a total that is one more",
        "the page's length as the total",
        "groups that are not made",
    ],
)
def test_each_broken_equation_is_noticed(wrong: Engine) -> None:
    assert broken(wrong)


def test_answers_of_different_generations_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.relevance.equations._TRIES", 3)
    numbers = iter(range(1_000_000))
    restless = replace(Engine(), generations=lambda: str(next(numbers)))
    assert all("could not be had" in each for each in broken(restless))
    # A change now and then does no harm, because the answers are read again.
    slow = replace(Engine(), generations=lambda: str(next(numbers) // 9))
    assert broken(slow) == []
