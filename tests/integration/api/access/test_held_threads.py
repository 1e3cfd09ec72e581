"""What holds a thread for long, in the API: waiting, large batches and searches by picture."""

import json
import threading
import time

import pytest

from api.requests.batch import Batch
from api.resources import indexing
from tests.integration.api.conftest import MakeShop, Shop, product

ONE = "/api/v1/index-product"
MANY = "/api/v1/index-products"
LARGE = json.dumps({"products": [product("a")]}).encode() + b" " * 2**20


def test_where_half_of_the_threads_wait_others_are_answered_at_once(make_shop: MakeShop) -> None:
    shop = make_shop(api_threads=4)
    first = shop.http.post(ONE, json=product("a")).json
    waiting = threading.Thread(
        target=shop.http.application.test_client().get,
        args=(first["status_url"] + "?wait=30",),
        kwargs={"headers": {"Authorization": shop.http.environ_base["HTTP_AUTHORIZATION"]}},
    )
    waiting.start()
    time.sleep(1)
    started = time.perf_counter()
    answer = shop.http.post(ONE + "?wait=30", json=product("b"))
    job = shop.http.get(first["status_url"] + "?wait=30")
    assert (answer.status_code, job.json["state"]) == (202, "queued")
    assert time.perf_counter() - started < 20
    shop.work()
    waiting.join()
    assert shop.http.get(answer.json["status_url"] + "?wait=30").json["state"] == "succeeded"


def test_waiting_large_batches_and_searching_by_picture_leave_a_thread_together(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop(api_threads=4)
    first = shop.http.post(ONE, json=product("a")).json
    headers = {"Authorization": shop.http.environ_base["HTTP_AUTHORIZATION"]}
    waiting = threading.Thread(
        target=shop.http.application.test_client().get,
        args=(first["status_url"] + "?wait=30",),
        kwargs={"headers": headers},
    )
    waiting.start()
    held, free, pushing = _a_large_batch_under_way(shop, monkeypatch)
    held.wait(60)
    time.sleep(1)
    answer = shop.http.post("/api/v1/search", json={"image_url": "http://a.example/b.png"})
    assert (answer.status_code, answer.json["code"]) == (503, "encoder_busy")
    free.set()
    shop.work()
    waiting.join()
    pushing.join()


def test_large_batches_are_taken_one_after_the_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most, lock = 0, 0, threading.Lock()
    read = indexing.read_batch

    def counted(body: bytes, media_type: str, **more: bool) -> Batch:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.05)
        with lock:
            inside -= 1
        return read(body, media_type, **more)

    monkeypatch.setattr(indexing, "read_batch", counted)
    statuses = []
    headers = {"Authorization": shop.http.environ_base["HTTP_AUTHORIZATION"]}

    def push() -> None:
        client = shop.http.application.test_client()
        answer = client.post(MANY, data=LARGE, content_type="application/json", headers=headers)
        statuses.append(answer.status_code)

    pushing = [threading.Thread(target=push) for _ in range(4)]
    for thread in pushing:
        thread.start()
    for thread in pushing:
        thread.join()
    assert (statuses, most) == ([202] * 4, 1)


def test_a_large_batch_whose_turn_does_not_come_is_asked_to_come_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_TURN_SECONDS", 0.05)
    held, free, first = _a_large_batch_under_way(shop, monkeypatch)
    held.wait(60)
    answer = shop.http.post(MANY, data=LARGE, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (503, "busy")
    assert answer.headers["Retry-After"] == "1"
    free.set()
    first.join()
    assert shop.http.post(MANY, data=LARGE, content_type="application/json").status_code == 202


def test_large_batches_that_wait_leave_threads_to_others(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop(api_threads=4)  # one of them may read a large batch, and none may wait for it
    held, free, first = _a_large_batch_under_way(shop, monkeypatch)
    held.wait(60)
    started = time.perf_counter()
    answer = shop.http.post(MANY, data=LARGE, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (503, "busy")
    assert time.perf_counter() - started < 30
    free.set()
    first.join()


def _a_large_batch_under_way(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> tuple[threading.Event, threading.Event, threading.Thread]:
    """Set once it is being read, to be set to let it go on, and the thread that pushes it."""
    held, free = threading.Event(), threading.Event()
    read = indexing.read_batch

    def slow(body: bytes, media_type: str, **more: bool) -> Batch:
        held.set()
        free.wait(60)
        return read(body, media_type, **more)

    monkeypatch.setattr(indexing, "read_batch", slow)
    headers = {"Authorization": shop.http.environ_base["HTTP_AUTHORIZATION"]}
    pushing = threading.Thread(
        target=shop.http.application.test_client().post,
        args=(MANY,),
        kwargs={"data": LARGE, "content_type": "application/json", "headers": headers},
    )
    pushing.start()
    return held, free, pushing
