"""One Idempotency-Key, many requests: at once, and beside an API that dies."""

import json
import threading
import time
from http import HTTPStatus
from typing import Any

import requests

from tests.e2e.conftest import Shop
from tests.reliability.faults.catalogue import NDJSON, Catalogue
from tests.reliability.faults.stack import FaultyStack, eventually
from tests.reliability.faults.table import Row

AT_ONCE = 20


def post_at_once(catalogue: Catalogue, row: Row, times: int) -> None:
    """All get the same job; another body under the same key is refused."""
    for number in range(times):
        body = _body(catalogue, f"once{number}", 600)
        answers: list[requests.Response] = []
        gate = threading.Barrier(AT_ONCE)

        def post(body: bytes = body, gate: threading.Barrier = gate, key: int = number) -> None:
            gate.wait(60)
            answers.append(_post(catalogue.shop, f"key-{key}", body))  # noqa: B023 - joined below

        threads = [threading.Thread(target=post) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [answer.status_code for answer in answers] == [HTTPStatus.ACCEPTED] * AT_ONCE
        assert len({answer.json()["job_id"] for answer in answers}) == 1
        other = _post(catalogue.shop, f"key-{number}", _body(catalogue, "other", 1))
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        _note(catalogue, answers[0].json(), body)
        row.phases[f"{AT_ONCE} posts at once"] += 1
    catalogue.check(row, 120)


def kill_the_api(stack: FaultyStack, catalogue: Catalogue, row: Row, times: int) -> None:
    """kill -9 after a script of the ledger, before the answer; the client repeats its request."""
    for number in range(times):
        # The first of three scripts that take 250 items each; then one that takes the whole.
        for items in (600, 1) if times > 1 else (600,):
            key, body = f"killed-{items}-{number}", _body(catalogue, f"p{number}-{items}", items)
            stack.orders.die("api", "accept")
            try:
                answered = _post(catalogue.shop, key, body)
            except requests.ConnectionError:
                answered = None
            assert answered is None, "the API was to die before it answers"
            died_at = time.monotonic()
            first = eventually(lambda: _try(catalogue.shop, key, body), 90, "the API")  # noqa: B023
            row.recovery_seconds = time.monotonic() - died_at
            second = _post(catalogue.shop, key, body)
            assert first["job_id"] == second.json()["job_id"]
            other = _post(catalogue.shop, key, _body(catalogue, "other", 1))
            assert other.status_code == HTTPStatus.CONFLICT
            _note(catalogue, first, body)
            row.phases[f"within {items} items"] += 1
    jobs = catalogue.shop.call("GET", "/jobs?limit=100")["jobs"]
    assert {job["job_id"] for job in jobs} == set(catalogue.jobs)
    catalogue.check(row, 120)


def _body(catalogue: Catalogue, prefix: str, items: int) -> bytes:
    products = [catalogue.product(f"{prefix}-{at}") for at in range(items)]
    return b"\n".join(json.dumps(product).encode() for product in products)


def _post(shop: Shop, key: str, body: bytes) -> requests.Response:
    return requests.post(
        f"{shop.stack.api_url}/api/v1/index-products",
        data=body,
        headers={**NDJSON, "Authorization": f"Bearer {shop.key}", "Idempotency-Key": key},
        timeout=60,
    )


def _try(shop: Shop, key: str, body: bytes) -> Any:
    try:
        answer = _post(shop, key, body)
    except requests.ConnectionError:
        return None  # nobody listens yet
    return answer.json() if answer.status_code == HTTPStatus.ACCEPTED else None


def _note(catalogue: Catalogue, answer: Any, body: bytes) -> None:
    products = [json.loads(line) for line in body.splitlines()]
    catalogue.products.update({product["id"]: product for product in products})
    catalogue.accept(answer, [product["id"] for product in products])
