"""What others put into the queues is thrown away and counted, and the workers go on."""

import base64
import json
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.doorbell import RECONCILE_TASK
from stack.run import Stack
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture

QUEUES = ("single", "bulk", "fast")


class Touch:
    """A pickle of this makes whoever loads it create a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def message(body: bytes, content_type: str = "application/json", **headers: object) -> bytes:
    """A message as the Redis transport stores it."""
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8" if "json" in content_type else "binary",
        "content-type": content_type,
        "headers": headers,
        "properties": {
            "correlation_id": "c",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "x"},
            "body_encoding": "base64",
            "delivery_tag": f"tag-{time.monotonic_ns()}",
        },
    }
    return json.dumps(envelope).encode()


@pytest.fixture
def broker(stack: Stack) -> Iterator["redis.Redis[bytes]"]:
    client = redis.Redis.from_url(stack.environ["REDIS_URL"])
    yield client
    client.close()


OURS = {"task": RECONCILE_TASK, "id": "1", "lang": "py", "argsrepr": "()", "kwargsrepr": "{}"}
EMPTY = json.dumps([[], {}, {}]).encode()

FOREIGN = {
    "our task in pickle": lambda evil: message(evil, "application/x-python-serialize", **OURS),
    "anything in pickle": lambda evil: message(evil, "application/x-python-serialize"),
    "pickle that says it is JSON": lambda evil: message(evil, **OURS),
    "an unknown content type": lambda _: message(EMPTY, "text/odd", **OURS),
    "YAML": lambda _: message(b"- []\n", "application/x-yaml", **OURS),
    "malformed JSON": lambda _: message(b"[[], {", **OURS),
    "malformed JSON without headers": lambda _: message(b"{"),
    "no message of Celery's": lambda _: message(b'{"hello": 1}'),
    "JSON that is no call": lambda _: message(b"7", **OURS),
    "an unknown task": lambda _: message(EMPTY, **{**OURS, "task": "os.system"}),
    "arguments": lambda _: message(json.dumps([["rm"], {}, {}]).encode(), **OURS),
    "named arguments": lambda _: message(json.dumps([[], {"a": 1}, {}]).encode(), **OURS),
}


@pytest.mark.slow
def test_foreign_messages_are_refused_and_counted_and_the_workers_go_on(
    stack: Stack, shop: Shop, pictures: PictureServer, broker: "redis.Redis[bytes]", tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    evil = pickle.dumps(Touch(touched))
    before = {info["name"]: info["pid"] for info in stack.processes()}
    counted = shop.metric("queue_messages_refused_total")
    for make in FOREIGN.values():
        for queue in QUEUES:
            broker.lpush(f"vitrine:queue:{queue}", make(evil))
    product = {"id": "a", "name": "A", "image_url": pictures.add("/a.jpg", picture())}
    assert shop.index(product)["outcome"] == "indexed"
    shop.call("PATCH", "/products/a", 202, json={"price": 3})

    expected = counted + len(FOREIGN) * len(QUEUES)
    deadline = time.monotonic() + 20
    while shop.metric("queue_messages_refused_total") < expected:
        assert time.monotonic() < deadline, shop.metric("queue_messages_refused_total") - counted
        time.sleep(0.1)
    assert shop.metric("queue_messages_refused_total") == expected
    assert not touched.exists()
    assert {info["name"]: info["pid"] for info in stack.processes()} == before
    assert all(broker.llen(f"vitrine:queue:{queue}") == 0 for queue in QUEUES)


JUNK = [b"junk", b"\x80\x04", b"", b"7", b"null", b"{}", b'{"body": 1}', b"[" * 100_000]


@pytest.mark.slow
def test_what_is_not_even_a_message_stops_nothing(
    stack: Stack, shop: Shop, pictures: PictureServer, broker: "redis.Redis[bytes]"
) -> None:
    before = {info["name"]: info["pid"] for info in stack.processes()}
    for queue in QUEUES:
        broker.lpush(f"vitrine:queue:{queue}", *JUNK)
    product = {"id": "b", "name": "B", "image_url": pictures.add("/b.jpg", picture())}
    assert shop.index(product)["outcome"] == "indexed"
    assert {info["name"]: info["pid"] for info in stack.processes()} == before
