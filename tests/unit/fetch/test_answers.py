"""What an answer's headers and body mean."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.answers import (
    entity_tag,
    http_date,
    redirect_location,
    retry_after,
    status_fault,
)
from shared.fetch.http1 import Head
from shared.fetch.picture import Validators

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def answer(status: int, **headers: str) -> Head:
    return Head(
        status, {name.replace("_", "-").lower(): [value] for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999", 3600),
        ("9" * 5_000, 3600),
        ("-5", 0),
        ("1.5", 1.5),
        ("+5", 5),
        ("5 s", None),
        ("inf", None),
        ("nan", None),
        ("1e3", None),
        ("\u0665", None),
        ("soon", None),
        ("", None),
        ("Mon, 04 May 2026 12:00:30 GMT", 30),
        ("Mon, 04 May 2026 12:00:30 -0000", 30),
        ("Mon, 04 May 2026 14:00:30 +0200", 30),
        ("Mon, 04 May 2026 11:00:00 GMT", 0),
        ("Fri, 04 May 2096 12:00:00 GMT", 3600),
        ("Mon, 99 May 2026 12:00:00 GMT", None),
        ("Monday, 04-May-26 12:00:30 GMT", 30),
        ("Mon May  4 12:00:30 2026", 30),
        ("2026-05-04T12:00:30Z", 30),
        ("2026-05-04 12:00:30", 30),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("fields", [{}, {"Retry_After": "7"}])
def test_a_missing_picture_is_permanent(status: int, fields: dict[str, str]) -> None:
    fault = status_fault(answer(status, **fields))
    assert isinstance(fault, ItemPermanent)
    assert fault.code == ItemCode.IMAGE_NOT_FOUND


@pytest.mark.parametrize("status", [204, 205, 302, 305, 400, 401, 402, 403, 405, 406, 416, 451])
def test_other_refusals_are_permanent_unless_they_say_when_they_end(status: int) -> None:
    for value in ({}, {"Retry_After": "soon"}):
        fault = status_fault(answer(status, **value))
        assert isinstance(fault, ItemPermanent)
        assert fault.code == ItemCode.IMAGE_HTTP_ERROR
    for value, wait in (("7", 7), ("0", 0), ("Mon, 04 May 2026 12:00:30 GMT", 30)):
        passing = status_fault(answer(status, Retry_After=value), NOW)
        assert isinstance(passing, ItemTransient)
        assert passing.retry_after == wait


@pytest.mark.parametrize("status", [200, 201, 203, 207, 226, 299, 300])
def test_every_success_with_a_body_may_be_a_picture(status: int) -> None:
    assert status_fault(answer(status)) is None


@pytest.mark.parametrize(
    ("content_range", "whole"),
    [
        ("bytes 0-99/100", True),
        ("bytes 0-98/100", False),
        ("bytes 1-99/100", False),
        ("bytes 0-99/*", True),
        ("Bytes 0-99/100", True),
        ("bytes 1-99/*", False),
        ("bytes 0-100/100", True),
        ("bytes */100", True),
        ("bytes=0-99/100", True),
        ("junk", True),
        ("", True),
        (None, True),
    ],
)
def test_a_partial_answer_is_a_picture_unless_it_says_that_bytes_are_missing(
    content_range: str | None, whole: bool
) -> None:
    fields = {} if content_range is None else {"Content_Range": content_range}
    assert (status_fault(answer(206, **fields)) is None) == whole


@pytest.mark.parametrize("status", [202, 304, 408, 419, 420, 421, 423, 424, 425, 429, 430, 440])
@pytest.mark.parametrize("wait", [None, "7"])
def test_what_shops_and_proxies_say_for_later_is_transient(status: int, wait: str | None) -> None:
    fault = status_fault(answer(status, **({"Retry_After": wait} if wait else {})))
    assert isinstance(fault, ItemTransient)
    assert fault.retry_after == (7 if wait else None)


@pytest.mark.parametrize(
    "status", [408, 425, 429, 444, 449, 460, 498, 499, 500, 502, 503, 504, 509, 520, 530, 598, 599]
)
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
        (302, "/\xfc?\xe9=%20", "/%FC?%E9=%20"),
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
        ('"' + "x" * 998 + '"', True),
        ('"' + "x" * 999 + '"', False),
        ("*", False),
        ("W/*", False),
        ('""', False),
        ("7", False),
        ('"7', False),
        ('"7", *', False),
        ('"7", "8"', False),
        ('w/"7"', False),
        ("\x1c7", False),
        ('"\x0b"', False),
        ("", False),
        (None, False),
    ],
)
def test_an_etag_is_kept_and_sent_back_where_it_names_one_short_version(
    value: str | None, kept: bool
) -> None:
    assert entity_tag(value) == (value if kept else None)
    assert Validators(value, None).headers() == ({"If-None-Match": value} if kept else {})


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("Mon, 04 May 2026 12:00:00 GMT", True),
        ("Mon, 04 May 2026 12:00:00 GMT\x0b", False),
        ("*", False),
        ("yesterday", False),
        ("0", False),
        ("", False),
        (None, False),
    ],
)
def test_a_last_modified_is_kept_and_sent_back_where_it_is_a_date(
    value: str | None, kept: bool
) -> None:
    assert http_date(value) == (value if kept else None)
    assert Validators("*", value).headers() == ({"If-Modified-Since": value} if kept else {})


@given(st.text(st.characters(max_codepoint=255), max_size=40))
def test_no_header_is_more_than_unreadable(text: str) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or 0 <= wait <= 3600
    assert http_date(text) in (text, None)
