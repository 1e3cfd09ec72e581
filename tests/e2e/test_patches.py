"""Price changes on real processes, beside pictures that wait."""

import io
import json
import threading
import time

from PIL import Image

from tests.e2e.conftest import Shop
from tests.pictures import PictureServer, picture

EMBEDDED = 'embeddings_total{kind="image"'


def test_prices_change_while_pictures_wait_and_searches_show_them(
    shop: Shop, pictures: PictureServer
) -> None:
    url = pictures.add("/live.jpg", picture((10, 90, 200)))
    for at in range(5):
        shop.index({"id": f"live-{at}", "name": "Live", "image_url": url, "price": 100 + at})
    file = io.BytesIO()
    Image.effect_noise((96, 96), 80).convert("RGB").save(file, "PNG")
    noise = pictures.add("/noise.png", file.getvalue())
    lines = b"\n".join(
        json.dumps({"id": f"wait-{at}", "name": "Waiting", "image_url": noise}).encode()
        for at in range(900)
    )
    # A picture that doesn't come before the end keeps bulk waiting on the fastest machine, too.
    last = pictures.add("/last.png", file.getvalue())
    pictures.delays["/last.png"] = threading.Event()
    lines += b"\n" + json.dumps({"id": "last", "name": "Last", "image_url": last}).encode()
    bulk = shop.call(
        "POST",
        "/index-products",
        202,
        data=lines,
        headers={"Content-Type": "application/x-ndjson"},
    )
    seconds = []
    for price in range(7, 17):
        query = {"text_query": "anything", "top_k": 100, "price_min": price, "price_max": price}
        for at in range(5):
            job = shop.call("PATCH", f"/products/live-{at}", 202, json={"price": price})
            began = time.monotonic()
            assert shop.finished(job["job_id"])["counts"]["indexed"] == 1
            seconds.append(time.monotonic() - began)
        found = {result["product_id"] for result in shop.search(query)["results"]}
        assert found == {f"live-{at}" for at in range(5)}
    # A few hundredths of a second are usual; what waited behind the pictures would wait for ever.
    assert sorted(seconds)[47] < 20.0, seconds
    assert shop.call("GET", f"/jobs/{bulk['job_id']}")["counts"]["pending"] > 0
    pictures.delays["/last.png"].set()
    shop.finished(bulk["job_id"])
    shop.call("PATCH", "/products/nobody", 404, json={"price": 1})


def test_the_same_catalogue_again_embeds_nothing(shop: Shop, pictures: PictureServer) -> None:
    pictures.serves_etags = True
    products = [
        {
            "id": f"same-{at}",
            "name": "Same",
            "image_url": pictures.add(f"/{at}.jpg", picture((at, 0, 0))),
        }
        for at in range(50)
    ]
    counts = []
    for _ in range(2):
        before = shop.metric(EMBEDDED)
        job = shop.call("POST", "/index-products", 202, json={"products": products})
        counts.append(shop.finished(job["job_id"])["counts"])
        counts[-1] = {
            **counts[-1],
            "embedded": shop.metric('embeddings_total{kind="image"') - before,
        }
    assert (counts[0]["indexed"], counts[0]["embedded"]) == (50, 50)
    assert (counts[1]["unchanged"], counts[1]["embedded"]) == (50, 0)
    assert len(pictures.sent) == 50
