"""Bodies: bounded whatever the transfer."""

import gzip
import io
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from api.requests.batch import MAX_ITEMS, read_batch
from api.requests.bodies import (
    JSON,
    MAX_PRODUCT_BYTES,
    NDJSON,
    check_cost,
    content_type,
    parse_json,
    read_body,
)
from api.responses.problems import Problem
from shared.errors import EncoderBusy


def _request(body: bytes | io.RawIOBase, *, chunked: bool = False, **headers: str) -> Request:
    environ = EnvironBuilder(method="POST", headers=headers).get_environ()
    environ["wsgi.input"] = io.BytesIO(body) if isinstance(body, bytes) else body
    if isinstance(body, bytes) and not chunked:
        environ["CONTENT_LENGTH"] = str(len(body))
    if chunked:
        # As gunicorn has it: the stream ends where the body does.
        environ["wsgi.input_terminated"] = True
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    return Request(environ)


class Endless(io.RawIOBase):
    """A body without end, that counts what was taken of it."""

    def __init__(self, piece: Iterator[bytes]) -> None:
        self.taken = 0
        self._piece = piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = next(self._piece)[: len(buffer)]
        buffer[: len(piece)] = piece
        self.taken += len(piece)
        return len(piece)


def test_what_is_large_asks_for_a_place_once_before_it_is_held() -> None:
    asked: list[int] = []
    for length in (100, 101, 1000):
        asked.clear()
        body = read_body(_request(b"x" * length), 1000, free=100, admit=lambda: asked.append(1))
        assert len(body) == length
        assert len(asked) == (length > 100)

    def refuse() -> None:
        raise EncoderBusy("full")

    endless = Endless(iter(lambda: b"x" * 50, b""))
    with pytest.raises(EncoderBusy):
        read_body(_request(endless, chunked=True), 10**9, free=100, admit=refuse)


def _refusal(request: Request, limit: int = 1000) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        read_body(request, limit)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_up_to_the_bound_is_read_and_no_byte_more(chunked: bool) -> None:
    assert read_body(_request(b"x" * 1000, chunked=chunked), 1000) == b"x" * 1000
    assert _refusal(_request(b"x" * 1001, chunked=chunked)) == (413, "body_too_large")


@given(st.binary(max_size=5000), st.integers(0, 9), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_packed_bodies_are_unpacked_whatever_the_level_and_members(
    data: bytes, level: int, members: int
) -> None:
    size = -(-len(data) // members) or 1
    parts = [data[i : i + size] for i in range(0, len(data), size)] or [b""]
    packed = b"".join(gzip.compress(part, level) for part in parts)
    request = _request(packed, **{"Content-Encoding": "gzip"})
    assert read_body(request, 5000) == data


@pytest.mark.parametrize("size", [1000, 70_000, 300_000])
def test_the_bound_holds_for_what_is_unpacked(size: int) -> None:
    packed = gzip.compress(b"x" * size)
    headers = {"Content-Encoding": "gzip"}
    assert read_body(_request(packed, **headers), size) == b"x" * size
    assert _refusal(_request(packed, **headers), size - 1) == (413, "body_too_large")


def test_a_bomb_is_noticed_before_it_goes_off() -> None:
    bomb = gzip.compress(b"\0" * 2**27)
    request = _request(bomb, **{"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        assert _refusal(request, 2**20) == (413, "body_too_large")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_an_endless_body_is_read_to_a_bound_only() -> None:
    def pieces() -> Iterator[bytes]:
        while True:
            yield b" " * 65536

    body = Endless(pieces())
    assert _refusal(_request(body, chunked=True), 2**20) == (413, "body_too_large")
    assert body.taken < 80 * 2**20


def test_endless_empty_gzip_members_are_refused() -> None:
    member = gzip.compress(b"")

    def pieces() -> Iterator[bytes]:
        while True:
            yield member * 1000

    request = _request(Endless(pieces()), chunked=True, **{"Content-Encoding": "gzip"})
    assert _refusal(request) in ((400, "malformed"), (413, "body_too_large"))


def test_a_body_that_breaks_off_is_malformed() -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: Any) -> int:
            raise ConnectionResetError

    assert _refusal(_request(Broken(), chunked=True)) == (400, "malformed")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; Charset=UTF8"])
def test_an_accepted_content_type(kind: str) -> None:
    assert content_type(_request(b"", **{"Content-Type": kind}), JSON, NDJSON) == JSON


def test_an_overflowing_number_is_json_and_left_to_the_model() -> None:
    assert parse_json(b"1e400") == float("inf")


def test_cheap_bytes_that_cost_much_memory_are_refused_unparsed() -> None:
    check_cost(b"[" * 1_000_000)
    with pytest.raises(Problem) as caught:
        check_cost(b"[" * 1_000_001)
    assert caught.value.status == 413


@pytest.mark.parametrize(("mark", "most"), [(b":", 1_000_000), (b",", 4_000_000)])
def test_what_keeps_the_interpreter_busy_for_long_is_refused_unparsed(
    mark: bytes, most: int
) -> None:
    for share in (1.0, 0.05):
        allowed = int(most * share)
        assert parse_json(b'"' + mark * allowed + b'"', share=share)
        with pytest.raises(Problem) as caught:
            parse_json(b'"' + mark * (allowed + 1) + b'"', share=share)
        assert (caught.value.status, caught.value.code) == (413, "too_many_values")


def test_a_line_that_is_longer_than_a_product_may_be_is_rejected_unparsed() -> None:
    long = b'{"id":"' + b"a" * MAX_PRODUCT_BYTES + b'"}'
    good = b'{"id":"p","name":"n","image_url":"http://a/b"}'
    batch = read_batch(long + b"\n" + good, NDJSON)
    [rejected] = batch.rejected
    assert (rejected["position"], rejected["product_id"]) == (0, None)
    assert rejected["errors"][0]["code"] == "too_long"
    assert [change.product_id for change in batch.changes] == ["p"]


@pytest.mark.parametrize("media_type", [JSON, NDJSON])
def test_ten_thousand_items_are_read_in_their_order(media_type: str) -> None:
    item = b'{"id":"p%d","name":"n","image_url":"http://a/b"}'
    items = [item % number for number in range(MAX_ITEMS)]
    body = (
        b"\n".join(items) if media_type == NDJSON else b'{"products":[' + b",".join(items) + b"]}"
    )
    batch = read_batch(body, media_type)
    assert [(c.position, c.product_id) for c in batch.changes] == [
        (number, f"p{number}") for number in range(MAX_ITEMS)
    ]
    assert batch.rejected == []


def test_faults_by_the_million_end_the_reading() -> None:
    attributes = b",".join(b'"k%d":[%s]' % (n, b",".join([b"1"] * 64)) for n in range(64))
    item = b'{"id":"a","name":"n","image_url":"http://a/b","attributes":{%s}}' % attributes
    body = b'{"products":[' + b",".join([item] * 200) + b"]}"
    started = time.thread_time()
    with pytest.raises(Problem) as caught:
        read_batch(body, JSON)
    assert (caught.value.status, caught.value.code) == (413, "too_many_faults")
    assert time.thread_time() - started < 10


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (rb"\ud83d", "whole characters"),
        (rb"\ud83d and more", "whole characters"),
        (rb"\udc00", "whole characters"),
        (rb"\ud83d\u0041", "whole characters"),
        (rb"\ud83d\ud83d", "whole characters"),
        ("é".encode("latin-1"), "send the whole body in UTF-8"),
        ("€".encode("cp1252"), "send the whole body in UTF-8"),
        ("д".encode("koi8-r"), "send the whole body in UTF-8"),
        (b"\xed\xa0\xbd", "send the whole body in UTF-8"),
        (b"a\tb", r"a tab as \t"),
        (b"a\nb", r"a line break in a text as \n"),
        (b"a\0b", r"a line break"),
    ],
)
def test_what_people_send_most_often_instead_of_json_is_told_with_what_to_do(
    value: bytes, advice: str
) -> None:
    body = b'{"id": "a", "name": "' + value + b'"}'
    with pytest.raises(Problem) as caught:
        parse_json(body)
    assert (caught.value.status, advice in caught.value.detail) == (400, True), caught.value.detail
    for document, media_type in ((b'{"products": [' + body + b"]}", JSON), (body, NDJSON)):
        if media_type == NDJSON and b"\n" in value:
            continue  # two lines, each of them no JSON
        [rejected] = read_batch(document, media_type).rejected
        assert (rejected["product_id"], advice in rejected["errors"][0]["message"]) == ("a", True)
