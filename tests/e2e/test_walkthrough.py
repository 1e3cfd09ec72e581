"""The contract's walk-through, as written, on real processes."""

import io

import pytest

from demo.model.drawing import draw
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer


def shirt(pictures: PictureServer, colour: str) -> str:
    file = io.BytesIO()
    draw("shirt", colour, "plain", seed=1, size=256).save(file, "PNG")
    return pictures.add(f"/{colour}.png", file.getvalue())


@pytest.fixture
def shirts(shop: Shop, pictures: PictureServer) -> Shop:
    for product_id, colour, price in (
        ("prod_001", "red", 29.99),
        ("prod_002", "blue", 34.99),
        ("prod_003", "pink", 32.99),
    ):
        answer = shop.index(
            {
                "id": product_id,
                "name": f"{colour.title()} Shirt",
                "image_url": shirt(pictures, colour),
                "category": "clothing",
                "price": price,
            }
        )
        assert answer["status"] == "success"
        assert answer["outcome"] == "indexed"
    return shop


def test_the_walk_through(shirts: Shop) -> None:
    query = {"text_query": "red shirt", "top_k": 10}
    first = shirts.search(query)
    assert first["total_results"] == 3
    assert first["results"][0]["product_id"] == "prod_001"
    assert first["query_type"] == "text"
    assert not first["cached"]

    again = shirts.search(query)
    assert again["results"] == first["results"]
    assert again["cached"]

    def found(more: dict[str, object]) -> list[str]:
        return [result["product_id"] for result in shirts.search({**query, **more})["results"]]

    assert found({"price_max": 29.99}) == ["prod_001"]
    assert found({"category_filter": "shoes"}) == []
    assert found({"text_query": "t-shirt rouge"})[0] == "prod_001"

    deleted = shirts.call("DELETE", "/products/prod_001", 202)
    assert shirts.finished(deleted["job_id"])["counts"]["deleted"] == 1
    assert "prod_001" not in found({})
    shirts.call("GET", "/products/prod_001", 404)
    listed = shirts.call("GET", "/products?limit=100")["products"]
    assert {"prod_002", "prod_003"} <= {product["id"] for product in listed}
