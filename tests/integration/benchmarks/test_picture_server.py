"""The benchmark's picture server, asked as the worker asks."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from benchmarks.photos import drawn_photos
from benchmarks.picture_server import PictureServer, content_sha256, etag
from shared.embedding.decoding.pictures import decode_picture
from shared.errors import ItemCode, ItemPermanent
from shared.fetch.fetcher import Fetcher
from shared.fetch.picture import Validators

PHOTO = drawn_photos(1)[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureServer]:
    folder: Path = tmp_path_factory.mktemp("pictures")
    (folder / "0.jpg").write_bytes(PHOTO)
    with PictureServer(folder) as serving:
        yield serving


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    made = Fetcher(
        [ip_network("127.0.0.0/8")], max_bytes=10_000_000, timeout_seconds=10, connections=2
    )
    yield made
    made.close()


def test_each_url_has_bytes_and_an_etag_of_its_own(server: PictureServer, fetcher: Fetcher) -> None:
    for query in ("of=1", "of=2"):
        fetched = fetcher.fetch(f"{server.base_url}/0.jpg?{query}")
        assert fetched.data == PHOTO + query.encode()
        assert fetched.etag == etag("0.jpg", query)
        assert decode_picture(fetched.data, 10_000_000).size == (800, 1000)


def test_who_has_a_picture_is_told_so(server: PictureServer, fetcher: Fetcher) -> None:
    url = f"{server.base_url}/0.jpg?of=1"
    assert fetcher.fetch_if_changed(url, Validators(etag("0.jpg", "of=1"), None)) is None
    assert fetcher.fetch_if_changed(url, Validators(etag("0.jpg", "of=2"), None)) is not None


def test_an_unknown_picture_is_not_found(server: PictureServer, fetcher: Fetcher) -> None:
    with pytest.raises(ItemPermanent) as fault:
        fetcher.fetch(f"{server.base_url}/1.jpg")
    assert fault.value.code == ItemCode.IMAGE_NOT_FOUND


def test_the_digest_is_that_of_what_is_served() -> None:
    assert content_sha256(b"a", "b") == (
        "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"  # sha256sum of "ab"
    )


def test_photos_weigh_what_photos_weigh_and_are_always_the_same() -> None:
    assert 100_000 < len(PHOTO) < 160_000
    assert drawn_photos(2)[0] == PHOTO != drawn_photos(2)[1]
