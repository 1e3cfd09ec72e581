"""How often searches are answered from the cache while prices change all the time.

`python -m benchmarks.studies.hit_rate` starts the whole embedded stack with the demo's model,
indexes 500 drawn products, and lets four searchers ask 40 questions a second: 50 different ones,
drawn by Zipf's law (the second most popular is asked half as often as the first, and so on), every
fifth with a price filter. Meanwhile prices change 0, 1 and 10 times a second, half a minute each.
All questions were asked once before, so that the counts show how long answers live.

A search is answered in one of three ways, counted by the API itself (`/metrics`):

- its answer is cached: the index has not changed since it was made;
- its ranking is cached: the index has changed in nothing that it depends on, so the same products
  are shown with their fields read anew;
- anew: the price filter's answer may be another one. The query's vector is cached all the same.

The rates depend on the number of searches between two changes, so they rise with the traffic. What
each way takes is measured alone, one search after the other. On loopback, in a temporary
directory; nothing stays.
"""

import argparse
import itertools
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from demo.catalogue import CatalogueEntry, catalogue
from demo.client import ShopClient
from demo.model.vocabulary import ENGLISH_NOUNS
from demo.pictures import PictureServer
from demo.settings import demo_settings
from stack.ports import free_port
from stack.run import Stack

PRODUCTS: Final = 500
QUESTIONS: Final = 50
SEARCHERS: Final = 4
SEARCHES_PER_SECOND: Final = 40
CHANGES_PER_SECOND: Final = (0, 1, 10)
TIMED: Final = 40
"""Searches of each way that are timed alone."""

_COLOURS: Final = ("red", "blue", "green", "black", "white", "yellow", "pink")
_COUNTED: Final = re.compile(
    r"^(search_cache_requests|search_ranking_requests|reports)_total"
    r'\{.*result="(\w+)".*\} (\S+)$',
    re.MULTILINE,
)


class Client(ShopClient):
    """The demo's, with the calls that a shop with changing prices makes."""

    def change_price(self, product_id: str, price: float) -> str:
        """Asks for another price; returns the job's id."""
        answer, _ = self._call("PATCH", f"/products/{product_id}", json={"price": price})
        return str(answer["job_id"])

    def finished(self, job_id: str) -> Mapping[str, Any]:
        """The job once it has ended."""
        while True:
            job = self.job(job_id, 10)
            if job["finished_at"]:
                return job


@dataclass
class Phase:
    """The observations while prices changed at one pace."""

    server_ms: list[float] = field(default_factory=list)
    counted: dict[tuple[str, str], float] = field(default_factory=dict)
    """By metric and result."""
    seconds: float = 0.0

    def row(self, changes_per_second: int) -> str:
        searches = len(self.server_ms)
        answers = self.counted.get(("search_cache_requests", "hit"), 0)
        rankings = self.counted.get(("search_ranking_requests", "hit"), 0)
        landed = self.counted.get(("reports", "indexed"), 0)
        shares = [share / searches for share in (answers, rankings, searches - answers - rankings)]
        return (
            f"{changes_per_second:>9} {landed / self.seconds:>9.1f}"
            f" {searches / self.seconds:>11.1f}"
            + "".join(f"{share:>10.1%}" for share in shares)
            + f"{statistics.median(self.server_ms):>11.2f}"
            + f"{statistics.quantiles(self.server_ms, n=20)[-1]:>9.2f}"
        )


def questions() -> Sequence[Mapping[str, object]]:
    """The distinct questions, the most popular first; every fifth has a price filter."""
    words = [
        f"{colour} {noun[0].singular}"
        for colour, noun in itertools.product(_COLOURS, ENGLISH_NOUNS.values())
    ]
    random.Random(1).shuffle(words)
    return [
        {"text_query": text, "top_k": 10, **({"price_max": 60} if number % 5 == 4 else {})}
        for number, text in enumerate(words[:QUESTIONS])
    ]


def index(client: Client, pictures: PictureServer, count: int) -> Sequence[CatalogueEntry]:
    """Draws the catalogue, serves its pictures and has it indexed."""
    entries = catalogue(count, pictures.base_url)
    for entry in entries:
        with tempfile.SpooledTemporaryFile() as file:
            entry.picture(128).save(file, "PNG")
            file.seek(0)
            pictures.publish(entry.file_name, file.read())
    accepted = client.index_products([entry.product for entry in entries])
    counts = client.finished(accepted.job_id)["counts"]
    if counts["indexed"] != count:
        raise SystemExit(f"not all products were indexed: {counts}")
    return entries


def watch(
    api_url: str, entries: Sequence[CatalogueEntry], changes_per_second: int, seconds: float
) -> Phase:
    """Searchers at their pace, beside price changes at theirs."""
    phase, stop = Phase(), threading.Event()
    asked, weights = questions(), [1 / rank for rank in range(1, QUESTIONS + 1)]
    failed: list[BaseException] = []

    def search(client: Client, rng: random.Random) -> None:
        answer = client.search(rng.choices(asked, weights)[0])
        phase.server_ms.append(answer.server_ms)

    def change(client: Client, rng: random.Random) -> None:
        product = rng.choice(entries).product
        client.change_price(product["id"], round(product["price"] * rng.uniform(0.8, 1.2), 2))

    def at_pace(do: Callable[[Client, random.Random], None], per_second: float, seed: int) -> None:
        rng = random.Random(seed)
        try:
            with Client(api_url) as client:
                due = time.monotonic() + rng.random() / per_second
                while not stop.wait(max(0.0, due - time.monotonic())):
                    do(client, rng)
                    due += 1 / per_second
        except BaseException as err:
            failed.append(err)
            stop.set()

    paces = [(search, SEARCHES_PER_SECOND / SEARCHERS)] * SEARCHERS
    if changes_per_second:
        paces.append((change, changes_per_second))
    threads = [
        threading.Thread(target=at_pace, args=(*pace, seed)) for seed, pace in enumerate(paces)
    ]
    with Client(api_url) as client:
        before, started = counters(client, api_url), time.monotonic()
        for thread in threads:
            thread.start()
        stop.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join()
        phase.seconds = time.monotonic() - started
        after = counters(client, api_url)
    if failed:
        raise failed[0]
    phase.counted = {name: count - before.get(name, 0) for name, count in after.items()}
    return phase


def counters(client: Client, api_url: str) -> Mapping[tuple[str, str], float]:
    """The counts of the API and the workers so far."""
    text = client.picture(f"{api_url}/metrics").decode()
    return {(metric, result): float(count) for metric, result, count in _COUNTED.findall(text)}


def timed(client: Client, entries: Sequence[CatalogueEntry]) -> Mapping[str, float]:
    """The median server time of each way to answer, in milliseconds, with nothing else going on."""
    times: dict[str, list[float]] = {"answer": [], "ranking": [], "anew": [], "embedded": []}
    for number in range(TIMED):
        words = {"text_query": f"picture {number} of something red", "top_k": 10}
        filtered = {**words, "price_max": 60}
        times["embedded"].append(client.search(words).server_ms)
        client.search(filtered)
        product = entries[number % len(entries)].product
        client.finished(client.change_price(product["id"], 30 + number / 100))
        ranking, anew, answer = (client.search(asked) for asked in (words, filtered, words))
        if [ranking.cached, anew.cached, answer.cached] != [True, False, True]:
            raise SystemExit("a search was not answered in the way that was to be timed")
        times["ranking"].append(ranking.server_ms)
        times["anew"].append(anew.server_ms)
        times["answer"].append(answer.server_ms)
    return {way: statistics.median(taken) for way, taken in times.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.hit_rate")
    parser.add_argument("--seconds", type=float, default=30, help="per pace (%(default)s)")
    parser.add_argument("--products", type=int, default=PRODUCTS, help="(%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vitrine-hit-rate-") as scratch:
        folder = Path(scratch)
        settings = demo_settings(folder / "data", free_port(), ip_network("127.0.0.0/8"))
        stack = Stack(settings, log_dir=folder / "logs")
        with stack, PictureServer() as pictures, Client(stack.api_url) as client:
            stack.wait_until_ready(300)
            entries = index(client, pictures, options.products)
            for asked in questions():
                client.search(asked)
            print(
                "  changes    landed    searches    answer   ranking      anew     median      p95"
            )
            print(
                "    per s     per s       per s    cached    cached                   ms       ms"
            )
            for changes_per_second in CHANGES_PER_SECOND:
                phase = watch(stack.api_url, entries, changes_per_second, options.seconds)
                print(phase.row(changes_per_second), flush=True)
            medians = timed(client, entries)
    print("\nServer time alone, median of", TIMED, "in ms:")
    print(f"  answer cached                    {medians['answer']:8.2f}")
    print(f"  ranking cached, fields anew      {medians['ranking']:8.2f}")
    print(f"  anew with the vector cached      {medians['anew']:8.2f}")
    print(f"  anew with the query embedded     {medians['embedded']:8.2f}")


if __name__ == "__main__":
    main()
