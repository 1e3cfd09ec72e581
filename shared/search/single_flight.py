"""One computation per key at a time; whoever asks meanwhile shares its result."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from shared.errors import SearchTimeout

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Shares computations between the threads of this process."""

    def __init__(self, timeout_seconds: float) -> None:
        """`timeout_seconds`: how long one waits for another's computation."""
        self._timeout_seconds = timeout_seconds
        self._flights: dict[str, Future[T]] = {}
        self._lock = threading.Lock()

    def run(self, key: str, compute: Callable[[], T]) -> T:
        """The result of `compute`, run here or already under way; its errors are shared too.

        Raises `SearchTimeout` if another's computation takes too long.
        """
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            try:
                return flight.result(self._timeout_seconds)
            except TimeoutError as err:
                raise SearchTimeout("the same search is being computed too slowly") from err
        try:
            flight.set_result(compute())
        except BaseException as err:
            flight.set_exception(err)
            raise
        finally:
            with self._lock:
                del self._flights[key]
        return flight.result()
