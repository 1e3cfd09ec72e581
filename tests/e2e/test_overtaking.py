"""Single products on real processes, while a catalogue holds all that bulk may hold."""

import io
import threading
import time

from PIL import Image

from tests.e2e.conftest import Shop
from tests.e2e.test_indexing import catalogue, push
from tests.pictures import PictureServer, picture
from tests.waiting import wait_until

BULK = 1200


def seconds_until_searchable(shop: Shop, name: str, url: str) -> float:
    began = time.monotonic()
    shop.index({"id": name, "name": "Single", "image_url": url, "category": name})
    query = {"text_query": "anything", "category_filter": name, "cutoff": "off"}
    found = shop.search(query)["results"]
    seconds = time.monotonic() - began
    assert [result["product_id"] for result in found] == [name]
    return seconds


def test_a_single_product_is_searchable_in_seconds_while_a_catalogue_waits(
    shop: Shop, pictures: PictureServer
) -> None:
    file = io.BytesIO()
    Image.effect_noise((96, 96), 80).convert("RGB").save(file, "PNG")
    slow = pictures.add("/slow.png", file.getvalue())
    came = pictures.delays["/slow.png"] = threading.Event()
    job_id = push(shop, catalogue("bulk", [slow] * BULK))
    # What one server may hold of 16 threads.
    wait_until(lambda: pictures.requests.count("/slow.png") >= 12, "bulk does not hold its threads")
    url = pictures.add("/single.jpg", picture((10, 200, 90)))
    # The picture server lets bulk's pictures hang: the threads are what is overtaken.
    assert seconds_until_searchable(shop, "first", url) < 30.0
    assert shop.call("GET", f"/jobs/{job_id}")["counts"]["pending"] == BULK
    came.set()
    # They come: now the encoder is what is overtaken.
    while shop.call("GET", f"/jobs/{job_id}")["counts"]["indexed"] < 64:
        time.sleep(0.02)
    seconds = [seconds_until_searchable(shop, f"then-{at}", url) for at in range(5)]
    assert shop.call("GET", f"/jobs/{job_id}")["counts"]["pending"], "bulk ended too early"
    assert max(seconds) < 30.0, seconds
    assert shop.finished(job_id, seconds=200)["counts"]["indexed"] == BULK
