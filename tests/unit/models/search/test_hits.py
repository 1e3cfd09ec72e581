"""Hits: what they show of a product."""

from dataclasses import asdict

from shared.models.search.hits import Hit


def test_a_hit_names_absent_fields_too_and_shows_six_digits_of_its_score() -> None:
    hit = Hit.of({"id": "a", "name": "A", "image_url": "u", "tenant": "shop"}, 0.12345678)
    assert asdict(hit) == {
        "product_id": "a",
        "name": "A",
        "description": None,
        "price": None,
        "sale_price": None,
        "currency": None,
        "availability": None,
        "category": None,
        "brand": None,
        "sku": None,
        "gtin": None,
        "mpn": None,
        "url": None,
        "image_url": "u",
        "additional_image_urls": None,
        "group_id": None,
        "created_at": None,
        "attributes": {},
        "similarity_score": 0.123457,
        "score": None,
        "matched": [],
        "variants": 1,
        "explanation": None,
    }
