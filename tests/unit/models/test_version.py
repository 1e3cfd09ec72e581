"""A version that is a time of the far future would lock its product; counters are none of those."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.requests.parameters import DeleteParameters
from api.requests.validation import Invalid, validated
from shared.models.product import Product
from shared.models.version import MAX_VERSION, NOW

# 27 November 2026, 22:00 UTC
SOME_NOW = datetime(2026, 11, 27, 22, tzinfo=UTC).timestamp()
DAY = 86_400
UNITS = [1, 10**3, 10**6]


def taken(version: int, now: float = SOME_NOW) -> bool:
    fields = {"id": "a", "name": "a", "image_url": "https://a.example/a.jpg", "version": version}
    try:
        Product.model_validate(fields, context={NOW: now})
    except ValueError as err:
        assert "version_ahead" in str(err)
        return False
    return True


@given(st.floats(-50 * 365 * DAY, DAY), st.sampled_from(UNITS))
@example(DAY, 1)
@example(DAY, 10**6)
@example(0, 10**3)
def test_times_of_the_past_and_of_the_next_day_are_taken(ahead: float, unit: int) -> None:
    assert taken(int((SOME_NOW + ahead) * unit))


@given(st.floats(DAY + 1, 200 * 365 * DAY), st.sampled_from(UNITS))
@example(DAY + 1, 1)
@example(365 * DAY, 10**3)
@example(73 * 365 * DAY, 10**6)
def test_times_further_ahead_are_refused_unless_they_read_as_a_date(
    ahead: float, unit: int
) -> None:
    version = int((SOME_NOW + ahead) * unit)
    if taken(version):
        assert int(str(version)[:4]) in range(2000, 2027) or len(str(version)) == 10


@given(st.integers(0, MAX_VERSION))
@example(999_999_999)
@example(10**10)
@example(10**12 - 1)
@example(10**13)
@example(10**15 - 1)
def test_numbers_that_look_like_no_time_are_taken(version: int) -> None:
    if len(str(version)) not in (10, 13, 16):
        assert taken(version)


COUNTERS = [
    0,
    7,
    20241102,
    202411021030,
    20241102103000,
    2024110210,  # with the hour, or a serial number as zones of the DNS have it
    2026112700,
    2026112899,
    2411021030,  # with two digits for the year
    2026112700001,  # with a serial number
    2026112721430055,  # with hundredths of a second
    2026112721430,
    1_700_000_000,
    2**31 - 1 - 400_000_000,
    MAX_VERSION,
]


@pytest.mark.parametrize("version", COUNTERS)
def test_counters_are_taken_those_made_of_dates_too(version: int) -> None:
    assert taken(version)


AHEAD = [
    2**31 - 1,
    2**32 - 1,
    4_102_444_800,  # 2100
    9_999_999_999,
    4_102_444_800_000,
    9_999_999_999_999,
    4_102_444_800_000_000,
    int(SOME_NOW * 1000) + 365 * DAY * 1000,
    2027010100,  # a date, and ahead
    2026113000,
    2611291030,
]


@pytest.mark.parametrize("version", AHEAD)
def test_what_would_lock_a_product_is_refused_on_puts_and_on_deletes(version: int) -> None:
    assert not taken(version)
    fields = {"id": "a", "name": "a", "image_url": "https://a.example/a.jpg", "version": version}
    for model, data in ((Product, fields), (DeleteParameters, {"version": version})):
        with pytest.raises(Invalid) as caught:
            validated(model, data)
        assert [(each["field"], each["code"]) for each in caught.value.faults] == [
            ("version", "version_ahead")
        ]


def test_what_was_accepted_once_stays_good_whatever_a_workers_clock_says() -> None:
    fields = {"id": "a", "name": "a", "image_url": "https://a.example/a.jpg", "version": 4 * 10**12}
    assert Product.model_validate(fields).version == 4 * 10**12
