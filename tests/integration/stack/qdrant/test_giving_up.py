"""The embedded server computes nothing that nobody waits for."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from stack.ports import free_port
from stack.qdrant.app import build_app
from stack.qdrant.engine import Engine
from stack.qdrant.store import Store
from stack.reserve import Reserve

LIST = "/collections"


class CountingStore(Store):
    """A store without a directory that counts how often it was asked for its collections."""

    def __init__(self) -> None:
        self.asked = 0

    def listing(self) -> dict[str, Any]:
        self.asked += 1
        return {"collections": []}

    def names(self) -> list[str]:
        return []

    def has_unflushed(self) -> bool:
        return False

    def flush_is_due(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Busy:
    """A server whose engine is busy until it is told to go on."""

    def __init__(self, folder: Path) -> None:
        self.store = CountingStore()
        self.engine = Engine(self.store, queue_size=8, idle_seconds=1.0)
        port = free_port()
        config = uvicorn.Config(
            build_app(self.engine, Reserve(folder), None),
            port=port,
            lifespan="off",
            log_config=None,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._go_on = threading.Event()
        while not self._server.started:
            self._thread.join(0.01)
        self.engine.submit(lambda _: self._go_on.wait(60))

    def go_on(self) -> None:
        self._go_on.set()

    def close(self) -> None:
        self.go_on()
        self.client.close()
        self._server.should_exit = True
        self._thread.join()
        self.engine.close()


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    server = Busy(tmp_path)
    yield server
    server.close()


def test_a_caller_that_has_hung_up_costs_nothing(busy: Busy) -> None:
    for _ in range(4):
        with pytest.raises(httpx.ReadTimeout):
            busy.client.get(LIST, timeout=0.2)
    time.sleep(0.5)  # until the server has seen the last of them go
    busy.go_on()
    assert busy.client.get(LIST).status_code == 200
    assert busy.store.asked == 1


def test_a_request_whose_time_has_run_out_is_refused_before_it_is_computed(busy: Busy) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(busy.client.get(LIST, params={"timeout": 1}))
    )
    asking.start()
    asking.join(1.2)
    busy.go_on()
    asking.join()
    assert answers[0].status_code == 408
    assert "ran out" in answers[0].json()["status"]["error"]
    assert busy.store.asked == 0


def test_a_caller_that_hangs_up_keeps_nobody_else_from_being_served(busy: Busy) -> None:
    with pytest.raises(httpx.ReadTimeout):
        busy.client.get(LIST, timeout=0.2)
    answers: list[int] = []
    asking = [
        threading.Thread(target=lambda: answers.append(busy.client.get(LIST).status_code))
        for _ in range(3)
    ]
    for thread in asking:
        thread.start()
    busy.go_on()
    for thread in asking:
        thread.join()
    assert answers == [200, 200, 200]
