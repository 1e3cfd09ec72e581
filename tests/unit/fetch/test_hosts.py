"""Servers in trouble are left alone, others are not, and nobody for ever."""

import time

import pytest

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.faults import bad_answer
from shared.fetch.hosts import FAILURES_IN_A_ROW, Hosts, PicturePutOff

PAUSE = 0.2
TIMEOUT = ItemTransient(ItemCode.IMAGE_TIMEOUT, "slow")
PATIENCE = ItemTransient(ItemCode.IMAGE_HTTP_ERROR, "HTTP 429", 3_600.0)


def visit(hosts: Hosts, fault: Exception | None = None, authority: str = "shop.example") -> None:
    with hosts.visit(authority):
        if fault is not None:
            raise fault


def fail(hosts: Hosts, fault: Exception, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(type(fault)) as caught:
            visit(hosts, fault)
        assert caught.value is fault


@pytest.fixture
def hosts() -> Hosts:
    return Hosts(PAUSE, chance=lambda: 0.5)


def test_after_five_failures_in_a_row_a_server_is_left_alone_and_then_tried_by_one(
    hosts: Hosts,
) -> None:
    fail(hosts, TIMEOUT, FAILURES_IN_A_ROW)
    with pytest.raises(ItemTransient, match="slow") as caught:
        visit(hosts)
    assert caught.value.code == ItemCode.IMAGE_TIMEOUT
    assert not isinstance(caught.value, PicturePutOff)
    assert 0 < (caught.value.retry_after or 0) < 2 * PAUSE
    visit(hosts, authority="shop.example:8080")
    time.sleep(PAUSE)
    with hosts.visit("shop.example"), pytest.raises(ItemTransient, match="slow"):
        visit(hosts)  # the others wait for the one that is under way
    visit(hosts)
    fail(hosts, TIMEOUT, FAILURES_IN_A_ROW - 1)


def test_one_failure_after_a_pause_is_enough_for_the_next(hosts: Hosts) -> None:
    fail(hosts, TIMEOUT, FAILURES_IN_A_ROW)
    time.sleep(PAUSE)
    fail(hosts, TIMEOUT)
    with pytest.raises(ItemTransient):
        visit(hosts)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        ItemPermanent(ItemCode.IMAGE_NOT_FOUND, "404"),
        ItemTransient(ItemCode.IMAGE_HTTP_ERROR, "500"),
        bad_answer("cut off"),
    ],
)
def test_a_server_that_answers_in_between_is_not_dead(
    hosts: Hosts, answer: Exception | None
) -> None:
    for _ in range(3):
        fail(hosts, TIMEOUT, FAILURES_IN_A_ROW - 1)
        if answer is None:
            visit(hosts)
        else:
            fail(hosts, answer)
    visit(hosts)


def test_who_asks_for_an_hour_puts_off_other_pictures_for_a_pause_only(hosts: Hosts) -> None:
    fail(hosts, PATIENCE)
    with pytest.raises(PicturePutOff) as caught:
        visit(hosts)
    assert 0 < (caught.value.retry_after or 0) < 2 * PAUSE
    time.sleep(PAUSE)
    visit(hosts)


def test_refusals_of_requests_sent_together_count_as_one(hosts: Hosts) -> None:
    with pytest.raises(ItemTransient):  # noqa: SIM117
        with hosts.visit("shop.example"):
            fail(hosts, PATIENCE)
            raise PATIENCE
    assert hosts._troubled["shop.example"].failures == 1


def test_refusing_time_and_again_is_failing(hosts: Hosts) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        fail(hosts, PATIENCE)
        time.sleep(PAUSE)
    fail(hosts, PATIENCE)
    with pytest.raises(ItemTransient) as caught:
        visit(hosts)
    assert not isinstance(caught.value, PicturePutOff)


def test_names_without_number_are_forgotten(hosts: Hosts) -> None:
    for number in range(1_000):
        with pytest.raises(ItemTransient):
            visit(hosts, TIMEOUT, f"{number}.example")
    fail(hosts, TIMEOUT)
    assert set(hosts._troubled) == {"shop.example"}
