"""The API takes the URLs that can be fetched, and says of others what is wrong with them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.fetch.urls import parse_picture_url
from shared.models.product import ImageUrl

URL: TypeAdapter[str] = TypeAdapter(ImageUrl)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/a.jpg",
        " https://shop.example/a.jpg\r\n",
        "\thttps://shop.example/red shirt.jpg ",
        "https://shop.example/été (1).jpg?s=a b",
        "https://shop.example/a\\b.jpg",
        "https://shop.example/100%.jpg?s=%2b",
        "https://shop.example/a\xa0b.jpg",
        "https://bücher.example/[1]|{2}.jpg",
        "https:shop.example/a.jpg",
        "HTTPS:\\\\shop.example\\a.jpg",
        "https:///shop.example/a.jpg?",
    ],
)
def test_what_browsers_show_is_taken_trimmed(url: str) -> None:
    taken = URL.validate_python(url)
    assert taken == url.strip()
    assert parse_picture_url(taken) == parse_picture_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/a\r\nb",
        "https://shop.example/a\tb",
        "https://shop.example/\0",
        "https://shop.example/\x7f",
        "https://shop.example/\x85",
        "https://shop.example/\ud800",
        "shop.example/a.jpg",
        "ftp://shop.example/a.jpg",
        "https://",
        "https://shop.example:65536/",
        "https://1.2.3.999/",
        " ",
    ],
)
def test_what_nobody_can_fetch_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        URL.validate_python(url)
