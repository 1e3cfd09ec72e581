"""How fast a backup, a restore and a rebuilt ledger are, and what memory they take.

`python -m benchmarks.studies.backup [--products 50000]`: fills embedded servers in a temporary
directory with products of random vectors and typical fields, then runs the commands as processes of
their own, so that the memory said is theirs alone.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.drawn_vectors import DIMENSIONS
from shared.models.product import point_id
from shared.qdrant.recovery.transfer import PAGE, PointTransfer, RawPoint
from shared.qdrant.vectors import VectorSet
from stack.ports import free_port
from stack.run import ROOT

_MEASURED = (
    "import resource, sys\n"
    "from operations.__main__ import main\n"
    "try: main()\n"
    "finally: print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
)
"""Runs the command and prints its peak memory in kB."""


def product(number: int, rev: int, rng: np.random.Generator) -> RawPoint:
    """A live point as large as those of real catalogues: some 700 bytes of fields."""
    vector = rng.normal(size=DIMENSIONS)
    name = f"product-{number}"
    payload = {
        "id": name,
        "name": f"Shirt number {number}",
        "description": "A plain cotton shirt, cut wide, with a round neck. " * 5,
        "image_url": f"https://shop.example/pictures/{number}.jpg",
        "category": "clothing",
        "price": 19.5,
        "attributes": {"color": "red", "size": "M", "stock": number % 50},
        "version": number,
        "tenant": "default",
        "group_id": name,
        "ungrouped": True,
        "rev": rev,
        "image_sha256": "0" * 64,
        "indexed_at": "2026-01-01T00:00:00+00:00",
        "warnings": [],
    }
    vectors = VectorSet.of_image(vector / np.linalg.norm(vector))
    return RawPoint(point_id("default", name), payload, vectors)


class Site:
    """A pair of embedded servers."""

    def __init__(self, folder: Path) -> None:
        self.settings = {
            "CLIP_MODEL": "demo",
            "DATA_DIR": str(folder),
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "QDRANT_URL": f"http://127.0.0.1:{free_port()}",
        }
        commands = (["stack.redis", "ledger"], ["stack.qdrant"])
        self._processes = [
            subprocess.Popen(  # noqa: S603 - our own command line
                [sys.executable, "-m", *command],
                env=self.environ,
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for command in commands
        ]

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of its commands."""
        return {"PATH": os.defpath, **self.settings}

    def stop(self) -> None:
        """Ends the servers."""
        for process in self._processes:
            process.terminate()
            process.wait(60)

    def run(self, *arguments: str) -> tuple[float, float]:
        """Seconds and peak memory in MB of one command; the servers may still be starting."""
        began = time.monotonic()
        ran = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-c", _MEASURED, *arguments],
            env=self.environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            sys.exit(ran.stderr)
        return time.monotonic() - began, int(ran.stderr.rpartition("PEAK ")[2]) / 1024


def fill(site: Site, collection: str, products: int) -> None:
    """Writes that many products into the site's index."""
    rng = np.random.default_rng(0)
    points = PointTransfer(site.settings["QDRANT_URL"], collection)
    points.ensure_collection(DIMENSIONS, ["color", "size"])
    rev = int(time.time() * 1e6)
    for start in range(0, products, PAGE):
        numbers = range(start, min(start + PAGE, products))
        points.write([product(number, rev + number, rng) for number in numbers])
    points.close()


def wait_for(site: Site) -> None:
    """Returns once both servers answer."""
    deadline = time.monotonic() + 60
    points = PointTransfer(site.settings["QDRANT_URL"], "any")
    while True:
        try:
            points.count()
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    points.close()


def main() -> None:
    """Measures, and prints products/s and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    from shared.embedding.identity import collection_name  # noqa: PLC0415 - after --help
    from shared.settings import Settings  # noqa: PLC0415

    collection = collection_name(Settings(clip_model="demo"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        original = Site(root / "original")
        wait_for(original)
        fill(original, collection, options.products)
        seconds: dict[str, list[float]] = {"rebuild-ledger": [], "backup": [], "restore": []}
        memory = dict.fromkeys(seconds, 0.0)
        size = disk = 0
        for turn in range(options.repeat):
            file = root / f"{turn}.zip"
            target = Site(root / f"target-{turn}")
            wait_for(target)
            for command, site, arguments in (
                ("rebuild-ledger", original, ()),
                ("backup", original, (str(file),)),
                ("restore", target, (str(file),)),
            ):
                took, peak = site.run(command, *arguments)
                seconds[command].append(took)
                memory[command] = max(memory[command], peak)
            target.stop()
            size = file.stat().st_size
            disk = sum(p.stat().st_blocks for p in (root / f"target-{turn}").rglob("*")) * 512
            file.unlink()
        original.stop()
    print(
        f"{options.products} products, file {size / 1e6:.1f} MB, restored data {disk / 1e6:.1f} MB"
    )
    for command, times in seconds.items():
        median = statistics.median(times)
        print(
            f"{command:15} {median:6.1f} s  {options.products / median:8.0f} products/s  "
            f"{memory[command]:.0f} MB at most"
        )


if __name__ == "__main__":
    main()
