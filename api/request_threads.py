"""The threads that serve the API's requests."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from api.connections import Connection


class RequestThreads:
    """Serves connections in the order in which they are submitted.

    An executor would make a future of each request, with locks of its own, that nobody waits for:
    a sixth of what a small request takes outside the application.
    """

    def __init__(self, threads: int, serve: Callable[[Connection], None]) -> None:
        """`serve` raises nothing."""
        self._serve = serve
        self._submitted: SimpleQueue[Connection | None] = SimpleQueue()
        self._threads = [
            # What is still in work when the grace of a stop is over does not hold up the process.
            threading.Thread(target=self._work, name=f"request_{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, conn: Connection) -> None:
        """To be served by the next thread that is free."""
        self._submitted.put(conn)

    def shutdown(self, *, wait: bool) -> None:
        """Ends the threads once all that was submitted has been served."""
        for _ in self._threads:
            self._submitted.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (conn := self._submitted.get()) is not None:
            self._serve(conn)
