"""Total, pages, facets, sorts and groups of one generation agree, also while prices change."""

import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from shared.models.change import Aspect, Change, Lane, Outcome, Report
from shared.models.product import ImageFacts, Product
from shared.models.search.answers import Answered, Facet, PriceFacet
from shared.models.search.hits import Hit
from shared.models.search.requests import SearchRequest
from shared.qdrant.points import LivePoint
from shared.qdrant.vectors import VectorSet
from shared.qdrant.words import words_of
from tests.integration.search.conftest import TENANT, Searching, direction
from tests.words import ANALYSER

COLOURS = ("red", "blue", "green", "black", "white")
GARMENTS = ("shirt", "dress", "coat", "sock", "hat", "skirt")
BRANDS = ("Acme", "Zeta", "Nord")
SORTS = ("relevance", "price_asc", "price_desc", "newest", "name")
FACETS = ("category", "brand", "availability", "price", "attributes.color", "attributes.size")
PRODUCTS = 2000
MAX_READ = 300
"""Hits of all pages that are read, a multiple of a page's."""


def catalogue(chance: random.Random) -> Iterator[Product]:
    """Products of which some have variants, and some lack a price, a brand or a category."""
    for number in range(PRODUCTS):
        colour, garment = chance.choice(COLOURS), chance.choice(GARMENTS)
        yield Product(
            id=f"p{number}",
            # Names that leave out the colour are found by looks and attributes alone.
            name=chance.choice([f"{colour} {garment}", f"Summer {garment} {number}"]),
            image_url="http://h/x.jpg",
            price=chance.choice([None, *(chance.randrange(500, 9900) / 100 for _ in range(9))]),
            category=chance.choice([None, "Women", "Women > Dresses", "Men"]),
            brand=chance.choice([None, *BRANDS]),
            availability=chance.choice([None, "in_stock", "out_of_stock", "preorder"]),
            group_id=chance.choice([None, f"g{number // 4}"]),
            created_at=f"2026-01-{chance.randint(1, 28):02}T00:00:00Z",
            attributes={"color": colour, "size": chance.randint(34, 46)},
        )


def looks(product: Product) -> Any:
    """A vector near those of products of the same colour and garment."""
    words = [product.attributes["color"], product.name.split()[1], product.id]
    vector = sum(
        weight * direction(str(word).encode())
        for word, weight in zip(words, (1, 1, 0.5), strict=True)
    )
    return vector / np.linalg.norm(vector)


@pytest.fixture
def shop(searching: Searching) -> Searching:
    products = list(catalogue(random.Random(7)))
    for start in range(0, PRODUCTS, 250):
        part = products[start : start + 250]
        searching.ledger.accept(
            TENANT, Lane.BULK, [Change.put(each, at) for at, each in enumerate(part)]
        )
        by_id = {each.id: each for each in part}
        while wanted := (claim := searching.ledger.claim([Lane.BULK], 64)).wanted:
            searching.qdrant.upsert_products(
                [
                    LivePoint(
                        TENANT,
                        by_id[each.product_id],
                        each.rev,
                        VectorSet.of_image(looks(by_id[each.product_id])),
                        ImageFacts("0" * 64),
                        "2026-01-01T00:00:00+00:00",
                        words=words_of(ANALYSER, by_id[each.product_id]),
                    )
                    for each in wanted
                ]
            )
            reports = [
                Report(TENANT, each.product_id, each.rev, Outcome.INDEXED, changed=set(Aspect))
                for each in wanted
            ]
            searching.ledger.report(claim, reports)
    return searching


def requests(chance: random.Random) -> Mapping[str, Any]:
    """Whatever a shop's page may ask for."""
    asked: dict[str, Any] = {}
    colour, garment = chance.choice(COLOURS), chance.choice(GARMENTS)
    kind = chance.choice(["text", "text", "text", "browse", "product", "code"])
    if kind == "text":
        asked["text_query"] = chance.choice([f"{colour} {garment}", garment, "summer", colour])
        asked["match"] = chance.choice(["auto", "auto", "words", "looks"])
        asked["cutoff"] = chance.choice(["auto", "strict", "off"])
    elif kind == "product":
        asked["product_id"] = f"p{chance.randrange(PRODUCTS)}"
        asked["cutoff"] = chance.choice(["auto", "strict"])
    elif kind == "code":
        asked["text_query"] = f"P{chance.randrange(1000, PRODUCTS)}"
    filters: dict[str, Any] = {
        "category_filter": chance.choice(["women", ["men", "Women > Dresses"]]),
        "brand_filter": chance.choice(["acme", ["Zeta", "NORD"]]),
        "in_stock": True,
        "price_min": chance.randrange(5, 40),
        "price_max": chance.randrange(40, 99),
        "attributes": chance.choice(
            [{"color": "red"}, {"color": ["blue", "green"]}, {"size": {"gte": 36, "lt": 44}}]
        ),
    }
    asked |= {name: filters[name] for name in chance.sample(sorted(filters), chance.randint(0, 3))}
    asked["facets"] = chance.sample(FACETS, chance.randint(0, 3))
    asked["group"] = chance.choice([True, True, False])
    asked["sort"] = chance.choice(SORTS)
    return asked


def clicked(asked: Mapping[str, Any], name: str, value: Any) -> Mapping[str, Any]:
    """The request with this value of a facet in the place of its own filter."""
    attribute = name.removeprefix("attributes.")
    if attribute != name:
        return {**asked, "attributes": {**asked.get("attributes", {}), attribute: value}}
    fields = {"category": "category_filter", "brand": "brand_filter"}
    return {**asked, fields[name]: value} if name in fields else {**asked, "in_stock": True}


class Asking:
    """Asks within one generation, or says that it has ended."""

    def __init__(self, shop: Searching) -> None:
        self._shop = shop
        self.generation: str | None = None

    def __call__(self, asked: Mapping[str, Any], **further: Any) -> Answered:
        request = SearchRequest.model_validate({**asked, **further})
        answer = self._shop.service.search(TENANT, request).answered
        assert answer.generation is not None
        if self.generation is None:
            self.generation = answer.generation
        if answer.generation != self.generation:
            raise Ended
        return answer


class Ended(Exception):
    """The index has changed."""


def check(asked: Mapping[str, Any], ask: Asking) -> None:
    """Every equation that the answer to this request takes part in."""
    answer = ask(asked, top_k=100)
    hits = all_pages(asked, answer, ask)
    ids = {hit.product_id for hit in hits}
    assert len(ids) == len(hits) == min(answer.total, MAX_READ)
    if asked["group"]:
        assert len({hit.group_id or hit.product_id for hit in hits}) == len(hits)
    admits = SearchRequest.model_validate(asked).predicate()
    assert all(admits(hit.fields) for hit in hits)
    for sort in SORTS:
        other = ask(asked, top_k=100, sort=sort)
        assert (other.total, other.facets) == (answer.total, answer.facets)
        if answer.total <= 100:
            assert {hit.product_id for hit in other.results} == ids
    for name, facet in answer.facets.items():
        if facet.relation == "eq":
            for narrowed, count in clicks(asked, name, facet):
                assert ask(narrowed).total == count, (name, narrowed)
                assert ask(narrowed, facets=[]).total == count, (name, narrowed)


def all_pages(asked: Mapping[str, Any], first: Answered, ask: Asking) -> list[Hit]:
    """The hits of all pages, up to `MAX_READ`."""
    hits = list(first.results)
    while len(hits) < min(first.total, MAX_READ):
        page = ask(asked, top_k=100, offset=len(hits)).results
        assert page
        hits += page
    return hits


def clicks(
    asked: Mapping[str, Any], name: str, facet: Facet
) -> Iterator[tuple[Mapping[str, Any], int]]:
    """The requests that some values of a facet lead to, and the totals that it promises."""
    if isinstance(facet, PriceFacet):
        for each in facet.ranges[:3]:
            yield {**asked, "price_min": each.min, "price_max": each.max}, each.count
        return
    for value in facet.values[:3]:
        if name != "availability" or value.value == "in_stock":
            yield clicked(asked, name, value.value), value.count


@contextmanager
def changing_prices(shop: Searching) -> Iterator[None]:
    """A worker that writes some new prices every second."""
    done = threading.Event()
    failed: list[Exception] = []

    def change() -> None:
        chance = random.Random(11)
        while not done.wait(1):
            try:
                for number in chance.sample(range(PRODUCTS), 8):
                    stored = shop.qdrant.get_product(TENANT, f"p{number}")
                    assert stored is not None
                    fields = {"price": chance.randrange(500, 9900) / 100}
                    product = stored.product.model_copy(update=fields)
                    shop.put_again(product, {Aspect.PRICE})
            except Exception as err:
                failed.append(err)
                raise

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(60)
    assert not failed


def test_answers_of_one_generation_agree_also_while_prices_change(shop: Searching) -> None:
    chance = random.Random(3)
    for _ in range(30):
        check_soon(requests(chance), shop)
    with changing_prices(shop):
        ended = sum(check_soon(requests(chance), shop) for _ in range(20))
    assert ended, "no price changed meanwhile"


def check_soon(asked: Mapping[str, Any], shop: Searching) -> int:
    """Checks the equations within a generation that lasts long enough; returns how many did not."""
    ended = 0
    while True:
        try:
            check(asked, Asking(shop))
        except Ended:
            ended += 1
            assert ended < 200
        else:
            return ended
