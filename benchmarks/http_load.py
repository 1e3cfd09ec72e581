"""Requests over kept connections from several threads, and the time that each took.

`http.client` costs this process some 0.15 ms a request: at 1,000 requests/s that is a sixth of a
core that the service doesn't get. No thread does anything else meanwhile.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

_PREFIX: Final = "/api/v1"
_TIMEOUT_SECONDS: Final = 120.0


class Connection:
    """One connection to the API, kept open. Use it in one thread."""

    def __init__(self, api_url: str) -> None:
        self._connection = http.client.HTTPConnection(
            urlsplit(api_url).netloc, timeout=_TIMEOUT_SECONDS
        )

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The JSON answer. Raises RuntimeError for anything but a success."""
        return json.loads(self.raw(method, _PREFIX + path, body))

    def raw(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer's bytes; `path` is the whole one."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return content

    def search(self, text: str, **asked: object) -> Any:
        """The answer to a search by words."""
        body = json.dumps({"text_query": text, "top_k": 10, **asked})
        return self.call("POST", "/search", body.encode())

    def close(self) -> None:
        """Closes it."""
        self._connection.close()


Request = Callable[[Connection, int], object]
"""Makes the request of a number."""


def closed_loop(
    api_url: str, clients: int, count: int, make: Request, first: int = 0
) -> list[float]:
    """Seconds of the requests number `first` to `first + count - 1`, made by `clients` threads.

    Each thread makes its next request once it has its answer. Raises what a request raised.
    """
    return _in_threads(api_url, clients, range(first, first + count), make, None)


def at_pace(
    api_url: str, per_second: float, seconds: float, make: Request, first: int = 0
) -> list[float]:
    """Seconds that requests took that one client makes at a pace, whether or not it keeps up.

    A request that had to wait for the one before counts from when it was due, so that a service
    that stands still isn't asked less and measured better for it.
    """
    count = max(2, int(per_second * seconds))
    return _in_threads(api_url, 1, range(first, first + count), make, 1 / per_second)


def _in_threads(
    api_url: str, clients: int, numbers: Sequence[int], make: Request, interval: float | None
) -> list[float]:
    took: list[float] = []
    failed: list[BaseException] = []
    began = time.perf_counter()

    def run(client: int) -> None:
        connection = Connection(api_url)
        try:
            for number in numbers[client::clients]:
                if failed:
                    return
                due = time.perf_counter()
                if interval is not None:
                    due = began + (number - numbers[0]) * interval
                    time.sleep(max(0.0, due - time.perf_counter()))
                make(connection, number)
                took.append(time.perf_counter() - due)
        except BaseException as err:
            failed.append(err)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return took
