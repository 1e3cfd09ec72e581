"""What the noise floor of looks keeps and leaves out: `python -m benchmarks.studies.noise_floor`.

On the demo's drawn products, whose truth is known, with the demo's model.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from demo.catalogue import CatalogueEntry, catalogue
from demo.model.evaluate import encode_pictures, encode_texts
from shared.embedding.demo_model.loading import load_demo_model
from shared.search.noise.floor import Matrix

_SHARES: Final = (0.8, 0.9, 0.95, 0.98)
_NONSENSE: Final = ("badminton", "laptop", "coffee maker", "sdfsdflksdfj", "qwertz uiop")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws, embeds and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.noise_floor")
    parser.add_argument("--products", type=int, default=300)
    options = parser.parse_args(arguments)
    entries = catalogue(options.products, "http://pictures")
    model = load_demo_model()
    pictures: Matrix = encode_pictures(model, [entry.picture(224) for entry in entries]).numpy()
    mean = pictures.mean(axis=0)

    def cosines(texts: Sequence[str], above_mean: bool) -> Matrix:
        vectors: Matrix = encode_texts(model, texts).numpy()
        found: Matrix = vectors @ pictures.T
        return found - (vectors @ mean)[:, np.newaxis] if above_mean else found

    table = Table(title="Of what is asked for: recall / precision (products that stay)")
    for heading in ("queries", "cosine", *(f"{share:.0%}" for share in _SHARES)):
        table.add_column(heading)
    names = [entry.product["name"] for entry in entries]
    others = ~np.eye(len(entries), dtype=bool)
    for kind, queries in _queries(entries):
        meant = np.array([[_shows(entry, query) for entry in entries] for query in queries])
        for above_mean in (False, True):
            unrelated = cosines(names, above_mean)[others]
            found = cosines([" ".join(query) for query in queries], above_mean)
            cells = [_share(found >= np.quantile(unrelated, share), meant) for share in _SHARES]
            table.add_row(kind, "above the mean" if above_mean else "as it is", *cells)
    Console().print(table)


def _queries(
    entries: Sequence[CatalogueEntry],
) -> Iterator[tuple[str, Sequence[tuple[str, ...]]]]:
    shown = [entry.shown for entry in entries]
    yield "garment", sorted({(each.garment,) for each in shown})
    yield "colour", sorted({(each.colour,) for each in shown})
    yield "garment and colour", sorted({(each.colour, each.garment) for each in shown})
    yield "nonsense", [(text,) for text in _NONSENSE]


def _shows(entry: CatalogueEntry, query: Sequence[str]) -> bool:
    return all(word in entry.shown for word in query)


def _share(stays: np.ndarray, meant: np.ndarray) -> str:
    kept = (stays & meant).sum()
    recall = f"{kept / meant.sum():.2f}" if meant.any() else "–"
    precision = f"{kept / stays.sum():.2f}" if stays.any() else "–"
    return f"{recall} / {precision} ({stays.sum(axis=1).mean():.0f})"


if __name__ == "__main__":
    main()
