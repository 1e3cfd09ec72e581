"""SIGTERM: workers finish or give back what they hold, the API answers what it was asked."""

import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from stack.ports import free_port
from stack.run import ROOT
from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.stack import FaultyStack, eventually
from tests.reliability.faults.table import Row

GRACE_SECONDS = 30.0
"""As long as the supervisor waits before it kills."""

_CLIENTS = 4


def stop_workers(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """Nothing is left under a lease by one that was asked to stop, so nothing has to run out."""
    for number in range(times):
        claims = stack.orders.count("claimed")
        catalogue.put(*(catalogue.product(f"p{number}-{at}") for at in range(300)))
        eventually(lambda seen=claims: stack.orders.count("claimed") > seen, 60, "a claim")
        pid = stack.pid("worker")
        began = time.monotonic()
        with stack.stopped("worker"):
            took = time.monotonic() - began
            assert took < GRACE_SECONDS
            end = stack.orders.death(pid)
            assert not end.in_work, f"{len(end.in_work)} products were left under their lease"
        row.phases[f"after {end.phase}"] += 1
        row.remark = f"stopped within {took:.1f} s"
    started = time.monotonic()
    catalogue.check(row, 120)
    row.recovery_seconds = time.monotonic() - started


def restart_in_turns(stack: FaultyStack, catalogue: Catalogue, row: Row, rounds: int) -> None:
    """Two API processes; clients that go to the other one only where nobody listens."""
    catalogue.lands(60, "before")
    with _second_api(stack) as second:
        ports = [stack.settings.api_port, second.port]
        load = Load(catalogue, ports)
        with load.running():
            time.sleep(1.0)
            second.stop()
            time.sleep(1.0)
            row.phases["SIGTERM under load"] += 1
            for _ in range(rounds):
                second.start()
                _restart_first(stack)
                time.sleep(1.0)
                second.stop()
                row.phases["SIGTERM under load"] += 2
    assert not load.faults, load.faults[:3]
    row.accepted += len(load.jobs)
    row.remark = f"{load.answered} requests answered, {load.elsewhere} of them by the other process"
    assert load.elsewhere, "no client met a process that was away, so the test shows little"
    for job_id in load.jobs:
        assert catalogue.shop.finished(job_id)["state"] == "succeeded"


def _restart_first(stack: FaultyStack) -> None:
    with stack.stopped("api"):
        pass
    eventually(lambda: _is_up(stack.settings.api_port), 90, "the first API")


class SecondApi:
    """One more gunicorn on the stack's servers, as behind a balancer."""

    def __init__(self, stack: FaultyStack) -> None:
        self.port = free_port()
        self._environ = {**stack.environ, "API_PORT": str(self.port)}
        self._log = Path(stack.data_dir) / "log" / "second-api.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["gunicorn", "-c", "api/gunicorn_conf.py", "api.wsgi:app"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=self._environ,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: _is_up(self.port), 90, "the second API")

    def stop(self) -> None:
        """An orderly end, if it hasn't come to one."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(GRACE_SECONDS + 60) == 0
            self._process = None


@contextmanager
def _second_api(stack: FaultyStack) -> Iterator[SecondApi]:
    api = SecondApi(stack)
    api.start()
    try:
        yield api
    finally:
        api.stop()


class Load:
    """Clients without pause: searches, changes that wait for their end, and look-ups."""

    def __init__(self, catalogue: Catalogue, ports: list[int]) -> None:
        self._catalogue = catalogue
        self._ports = ports
        self._stop = threading.Event()
        self.faults: list[str] = []
        self.jobs: list[str] = []
        self.answered = 0
        self.elsewhere = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """For as long as the block runs."""
        threads = [threading.Thread(target=self._run, args=(number,)) for number in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(60)

    def _run(self, client: int) -> None:
        try:
            for number in itertools.count(client):
                if self._stop.wait(0.02):
                    return
                self._one(number, client)
        except Exception as err:
            self.faults.append(repr(err))

    def _one(self, number: int, client: int) -> None:
        if client == 0:
            product = self._catalogue.product(f"p{number % 20}")
            answer = self._call(number, "POST", "/index-product?wait=5", json=product)
            if answer.ok:
                self.jobs.append(answer.json()["job_id"])
        elif client == 1:
            answer = self._call(number, "GET", "/products?limit=5")
        else:
            answer = self._call(number, "GET", f"/search?q=red+{number % 50}")
        if not answer.ok:
            self.faults.append(answer.text)

    def _call(self, number: int, method: str, path: str, **options: Any) -> requests.Response:
        """A connection of its own for each request; only one that nobody takes is tried again."""
        for attempt in itertools.count():
            port = self._ports[(number + attempt) % 2]
            try:
                answer = requests.request(
                    method,
                    f"http://127.0.0.1:{port}/api/v1{path}",
                    headers={
                        "Authorization": f"Bearer {self._catalogue.shop.key}",
                        "Connection": "close",
                    },
                    timeout=60,
                    **options,
                )
            except requests.ConnectionError as err:
                if "Connection refused" not in str(err) or attempt > 10:
                    raise
                continue
            self.answered += 1
            self.elsewhere += attempt > 0
            return answer
        raise AssertionError("unreachable")


def _is_up(port: int) -> bool:
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=60)
    except (requests.ConnectionError, requests.Timeout):
        return False  # gunicorn listens before its app is loaded
    return answer.status_code == HTTPStatus.OK
