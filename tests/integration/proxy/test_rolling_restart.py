"""API processes that come and go behind a real nginx."""

import http.client
import json
import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.api.conftest import product
from tests.integration.api.gunicorn_process import running
from tests.integration.proxy.conftest import proxy

pytestmark = pytest.mark.slow


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_rolling_restart_loses_no_request(tmp_path: Path, api_settings: dict[str, str]) -> None:
    """One process after the other ends and is followed by another, under searches and writes."""
    ended = threading.Event()
    statuses: list[int] = []

    def shop(port: int, client: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            sent = product(f"{client}-{number}")
            statuses.append(ask(port, "POST", "/api/v1/index-product", json.dumps(sent))[0])
            query = json.dumps({"text_query": f"shirt {client} {number}"})
            statuses.append(ask(port, "POST", "/api/v1/search", query)[0])

    with ExitStack() as opened:
        processes = [opened.enter_context(running(**api_settings)) for _ in range(2)]
        port = opened.enter_context(proxy(tmp_path, [own for _, own in processes]))
        clients = [threading.Thread(target=shop, args=(port, client)) for client in range(4)]
        opened.callback(lambda: [client.join() for client in clients])
        opened.callback(ended.set)
        for client in clients:
            client.start()
        for process, own in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            opened.enter_context(running(**api_settings, API_PORT=str(own)))
            before = len(statuses)
            while len(statuses) < before + 40:
                assert not ended.wait(0.05)
        ended.set()
        for client in clients:
            client.join()
    assert set(statuses) == {200, 202}


def test_without_any_process_the_proxy_says_so(tmp_path: Path) -> None:
    with proxy(tmp_path, [1]) as port:
        status, body = ask(port, "GET", "/healthz")
        assert (status, json.loads(body)["code"]) == (503, "api_unavailable")
