"""Nothing accepted is lost: real processes are killed, cut off and frozen while they work.

`make test` injects each fault a few times, `make test-reliability` (`--faults=long`) as often and
as long as it takes to believe it, and prints a table.
"""

from pathlib import Path

import pytest

from tests.reliability.faults import draining, everything, index, ledger, memory, repeats
from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.poison import poison_one_of_many
from tests.reliability.faults.stack import FaultyStack
from tests.reliability.faults.table import Row
from tests.reliability.faults.workers import kill_workers


def test_workers_killed_with_9(
    stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool
) -> None:
    kills, fast_for_each = (200, 2) if long else (10, 4)
    kill_workers(stack, catalogue, row, kills, fast_for_each)


@pytest.mark.long_only  # in short: tests/integration/worker/test_suspects.py and test_reconciler.py
def test_a_picture_that_kills_its_worker(
    stack: FaultyStack, catalogue: Catalogue, row: Row
) -> None:
    poison_one_of_many(stack, catalogue, row)


def test_connections_to_the_ledger_cut(
    stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool
) -> None:
    ledger.cut_connections(stack, catalogue, row, times=20 if long else 3)


def test_the_ledger_killed(stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool) -> None:
    ledger.kill_redis(stack, catalogue, row, times=20 if long else 1)


def test_the_ledger_frozen(stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool) -> None:
    ledger.freeze_redis(stack, catalogue, row, seconds=60.0 if long else 8.0)


def test_qdrant_killed(stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool) -> None:
    index.kill_qdrant(stack, catalogue, row, times=20 if long else 1)


def test_qdrant_frozen(stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool) -> None:
    index.freeze_qdrant(stack, catalogue, row, times=5 if long else 1)


def test_qdrant_away(stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool) -> None:
    """With leases of 30 s, 120 of them are an hour."""
    index.outlast_an_outage(stack, catalogue, row, leases=120 if long else 3)


def test_the_cache_gone(stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool) -> None:
    index.lose_the_cache(stack, catalogue, row, times=5 if long else 1)


def test_a_key_used_by_many_at_once(catalogue: Catalogue, row: Row, long: bool) -> None:
    repeats.post_at_once(catalogue, row, times=20 if long else 1)


def test_the_api_killed_before_its_answer(
    stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool
) -> None:
    repeats.kill_the_api(stack, catalogue, row, times=5 if long else 1)


def test_memory_used_up(stack: FaultyStack, catalogue: Catalogue, row: Row) -> None:
    memory.fill_redis(stack, catalogue, row)


def test_memory_over_time(tmp_path: Path, row: Row, long: bool) -> None:
    seconds, retention = (600.0, 60) if long else (2.0, 1)
    assert memory.traffic_for(tmp_path, row, seconds, retention) < 0.01


def test_everything_killed_at_once(
    stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool
) -> None:
    everything.kill_everything(stack, catalogue, row, times=5 if long else 1)


def test_workers_told_to_stop(
    stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool
) -> None:
    draining.stop_workers(stack, catalogue, row, times=10 if long else 1)


def test_rolling_restart_under_load(
    stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool
) -> None:
    draining.restart_in_turns(stack, catalogue, row, rounds=5 if long else 0)
