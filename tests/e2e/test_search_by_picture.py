"""Searches by picture on real processes: drawn garments and the demo model, so with meaning."""

import base64
import io
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from demo.model.drawing import draw
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer

GARMENTS = ("shirt", "dress", "trousers")
COLOURS = ("red", "blue", "green")


def drawn(garment: str, colour: str, seed: int = 1) -> bytes:
    file = io.BytesIO()
    draw(garment, colour, "plain", seed=seed, size=256).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def garments(shop: Shop, pictures: PictureServer) -> Shop:
    products = [
        {
            "id": f"{colour}-{garment}",
            "name": "Garment",
            "image_url": pictures.add(f"/{colour}-{garment}.png", drawn(garment, colour)),
            "category": garment,
            "attributes": {"color": colour},
        }
        for garment, colour in itertools.product(GARMENTS, COLOURS)
    ]
    size = {**products[0], "id": "red-shirt-xl", "group_id": "red-shirt"}
    accepted = shop.call("POST", "/index-products", 202, json={"products": [*products, size]})
    assert shop.finished(accepted["job_id"])["state"] == "succeeded"
    return shop


def ids(answer: Mapping[str, Any]) -> list[str]:
    return [result["product_id"] for result in answer["results"]]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_picture_finds_its_product_by_url_base64_and_upload(
    garments: Shop, pictures: PictureServer
) -> None:
    data = drawn("dress", "blue")
    first = garments.search({"image_base64": encoded(data)})
    assert (first["query_type"], first["cached"]) == ("image", False)
    assert ids(first)[0] == "blue-dress"
    assert first["results"][0]["similarity_score"] == pytest.approx(1, abs=1e-4)
    by_url = garments.search({"image_url": pictures.url + "/blue-dress.png"})
    uploaded = garments.call("POST", "/search", files={"image": ("query.png", data)})
    for again in (by_url, uploaded):
        assert again["cached"]
        assert again["results"] == first["results"]


def test_another_picture_of_the_same_kind_finds_it_too(garments: Shop) -> None:
    found = garments.search({"image_base64": encoded(drawn("dress", "green", seed=7))})
    assert ids(found)[0] == "green-dress"
    only_red = garments.call(
        "POST",
        "/search",
        files={"image": ("query.png", drawn("dress", "green", seed=7))},
        data={"attributes": '{"color": "red"}', "top_k": "1"},
    )
    assert ids(only_red) == ["red-dress"]


def test_a_picture_and_words_together_find_what_is_like_both(garments: Shop) -> None:
    mixed = garments.search(
        {"image_base64": encoded(drawn("dress", "blue", seed=5)), "text_query": "red dress"}
    )
    assert mixed["query_type"] == "mixed"
    assert set(ids(mixed)[:2]) == {"red-dress", "blue-dress"}
    by_product = garments.search({"product_id": "blue-shirt", "text_query": "blue trousers"})
    assert set(ids(by_product)[:2]) == {"blue-shirt", "blue-trousers"}


def test_similar_leaves_out_the_product_and_its_group(garments: Shop) -> None:
    each = garments.search({"product_id": "red-shirt-xl", "group": False})
    assert ids(each)[:2] == ["red-shirt", "red-shirt-xl"]
    for product_id in ("red-shirt", "red-shirt-xl"):
        similar = garments.call("GET", f"/similar?product_id={product_id}&top_k=3")
        assert not {"red-shirt", "red-shirt-xl"} & set(ids(similar))
        assert len(similar["results"]) == 3
    again = garments.call("GET", "/similar?product_id=red-shirt-xl&top_k=3")
    assert again["cached"]


def test_the_picture_is_embedded_once_however_often_it_is_searched_by(garments: Shop) -> None:
    query = {"image_base64": encoded(drawn("trousers", "red", seed=99))}
    before = garments.metric(r'embeddings_total\{kind="image"')
    for top_k in (3, 4, 4, 5):
        garments.search({**query, "top_k": top_k})
    assert garments.metric(r'embeddings_total\{kind="image"') == before + 1


def test_what_is_no_picture_is_refused_with_its_code(
    garments: Shop, pictures: PictureServer
) -> None:
    page = pictures.add("/page.html", b"<html>no picture</html>")
    for query, code in (
        ({"image_url": page}, "not_an_image"),
        ({"image_url": pictures.url + "/nothing"}, "image_not_found"),
        ({"image_url": "http://169.254.169.254/"}, "image_blocked_address"),
    ):
        assert garments.call("POST", "/search", 422, json=query)["code"] == code
