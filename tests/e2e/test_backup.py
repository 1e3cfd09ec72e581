"""A catalogue with a past, backed up while it lives, and restored on new servers."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stack.ports import free_port
from stack.run import ROOT, Stack
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture

pytestmark = pytest.mark.slow

COLOURS = {"red": (200, 20, 20), "green": (20, 160, 40), "blue": (10, 30, 200)}


def operate(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as somebody on the stack's machine would run it."""
    settings = stack.settings.as_environ()
    return subprocess.run(
        [sys.executable, "-m", "operations", *arguments],
        cwd=ROOT,
        env={"PATH": os.defpath, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def everything(shop: Shop) -> Mapping[str, Any]:
    """All that the shop can see of its catalogue."""
    listed = shop.call("GET", "/products?limit=100")["products"]
    searches = ["red", "a green shirt", "blue"]
    return {
        "products": listed,
        "embeddings": {
            product["id"]: shop.call("GET", f"/products/{product['id']}?include=embedding")
            for product in listed
        },
        "searches": {
            words: shop.search({"text_query": words, "top_k": 10})["results"] for words in searches
        },
        "jobs": shop.call("GET", "/jobs?limit=100")["jobs"],
    }


@pytest.fixture
def past(shop: Shop, pictures: PictureServer) -> Iterator[Mapping[str, str]]:
    """Products with versions, patched, deleted and failed ones; one that waits for its picture."""
    for name, colour in COLOURS.items():
        url = pictures.add(f"/{name}.jpg", picture(colour))
        shop.index(
            {"id": f"{name}/1", "name": name, "image_url": url, "version": 7, "price": 10}
            | {"attributes": {"color": name, "sizes": ["M", "L"]}, "category": "shirts"}
        )
    url = pictures.add("/plain.jpg", picture((90, 90, 90)))
    shop.index({"id": "plain", "name": "Plain, ü", "image_url": url})
    shop.index({"id": "gone", "name": "Gone", "image_url": url, "version": 3})
    shop.finished(shop.call("DELETE", "/products/gone?version=5", 202)["job_id"])
    shop.finished(shop.call("PATCH", "/products/red%2F1", 202, json={"price": 8.5})["job_id"])
    bad = {"id": "bad", "name": "Bad", "image_url": pictures.url + "/none.jpg", "version": 2}
    shop.call("POST", "/index-product?wait=30", 422, json=bad)
    # Its picture comes only once the backup has been taken.
    release = pictures.delays["/slow.jpg"] = threading.Event()
    slow = {"id": "slow", "name": "Slow", "image_url": pictures.add("/slow.jpg", picture())}
    job = shop.call("POST", "/index-product", 202, json=slow | {"version": 4})["job_id"]
    yield {"waiting_job": job}
    release.set()


def test_what_is_restored_on_new_servers_equals_what_was_backed_up(
    shop: Shop, pictures: PictureServer, past: Mapping[str, str], tmp_path: Path
) -> None:
    before = everything(shop)
    file = tmp_path / "backup.zip"
    said = operate(shop.stack, "backup", str(file))
    assert said.returncode == 0, said.stderr
    pictures.delays["/slow.jpg"].set()

    settings = shop.stack.settings.model_copy(
        update={"data_dir": tmp_path / "new", "api_port": free_port()}
    )
    with_new_servers = Stack(settings, log_dir=tmp_path / "log")
    said = operate(with_new_servers, "restore", str(file))
    assert said.returncode == 0, said.stderr
    with with_new_servers as stack:
        stack.wait_until_ready(120)
        restored = Shop(stack, shop.key)
        # What waited is done, in its own job.
        waiting = restored.finished(past["waiting_job"])
        assert waiting["counts"]["indexed"] == 1
        after = everything(restored)
        assert "slow" in after["embeddings"]
        for part in ("products", "jobs"):
            key = "id" if part == "products" else "job_id"
            known = {one[key]: one for one in before[part]}
            known.pop(past["waiting_job"], None)
            assert {one[key]: one for one in after[part] if one[key] in known} == known
        for product, held in before["embeddings"].items():
            assert after["embeddings"][product] == held
        for words, results in before["searches"].items():
            found = [one for one in after["searches"][words] if one["product_id"] != "slow"]
            assert found == results

        def pushed(product_id: str, version: int) -> str:
            url = pictures.url + "/plain.jpg"
            product = {"id": product_id, "name": "x", "image_url": url, "version": version}
            outcome: str = restored.index(product)["outcome"]
            return outcome

        # Versions are remembered: of what is live, what is deleted and what failed.
        assert pushed("red/1", 6) == "stale"
        assert pushed("gone", 4) == "stale"
        restored.call("GET", "/products/gone", 404)
        assert pushed("bad", 1) == "stale"
        assert pushed("bad", 2) == "indexed"
        assert pushed("gone", 6) == "indexed"
        job = restored.call("PATCH", "/products/plain", 202, json={"price": 3})["job_id"]
        assert restored.finished(job)["counts"]["indexed"] == 1

        # Twice on the running stack: refused, and with force without harm.
        said = operate(stack, "restore", str(file))
        assert said.returncode == 73, said.stderr
        assert "FORCE=1" in said.stderr
        said = operate(stack, "restore", str(file), "--force")
        assert said.returncode == 0, said.stderr
        assert restored.call("GET", "/products/plain")["price"] == 3
        assert restored.call("GET", "/products/gone")["version"] == 6
        restored.close()
