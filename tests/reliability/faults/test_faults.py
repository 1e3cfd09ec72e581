"""Nothing accepted is lost: real processes are killed, cut off and frozen while they work.

`make test` injects each fault a few times, `make test-reliability` (`--faults=long`) as often and
as long as it takes to believe it, and prints a table.
"""

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
