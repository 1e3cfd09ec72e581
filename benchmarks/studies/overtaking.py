"""How long a single product and a patch take while a whole catalogue waits in bulk.

    python -m benchmarks.studies.overtaking

Starts the embedded stack with ViT-B-32 (random weights) and serves drawn pictures. On the idle
stack it pushes products one by one (`POST /index-product`) and waits until a search finds each,
then it patches these (`PATCH /products/{id}`) and waits for the end of each job. It pushes 10,000
products in one call (`POST /index-products`), and does the same again while they wait. Printed are
seconds, how many times longer the same takes than on the idle stack, and how many products of bulk
land in the time of the longest: about `EMBED_BATCH_SIZE` with a model this large, however busy the
cores are.

It takes some three minutes on two cores. The bulk is not brought to its end. Timings of one run are
comparable with each other, not with those of another machine.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.service import Client, running_service
from demo.catalogue import catalogue
from demo.pictures import PictureServer

_DRAWN: Final = 20
"""Pictures; the catalogue's products share them, but no picture's vector is ever reused."""

_EDGE: Final = 800
"""Pixels of a picture's edge as served. Drawn smaller and enlarged, because it is faster."""

_UNDER_WAY: Final = 64
"""Products that have landed once bulk is surely in all stages: one claim."""


def main() -> None:
    """Measures and prints."""
    options = _options()
    with PictureServer() as pictures, running_service(options.model) as client:
        urls = _publish(pictures)
        products = _products(urls)
        _until_found(client, next(products))  # the first of everything is slower
        idle = _measured(client, products, options)
        bulk = {"products": [next(products) for _ in range(options.products)]}
        job = f"/jobs/{client.call('POST', '/index-products', bulk)['job_id']}"
        while (before := _landed(client, job)) < _UNDER_WAY:
            time.sleep(0.5)
        began = time.perf_counter()
        busy = _measured(client, products, options)
        rate = (_landed(client, job) - before) / (time.perf_counter() - began)
        waiting = client.call("GET", job)["counts"]["pending"]
    for what in idle:
        print(_line(f"{what}, idle", idle[what]))
        print(_line(f"{what}, {options.products} in bulk", busy[what]))
        times = statistics.median(busy[what]) / statistics.median(idle[what])
        pictures_ahead = max(busy[what]) * rate
        print(f"  {times:.1f} times idle; the longest took as long as {pictures_ahead:.1f} of bulk")
    print(f"bulk meanwhile: {rate:.1f} products/s; {waiting} still waited at the end")


def _measured(
    client: Client, products: Iterator[dict[str, Any]], options: argparse.Namespace
) -> Mapping[str, Sequence[float]]:
    singles = [next(products) for _ in range(options.singles)]
    found = _each(options.every, lambda at: _until_found(client, singles[at]), options.singles)
    patched = _each(
        0.0, lambda at: _until_patched(client, singles[at % len(singles)], at), options.patches
    )
    return {"single product until found": found, "patch until its job has ended": patched}


def _each(every: float, measure: Callable[[int], float], count: int) -> list[float]:
    """Measures `count` times, one after the other, `every` seconds apart at least."""
    seconds = []
    for at in range(count):
        seconds.append(measure(at))
        time.sleep(max(0.0, every - seconds[-1]))
    return seconds


def _until_found(client: Client, product: Mapping[str, Any]) -> float:
    """Seconds from the push to the answer of a search that shows the product."""
    began = time.perf_counter()
    job = _ended(client, client.call("POST", "/index-product?wait=30", product)["job_id"])
    query = {"text_query": "a shirt", "category_filter": product["category"], "cutoff": "off"}
    results = client.call("POST", "/search", query)["results"]
    seconds = time.perf_counter() - began
    if [result["product_id"] for result in results] != [product["id"]]:
        raise RuntimeError(f"{product['id']} was not found after {seconds:.1f} s: {job}")
    return seconds


def _until_patched(client: Client, product: Mapping[str, Any], price: int) -> float:
    """Seconds from the acceptance of a new price to the end of its job."""
    job_id = client.call("PATCH", f"/products/{product['id']}", {"price": price})["job_id"]
    began = time.perf_counter()
    job = _ended(client, job_id)
    if job["state"] != "succeeded":
        raise RuntimeError(f"the patch of {product['id']} has not landed: {job}")
    return time.perf_counter() - began


def _ended(client: Client, job_id: str) -> Mapping[str, Any]:
    """The job, once it has ended."""
    while True:
        job = client.call("GET", f"/jobs/{job_id}?wait=30")
        if job["finished_at"]:
            return job


def _landed(client: Client, job: str) -> int:
    return int(client.call("GET", job)["counts"]["indexed"])


def _publish(pictures: PictureServer) -> Sequence[str]:
    entries = catalogue(_DRAWN, pictures.base_url)
    for entry in entries:
        file = io.BytesIO()
        entry.picture().resize((_EDGE, _EDGE)).save(file, "JPEG", quality=90)
        pictures.publish(entry.file_name, file.getvalue())
    return [entry.product["image_url"] for entry in entries]


def _products(urls: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Products without end, each with a URL and a category of its own."""
    number = 0
    while True:
        number += 1
        url = f"{urls[number % len(urls)]}?of={number}"
        yield {
            "id": f"p{number}",
            "name": f"Product {number}",
            "image_url": url,
            "category": f"c{number}",
            "price": 1,
        }


def _line(what: str, seconds: Sequence[float]) -> str:
    median, longest = statistics.median(seconds), max(seconds)
    return f"{what:48} median {median:6.3f} s   max {longest:6.3f} s   of {len(seconds)}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.overtaking", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--model", default="ViT-B-32", help="open_clip's name (%(default)s)")
    parser.add_argument("--products", type=int, default=10_000, help="in bulk (%(default)s)")
    parser.add_argument("--singles", type=int, default=20, help="one by one (%(default)s)")
    parser.add_argument("--patches", type=int, default=50, help="one by one (%(default)s)")
    parser.add_argument(
        "--every", type=float, default=3.0, help="seconds between singles (%(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
