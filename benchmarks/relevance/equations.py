"""Total, pages, facets, sorts and groups are functions of one result set: on random requests.

An equation holds between answers of one generation. If the catalogue changes between two of them,
both are asked again.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from benchmarks.relevance.drawn import caption_queries
from benchmarks.relevance.scores import at_most
from benchmarks.relevance.shops import Product, Shop
from benchmarks.results import Row
from demo.model.combinations import COLOURS, PATTERNS

REQUESTS: Final = 300
_AT_ONCE: Final = 3
_TRIES: Final = 30
_PATCH_SECONDS: Final = 0.5
_VALUES_TRIED: Final = 3
_SHOWN: Final = 5
"""Broken equations that are printed."""

_SORTS: Final = ("relevance", "price_asc", "price_desc", "newest", "name")
_FACETS: Final = (
    "category",
    "brand",
    "price",
    "attributes.color",
    "attributes.pattern",
    "attributes.material",
)
_PAGE_SIZES: Final = (60, 100)

Request = dict[str, Any]
Answer = Mapping[str, Any]


class Broken(Exception):
    """An equation that doesn't hold, with the request."""


def measure(shop: Shop, catalogue: Sequence[Product]) -> list[Row]:
    """How many requests break an equation, at rest and while prices change."""
    rows = []
    for state, changes in (("at rest", 0), ("while prices change", 1)):
        with _changing_prices(shop, catalogue) if changes else _nothing():
            seeds = range(changes * REQUESTS, changes * REQUESTS + REQUESTS // 2)
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                broken = [
                    each
                    for each in threads.map(lambda seed: first_broken(shop, catalogue, seed), seeds)
                    if each
                ]
        for each in broken[:_SHOWN]:
            print(each)
        name = f"of {len(seeds)} random requests {state}, those that break an equation"
        rows.append(at_most(name, len(broken), 0))
    return rows


def first_broken(shop: Shop, catalogue: Sequence[Product], seed: int) -> str | None:
    """The equation that a random request breaks; None if all hold."""
    rng = random.Random(seed)
    request = random_request(rng, catalogue)
    try:
        for equation in (_pages, _sorts, _groups, _facets):
            equation(shop, request, rng)
    except Broken as broken:
        return f"{request}: {broken}"
    return None


def random_request(rng: random.Random, catalogue: Sequence[Product]) -> Request:
    """Words or none, filters, a sort, facets, groups."""
    request: Request = {"group": rng.random() < 0.6, "facets": rng.sample(_FACETS, 3)}
    if rng.random() < 0.6:
        request["text_query"] = _words(rng, catalogue)
        request["match"] = rng.choice(("auto", "auto", "words", "looks"))
        request["cutoff"] = rng.choice(("auto", "off"))
    if rng.random() < 0.7:
        request["sort"] = rng.choice(_SORTS if "text_query" in request else _SORTS[1:])
    one = rng.choice(catalogue)
    filters: Mapping[str, Callable[[], Any]] = {
        "category_filter": lambda: rng.choice((one["category"], one["category"].split(" > ")[0])),
        "brand_filter": lambda: rng.choice((one["brand"], [one["brand"], "Marlow"])),
        "in_stock": lambda: True,
        "price_min": lambda: rng.choice((20, 29.99, 50)),
        "price_max": lambda: rng.choice((80, 99.99, 150)),
        "attributes": lambda: rng.choice(
            (
                {"color": rng.sample(COLOURS, 2)},
                {"pattern": rng.choice(PATTERNS)},
                {"color": rng.choice(COLOURS), "material": "cotton"},
            )
        ),
    }
    for name, value in filters.items():
        if rng.random() < 0.25:
            request[name] = value()
    return request


def _words(rng: random.Random, catalogue: Sequence[Product]) -> str:
    one = rng.choice(catalogue)
    texts: list[str] = [one["name"], one["sku"], one["brand"], "shrit"]
    return rng.choice(texts + rng.sample(_captions(), 3))


@cache
def _captions() -> list[str]:
    return list(caption_queries(20))


def _pages(shop: Shop, request: Request, rng: random.Random) -> None:
    """As many distinct products over all pages as the total says."""
    size = rng.choice(_PAGE_SIZES)

    def read() -> list[Answer]:
        answers = [_ask(shop, request, top_k=size)]
        for offset in range(size, min(answers[0]["total_results"], 1_000) + 1, size):
            answers.append(_ask(shop, request, top_k=size, offset=offset))
        return answers

    answers = _of_one_generation(read)
    ids = [product for answer in answers for product in _ids(answer)]
    totals = {answer["total_results"] for answer in answers}
    if answers[0]["total_relation"] != "eq":
        return
    if len(set(ids)) != len(ids) or totals != {len(ids)}:
        raise Broken(f"{len(ids)} products, {len(set(ids))} distinct, on pages that say {totals}")


def _sorts(shop: Shop, request: Request, rng: random.Random) -> None:
    """The same products in another order."""
    other = rng.choice([sort for sort in _SORTS[1:] if sort != request.get("sort")])
    here, there = _of_one_generation(
        lambda: [
            _ask(shop, request, top_k=100),
            _ask(shop, {**request, "sort": other}, top_k=100),
        ]
    )
    if here["total_results"] != there["total_results"]:
        raise Broken(f"{here['total_results']} products, and {there['total_results']} by {other}")
    if here["total_results"] <= 100 and set(_ids(here)) != set(_ids(there)):
        raise Broken(f"sorted by {other} it shows other products")
    if other.startswith("price"):
        paid = [price for result in there["results"] if (price := _paid(result)) is not None]
        if paid != sorted(paid, reverse=other == "price_desc"):
            raise Broken(f"{other} is not sorted by price")


def _groups(shop: Shop, request: Request, rng: random.Random) -> None:
    """One product of each group: as many as there are groups among all."""
    del rng
    grouped, each = _of_one_generation(
        lambda: [
            _ask(shop, {**request, "group": True}, top_k=100),
            _ask(shop, {**request, "group": False}, top_k=100),
        ]
    )
    if each["total_results"] > 100 or each["total_relation"] != "eq":
        return
    groups = {result.get("group_id") or result["product_id"] for result in each["results"]}
    shown = [result.get("group_id") or result["product_id"] for result in grouped["results"]]
    if len(set(shown)) != len(shown) or set(shown) != groups:
        raise Broken(f"{len(shown)} groups shown, of {len(groups)}")
    if grouped["total_results"] != len(groups):
        raise Broken(f"{grouped['total_results']} groups counted, of {len(groups)}")


def _facets(shop: Shop, request: Request, rng: random.Random) -> None:
    """A value's count is the total of the request with that value as its condition."""
    facets = _ask(shop, request)["facets"]
    for name in request["facets"]:
        if name == "price":
            _prices(shop, request, rng)
            continue
        values = [each["value"] for each in facets[name]["values"]]
        for value in rng.sample(values, min(_VALUES_TRIED, len(values))):
            here, there = _of_one_generation(
                lambda name=name, value=value: [  # type: ignore[misc]
                    _ask(shop, request),
                    _ask(shop, _with_value(request, name, value)),
                ]
            )
            counts = {each["value"]: each["count"] for each in here["facets"][name]["values"]}
            if counts.get(value, 0) != there["total_results"]:
                raise Broken(
                    f"{name} counts {counts.get(value, 0)} of {value}, and with it as a condition "
                    f"there are {there['total_results']}"
                )


def _prices(shop: Shop, request: Request, rng: random.Random) -> None:
    """A price range's count is the total with the range as the condition."""

    def read() -> list[Answer]:
        here = _ask(shop, request)
        ranges = here["facets"]["price"]["ranges"]
        if not ranges:
            return [here]
        one = rng.choice(ranges)
        bounds = {"price_min": one["min"], "price_max": one["max"]}
        return [here, {**_ask(shop, {**request, **bounds}), "range": one}]

    for there in _of_one_generation(read)[1:]:
        if there["range"]["count"] != there["total_results"]:
            raise Broken(f"prices count {there['range']}, and there are {there['total_results']}")


def _with_value(request: Request, facet: str, value: Any) -> Request:
    """The request as a click on the value makes it, in the place of the facet's own filter."""
    if facet.startswith("attributes."):
        attribute = facet.removeprefix("attributes.")
        return {**request, "attributes": {**request.get("attributes", {}), attribute: value}}
    return {**request, f"{facet}_filter": value}


def _ask(shop: Shop, request: Request, **more: Any) -> Answer:
    return shop.api.search({**request, **more})


def _ids(answer: Answer) -> list[str]:
    return [result["product_id"] for result in answer["results"]]


def _paid(result: Mapping[str, Any]) -> float | None:
    sale: float | None = result.get("sale_price")
    price: float | None = result.get("price")
    return price if sale is None else sale


def _of_one_generation(read: Callable[[], list[Answer]]) -> list[Answer]:
    """The answers, read again until no change came between them."""
    for _ in range(_TRIES):
        answers = read()
        if len({answer["generation"] for answer in answers}) == 1:
            return answers
    raise Broken(f"answers of one generation could not be had in {_TRIES} tries")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _changing_prices(shop: Shop, catalogue: Sequence[Product]) -> Iterator[None]:
    """Patches a random product's price, two a second."""
    over = threading.Event()

    def change() -> None:
        rng = random.Random(5)
        while not over.wait(_PATCH_SECONDS):
            path = f"/products/{rng.choice(catalogue)['id']}"
            price = {"price": rng.randrange(5, 200), "sale_price": None}
            shop.api.call("PATCH", path, price)

    with ThreadPoolExecutor(1) as thread:
        changing = thread.submit(change)
        try:
            yield
        finally:
            over.set()
        changing.result()
