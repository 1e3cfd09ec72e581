"""Nothing accepted is lost: real processes are killed, cut off and frozen while they work.

`make test` injects each fault a few times, `make test-reliability` (`--faults=long`) as often and
as long as it takes to believe it, and prints a table.
"""

from tests.reliability.faults import index, ledger
from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.poison import poison_one_of_many
from tests.reliability.faults.stack import FaultyStack
from tests.reliability.faults.table import Row
from tests.reliability.faults.workers import kill_workers


def test_workers_killed_with_9(
    stack: FaultyStack, catalogue: Catalogue, row: Row, long: bool
) -> None:
    kill_workers(stack, catalogue, row, kills=200 if long else 6)


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
