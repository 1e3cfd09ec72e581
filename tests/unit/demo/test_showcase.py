"""The picture of search answers."""

import io

from PIL import Image

from demo.client import Searched
from demo.showcase import Row, filters, picture_of


def test_filters_are_told_in_words() -> None:
    request = {"text_query": "bag", "category_filter": "shoes", "price_min": 0, "price_max": 59.5}
    assert filters(request) == ["shoes", "price ≥ 0", "price ≤ 59.5"]
    assert filters({"text_query": "bag", "top_k": 5}) == []


def test_results_stand_in_their_order_and_may_be_few() -> None:
    red, blue = (255, 0, 0), (0, 0, 255)
    results = [
        {"product_id": name, "name": f"{name} {'x' * 60}", "price": None, "similarity_score": 0.3}
        for name in ("red", "blue")
    ]
    found = Searched({"text_query": "a very long query " * 4}, results, 12.0, 15.0, False)
    none = Searched({"text_query": "nothing"}, [], 12.0, 15.0, True)
    sheet = picture_of(
        [Row(found, None, [_png(red), _png(blue)]), Row(none, none, [])], products=2
    ).convert("RGB")
    x_of = {
        colour: [
            x
            for x in range(sheet.width)
            if max(abs(a - b) for a, b in zip(_at(sheet, x), colour, strict=True)) < 40
        ]
        for colour in (red, blue)
    }
    assert x_of[red]
    assert x_of[blue]
    assert max(x_of[red]) < min(x_of[blue])


def _at(sheet: Image.Image, x: int) -> tuple[int, int, int]:
    pixel = sheet.getpixel((x, 240))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def _png(colour: tuple[int, int, int]) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(content, "PNG")
    return content.getvalue()
