"""What an answer's headers and body mean."""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from urllib3 import HTTPResponse

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.answers import (
    read_body,
    redirect_location,
    retry_after,
    status_fault,
    validator,
)

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def answer(status: int, **headers: str) -> HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HTTPResponse(status=status, headers=named)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999", 3600),
        ("9" * 5_000, None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Mon, 04 May 2026 12:00:30 GMT", 30),
        ("Mon, 04 May 2026 12:00:30 -0000", 30),
        ("Mon, 04 May 2026 14:00:30 +0200", 30),
        ("Mon, 04 May 2026 11:00:00 GMT", 0),
        ("Fri, 04 May 2096 12:00:00 GMT", 3600),
        ("Mon, 99 May 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_picture_is_permanent(status: int) -> None:
    fault = status_fault(answer(status))
    assert isinstance(fault, ItemPermanent)
    assert fault.code == ItemCode.IMAGE_NOT_FOUND


@pytest.mark.parametrize("status", [201, 204, 206, 300, 302, 304, 400, 401, 403, 405, 451])
def test_other_refusals_are_permanent(status: int) -> None:
    fault = status_fault(answer(status))
    assert isinstance(fault, ItemPermanent)
    assert fault.code == ItemCode.IMAGE_HTTP_ERROR


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 599])
def test_passing_faults_are_transient_and_carry_the_wait(status: int) -> None:
    fault = status_fault(answer(status, Retry_After="12"), NOW)
    assert isinstance(fault, ItemTransient)
    assert fault.code == ItemCode.IMAGE_HTTP_ERROR
    assert fault.retry_after == 12


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        (302, "/b", "/b"),
        (308, "/b", "/b"),
        (302, "/\xc3\xbc", "/ü"),
        (302, "/\xfc", "/ü"),
        (302, "", None),
        (304, "/b", None),
        (200, "/b", None),
    ],
)
def test_a_redirect_needs_a_redirecting_status_and_a_location(
    status: int, location: str, expected: str | None
) -> None:
    assert redirect_location(answer(status, Location=location)) == expected


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('"7"', True),
        ('W/"7 a\xfc"', True),
        ("Mon, 04 May 2026 12:00:00 GMT", True),
        ('"' + "x" * 998 + '"', True),
        ('"' + "x" * 999 + '"', False),
        ("\x1c7", False),
        ('"\x0b"', False),
        ("", False),
        (None, False),
    ],
)
def test_a_validator_is_kept_where_it_is_short_and_can_be_sent_back(
    value: str | None, kept: bool
) -> None:
    assert validator(value) == (value if kept else None)


def test_a_body_of_exactly_the_limit_is_taken_whole() -> None:
    assert read_body([b"ab", b"cd"], None, 4) == b"abcd"


def test_a_body_beyond_the_limit_is_not_read_further() -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"x" * 10

    with pytest.raises(ItemPermanent) as refused:
        read_body(endless(), None, 95)
    assert refused.value.code == ItemCode.IMAGE_TOO_LARGE
    assert len(taken) == 10


@pytest.mark.parametrize("packed", [False, True])
def test_room_is_made_once_before_a_body_takes_more_than_it_has(packed: bool) -> None:
    events: list[str] = []
    data = random.Random(1).randbytes(2**20)
    sent = gzip.compress(data, mtime=0) if packed else data

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(sent), 2**18):
            events.append("chunk")
            yield sent[start : start + 2**18]

    coding = "gzip" if packed else None
    got = read_body(chunks(), coding, 2**21, 2**19, lambda: events.append("room"))
    assert got == data
    assert events[:4] == ["chunk"] * 3 + ["room"]
    assert events.count("room") == 1


def test_a_body_that_is_packed_a_thousandfold_is_unpacked_bit_by_bit() -> None:
    def refuse() -> None:
        raise MemoryError

    packed = gzip.compress(bytes(100_000_000), mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(MemoryError):
            read_body([packed], "gzip", 10**9, 2**20, refuse)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "deflate"])
def test_a_packed_body_is_unpacked(coding: str) -> None:
    packed = (
        zlib.compress(b"picture") if coding == "deflate" else gzip.compress(b"picture", mtime=0)
    )
    assert read_body([packed[:9], packed[9:]], coding, 100) == b"picture"


@pytest.mark.parametrize(
    ("body", "coding", "code"),
    [
        (gzip.compress(bytes(1_000_000), mtime=0), "gzip", ItemCode.IMAGE_TOO_LARGE),
        (gzip.compress(b"picture" * 9, mtime=0)[:-9], "gzip", ItemCode.IMAGE_CORRUPT),
        (b"not gzip at all", "gzip", ItemCode.IMAGE_CORRUPT),
        (b"", "gzip", ItemCode.IMAGE_CORRUPT),
        (gzip.compress(b"", mtime=0), "gzip", ItemCode.NOT_AN_IMAGE),
        (b"", None, ItemCode.NOT_AN_IMAGE),
        (b"", "identity", ItemCode.NOT_AN_IMAGE),
        (b"picture", "br", ItemCode.IMAGE_HTTP_ERROR),
        (b"picture", "gzip, gzip", ItemCode.IMAGE_HTTP_ERROR),
    ],
)
def test_a_bad_body_is_a_named_fault(body: bytes, coding: str | None, code: ItemCode) -> None:
    with pytest.raises(ItemPermanent) as refused:
        read_body([body] if body else [], coding, 2_000)
    assert refused.value.code == code
