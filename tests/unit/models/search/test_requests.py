"""Search requests: their sources."""

import base64
from typing import Any

import pytest

from shared.models.search.requests import SearchRequest

PICTURE = bytes(range(256))
ENCODED = base64.b64encode(PICTURE).decode()


@pytest.mark.parametrize(
    ("fields", "query_type"),
    [
        ({"text_query": "a"}, "text"),
        ({"image_url": "http://a/b"}, "image"),
        ({"image_base64": ENCODED}, "image"),
        ({"product_id": "p"}, "product"),
        ({"text_query": "a", "image_url": None}, "text"),
        ({"text_query": "a", "product_id": "p"}, "mixed"),
        ({"image_url": "http://a/b", "image_base64": ENCODED}, "mixed"),
        (
            {
                "text_query": "a",
                "image_url": "http://a/b",
                "image_base64": ENCODED,
                "product_id": "p",
            },
            "mixed",
        ),
    ],
)
def test_one_source_names_the_type_and_several_are_a_mix(
    fields: dict[str, Any], query_type: str
) -> None:
    request = SearchRequest.model_validate(fields)
    assert request.query_type == query_type
    assert request.has_picture == any(name.startswith("image") and fields[name] for name in fields)


def test_base64_and_bytes_are_the_same_picture() -> None:
    for given in (ENCODED, PICTURE):
        assert SearchRequest.model_validate({"image_base64": given}).image == PICTURE
