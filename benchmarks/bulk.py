"""Bulk that never ends, for measuring what happens beside it."""

import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeVar

from benchmarks import counters
from benchmarks.bench import Bench
from benchmarks.http_load import Connection

Result = TypeVar("Result")

_PER_CALL: Final = 128
_ALWAYS_PENDING: Final = 192
"""Three claims: the worker never runs out."""

_LOOK_SECONDS: Final = 0.5


class Bulk:
    """As pictures land, more are pushed. On leaving, the rest is awaited."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._connection = Connection(bench.stack.api_url)
        self._over = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._feed)

    def rate_during(self, do: Callable[[], Result]) -> tuple[float, Result]:
        """Pictures per second while `do` runs, and its result.

        Counted from the first forward pass that ends after the start to the first that ends after
        the end.
        """
        first = counters.at_change(self._bench.connection, counters.PICTURES)
        result = do()
        last = counters.at_change(self._bench.connection, counters.PICTURES)
        if self._failed:
            raise self._failed[0]
        rate = (last[counters.PICTURES] - first[counters.PICTURES]) / (last.at - first.at)
        return rate, result

    def __enter__(self) -> "Bulk":
        self._push()
        self._thread.start()
        for _ in range(2):  # all stages are busy once the first batches are through
            counters.at_change(self._bench.connection, counters.PICTURES)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()
        if error is None:
            counters.nothing_pending(self._bench.connection)

    def _feed(self) -> None:
        try:
            while not self._over.is_set():
                if counters.read(self._connection).pending < _ALWAYS_PENDING:
                    self._push()
                else:
                    self._over.wait(_LOOK_SECONDS)
        except BaseException as err:
            self._failed.append(err)

    def _push(self) -> None:
        body = json.dumps({"products": self._bench.new_products(_PER_CALL)}).encode()
        self._connection.call("POST", "/index-products", body)
