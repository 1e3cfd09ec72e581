"""The input of every measurement: the running service, the pictures and the sizes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.catalogue import Catalogue
from benchmarks.http_load import Connection
from benchmarks.picture_server import PictureServer
from shared.settings import Settings
from stack.run import Stack


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    photos: int
    """Distinct pictures."""
    pictures: int
    """Indexed per round."""
    naive_pictures: int
    rounds: int
    searches: int
    """Of each kind, one after the other."""
    searched: int
    """Products in the index while searches are timed."""
    pushed: int
    """Products in one call."""
    pushes: int
    patches: int
    load_rounds: int
    load_seconds: float
    """Of searches at a pace, per round: first alone, then beside indexing."""
    growth: Sequence[int]
    """Products in the index at each look."""


FULL = Sizes(
    photos=256,
    pictures=512,
    naive_pictures=128,
    rounds=5,
    searches=300,
    searched=20_000,
    pushed=10_000,
    pushes=3,
    patches=8_000,
    load_rounds=3,
    load_seconds=40,
    growth=(5_000, 20_000, 50_000),
)
QUICK = Sizes(
    photos=64,
    pictures=128,
    naive_pictures=24,
    rounds=3,
    searches=60,
    searched=5_000,
    pushed=10_000,
    pushes=1,
    patches=4_000,
    load_rounds=1,
    load_seconds=15,
    growth=(),
)
SMOKE = Sizes(
    photos=16,
    pictures=96,
    naive_pictures=8,
    rounds=1,
    searches=8,
    searched=300,
    pushed=500,
    pushes=1,
    patches=300,
    load_rounds=1,
    load_seconds=2,
    growth=(200, 400),
)


@dataclass
class Bench:
    """A stack that is ready, with pictures to index."""

    stack: Stack
    pictures: PictureServer
    files: Sequence[Path]
    """The pictures as files; the server has them under their names."""
    sizes: Sizes
    _numbers: int = field(default=0, init=False)

    @property
    def settings(self) -> Settings:
        """The stack's settings; the servers' addresses are in `settings_with_servers`."""
        return self.stack.settings

    @cached_property
    def connection(self) -> Connection:
        """To the API, for the main thread."""
        return Connection(self.stack.api_url)

    @cached_property
    def catalogue(self) -> Catalogue:
        """Products that are in the index without having been embedded."""
        return Catalogue(self.settings_with_servers, self.pictures, self.files)

    @property
    def settings_with_servers(self) -> Mapping[str, Any]:
        """For processes of the benchmark: all settings, the embedded servers' addresses too."""
        return {**self.settings.model_dump(), **self.stack.addresses}

    def new_products(self, count: int) -> Sequence[Mapping[str, Any]]:
        """Products that the service has never seen, each with a picture of its own."""
        numbers = range(self._numbers, self._numbers + count)
        self._numbers += count
        return [
            {
                "id": f"new-{number}",
                "name": f"New product {number}",
                "image_url": self.picture_url(number, f"new={number}"),
                "category": "new",
                "price": 20,
            }
            for number in numbers
        ]

    def picture_url(self, number: int, query: str) -> str:
        """The address of the pictures in turn; each query makes another picture of one."""
        return f"{self.pictures.base_url}/{self.files[number % len(self.files)].name}?{query}"

    def push(self, products: Sequence[Mapping[str, Any]]) -> str:
        """Pushes them in one call; returns the job's id."""
        body = json.dumps({"products": products}).encode()
        return str(self.connection.call("POST", "/index-products", body)["job_id"])

    def wait_for_worker(self) -> None:
        """Has one picture indexed: the API is ready while the worker still loads its model."""
        self.finished(self.push(self.new_products(1)))

    def finished(self, job_id: str) -> Mapping[str, Any]:
        """The job once it has ended. Raises RuntimeError if an item failed, and StackError."""
        while True:
            job: Mapping[str, Any] = self.connection.call("GET", f"/jobs/{job_id}?wait=30")
            if job["finished_at"]:
                break
            self.stack.check()
        if job["state"] != "succeeded":
            raise RuntimeError(f"a job did not succeed: {job}")
        return job


def seconds_since_1970(iso: str) -> float:
    """A job's time, comparable with `time.time()` on the machine of its ledger."""
    return datetime.fromisoformat(iso).timestamp()
