"""What runs beside other work and what runs alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.waiting import wait_until
from worker.together_or_alone import TogetherOrAlone


def test_all_are_let_in_in_the_order_in_which_they_came() -> None:
    line, order = TogetherOrAlone(), []
    may_end = threading.Event()

    def first() -> None:
        with line.together():
            may_end.wait(60)

    def alone(name: str) -> None:
        with line.alone():
            order.append(name)

    def together(name: str) -> None:
        with line.together():
            order.append(name)

    with ThreadPoolExecutor(5) as threads:
        threads.submit(first)
        wait_until(lambda: line._let_in == 1)
        for at, (work, name) in enumerate(
            [(alone, "a"), (together, "b"), (alone, "c"), (together, "d")], start=2
        ):
            threads.submit(work, name)
            wait_until(lambda at=at: line._came == at)  # type: ignore[misc]
        assert order == []
        may_end.set()
    assert order == ["a", "b", "c", "d"]


def test_nothing_runs_beside_what_runs_alone() -> None:
    line, now, most = TogetherOrAlone(), [0, 0], []

    def work(*, alone: bool) -> None:
        for _ in range(50):
            with line.alone() if alone else line.together():
                now[alone] += 1
                most.append(tuple(now))
                time.sleep(0.0001)
                now[alone] -= 1

    with ThreadPoolExecutor(6) as threads:
        for at in range(6):
            threads.submit(work, alone=at % 2 == 0)
    assert {seen for seen in most if seen[1]} == {(0, 1)}


def test_others_run_beside_each_other() -> None:
    line, both = TogetherOrAlone(), threading.Barrier(2)

    def meet() -> None:
        with line.together():
            both.wait(60)

    with ThreadPoolExecutor(2) as threads:
        for met in [threads.submit(meet) for _ in range(2)]:
            met.result(60)


def test_a_block_that_fails_lets_the_next_one_in() -> None:
    line = TogetherOrAlone()
    for block in (line.alone, line.together, line.alone):
        with pytest.raises(ZeroDivisionError), block():
            1 / 0  # noqa: B018
    with line.alone():
        pass
