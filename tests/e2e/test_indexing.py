"""Catalogues through the whole pipeline: counts that add up, and workers that die."""

import base64
import io
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from PIL import Image

from shared.doorbell import RECONCILE_TASK
from shared.models.change import Lane
from stack.run import Stack
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture


def catalogue(prefix: str, urls: list[str]) -> bytes:
    return b"\n".join(
        json.dumps({"id": f"{prefix}-{at}", "name": f"Product {at}", "image_url": url}).encode()
        for at, url in enumerate(urls)
    )


def push(shop: Shop, body: bytes) -> str:
    answer = shop.call(
        "POST",
        "/index-products",
        202,
        data=body,
        headers={"Content-Type": "application/x-ndjson"},
    )
    job_id: str = answer["job_id"]
    return job_id


def test_counts_add_up_and_every_failure_has_its_code(shop: Shop, pictures: PictureServer) -> None:
    good = [pictures.add(f"/g{i}.jpg", picture((i, 255 - i, i))) for i in range(60)]
    whole = picture(size=300)
    bad = {
        pictures.url + "/missing.jpg": "image_not_found",
        pictures.add("/cut.jpg", whole[: len(whole) // 2]): "image_corrupt",
        pictures.add("/page.jpg", b"<!doctype html><html></html>"): "not_an_image",
        "http://169.254.169.254/latest/meta-data/": "image_blocked_address",
    }
    before = shop.metric('embeddings_total{kind="image"')
    job = shop.finished(push(shop, catalogue("mixed", [*good, *bad])))
    assert job["state"] == "partially_failed"
    assert job["counts"] == {
        "received": 64,
        "indexed": 60,
        "unchanged": 0,
        "deleted": 0,
        "stale": 0,
        "superseded": 0,
        "failed": 4,
        "pending": 0,
    }
    items = shop.call("GET", f"/jobs/{job['job_id']}/items?status=failed")["items"]
    assert [item["code"] for item in items] == list(bad.values())
    assert shop.metric('embeddings_total{kind="image"') - before == 60


@pytest.mark.slow
def test_kill_9_of_the_worker_loses_nothing(shop: Shop, pictures: PictureServer) -> None:
    file = io.BytesIO()
    Image.effect_noise((96, 96), 80).convert("RGB").save(file, "PNG")
    url = pictures.add("/noise.png", file.getvalue())
    count = 600
    job_id = push(shop, catalogue("kill", [url] * count))
    while (counts := shop.call("GET", f"/jobs/{job_id}")["counts"])["indexed"] < 100:
        time.sleep(0.05)
    assert counts["pending"], "the worker was too fast to be killed"
    shop.kill("worker")
    job = shop.finished(job_id, seconds=200)
    assert job["state"] == "succeeded"
    assert job["counts"]["indexed"] == count
    cursor, seen = "", set()
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        page = shop.call("GET", f"/products?limit=100{more}")
        seen |= {product["id"] for product in page["products"]}
        cursor = page["next_cursor"]
    assert {f"kill-{at}" for at in range(count)} <= seen


class Touch:
    """A pickle of this makes whoever loads it create a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def pickled(path: Path) -> bytes:
    """Our task with a body in pickle, as the Redis transport stores a message."""
    message = {
        "body": base64.b64encode(pickle.dumps(Touch(path))).decode(),
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {"task": RECONCILE_TASK, "id": "1", "lang": "py"},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "x"},
            "body_encoding": "base64",
            "delivery_tag": "t",
        },
    }
    return json.dumps(message).encode()


@pytest.mark.slow
def test_junk_in_the_queues_ends_a_worker_at_most_once(
    stack: Stack, shop: Shop, pictures: PictureServer, tmp_path: Path
) -> None:
    with redis.Redis.from_url(stack.environ["REDIS_URL"]) as broker:
        for lane in Lane:
            broker.lpush(f"vitrine:queue:{lane.value}", pickled(tmp_path / "touched"), b"no JSON")
        job_id = push(shop, catalogue("junk", [pictures.add("/a.jpg", picture())]))
        assert shop.finished(job_id)["state"] == "succeeded"
        shop.call("PATCH", "/products/junk-0?wait=30", json={"price": 3})
        assert all(broker.llen(f"vitrine:queue:{lane.value}") == 0 for lane in Lane)
    assert not (tmp_path / "touched").exists()
