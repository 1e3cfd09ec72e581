"""Memory and disk that a catalogue takes in the embedded servers: the table in the README.

`python -m benchmarks.studies.sizing --products 10000 50000` starts both servers in a temporary
directory and fills them step by step with products of some 400 bytes and random vectors. The last
line is what each product adds between the first step and the last. Larger catalogues than the
embedded servers take are arithmetic with that line.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.catalogue import Catalogue
from benchmarks.measures.growth import look, wait_for_servers
from benchmarks.photos import drawn_photos
from benchmarks.picture_server import PictureServer
from benchmarks.service import running_stack
from shared.embedding.identity import DEMO_MODEL

_MEASURES: Final = ("qdrant_mb", "redis_mb", "disk_mb")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.sizing")
    parser.add_argument("--products", type=int, nargs="+", default=[0, 10_000, 50_000])
    counts = sorted(parser.parse_args().products)
    looks = []
    with tempfile.TemporaryDirectory(prefix="vitrine-sizing-") as scratch:
        photo = Path(scratch) / "0.jpg"
        photo.write_bytes(drawn_photos(1)[0])
        with (
            PictureServer(Path(scratch)) as pictures,
            running_stack(DEMO_MODEL, only=("redis", "qdrant")) as stack,
        ):
            settings = {**stack.settings.model_dump(), **stack.addresses}
            catalogue = Catalogue(settings, pictures, [photo])
            wait_for_servers(catalogue)
            for count in counts:
                catalogue.hold(count)
                looks.append(look(stack, catalogue))
                sizes = "  ".join(f"{name} {looks[-1][name]:8.1f}" for name in _MEASURES)
                print(f"{count:8,} products: {sizes}  query {looks[-1]['query_ms']:.1f} ms")
    if len(counts) > 1:
        added = counts[-1] - counts[0]
        each = (f"{name} {(looks[-1][name] - looks[0][name]) / added:.5f}" for name in _MEASURES)
        print(f"each product adds: {'  '.join(each)}")


if __name__ == "__main__":
    main()
