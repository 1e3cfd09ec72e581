"""`python -m benchmarks.relevance`: the quality of the search, in a table with its bounds.

It starts a stack with the demo model. Exit code 1 if a bound is missed. Without `--data` it takes
drawn catalogues alone; docs/relevance.md describes the folder with others.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.picture_server import PictureServer
from benchmarks.relevance import codes, equations, garbled, given
from benchmarks.relevance.drawn import (
    Naming,
    caption_queries,
    colour_queries,
    name_queries,
    products,
    season_queries,
    write_drawings,
)
from benchmarks.relevance.scores import ask, at_least, at_most, mean
from benchmarks.relevance.shops import Shop, running_shops
from benchmarks.report import table_of
from benchmarks.results import Row
from vitrine.relevance.evaluation import NDCG, NDCG_OF_RATED

_GIVEN: Final = ("electronics", "garments")
_CAPTIONS: Final = 60
"""Combinations that are asked for in English and in French."""

_NAMES: Final = 120
_NONSENSE: Final = ("sdfsdflksdfj", "qwpoeiruty", "badminton")
_LEAST_GAIN: Final = 0.001
"""What "better than either side alone" means, as the table shows it."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relevance")
    parser.add_argument("--data", type=Path, help="a folder with electronics/ or garments/")
    parser.add_argument("--only", nargs="+", choices=(*_DRAWN, *_GIVEN), help="some parts alone")
    options = parser.parse_args()
    if options.data and not options.data.is_dir():
        parser.error(f"--data: {options.data} is no folder")
    found = [name for name in _GIVEN if options.data and (options.data / name).is_dir()]
    wanted = options.only or (*_DRAWN, *_GIVEN)
    names = [name for name in (*_DRAWN, *found) if name in wanted]
    rows = [row for part in _parts(options.data, names) for row in part]
    Console(highlight=False).print(table_of(rows))
    for name in _GIVEN:
        if name not in found:
            print(f"LEFT OUT: {name}. {options.data or 'No --data'} has no folder of that name.")
    if missed := [row.name for row in rows if row.met is False]:
        sys.exit(f"missed: {'; '.join(missed)}")


def _parts(data: Path, names: Sequence[str]) -> Iterator[list[Row]]:
    """The rows of each part; each part's time goes to stderr."""
    with ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="vitrine-drawings-")))
        write_drawings(scratch)
        drawings = held.enter_context(PictureServer(scratch)).base_url
        shops = held.enter_context(running_shops(names))
        for name in names:
            if name == "electronics":
                rows = _electronics(shops[name], data / name, drawings)
            elif name == "garments":
                photos = held.enter_context(PictureServer(data / name / "images"))
                rows = _garments(shops[name], data / name, photos.base_url)
            else:
                rows = _DRAWN[name](shops[name], drawings)
            yield _timed(name, rows)


def _timed(name: str, rows: Iterator[Row]) -> list[Row]:
    began = time.monotonic()
    measured = list(rows)
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return measured


def _meaningless(shop: Shop, drawings: str) -> Iterator[Row]:
    shop.push(products(Naming.MEANINGLESS, drawings))
    queries = caption_queries(_CAPTIONS)
    looks = mean(ask(shop, queries, match="looks"), NDCG)
    both = mean(ask(shop, queries), NDCG)
    yield at_least(f"{Naming.MEANINGLESS.value}: nDCG@10 by looks", looks)
    yield at_least(
        f"{Naming.MEANINGLESS.value}: nDCG@10 by words and looks, less that by looks",
        both - looks,
        -0.01,
    )


def _colourless(shop: Shop, drawings: str) -> Iterator[Row]:
    catalogue = products(Naming.COLOURLESS, drawings)
    shop.push(catalogue)
    for kind, queries, least in (
        ("red shirt", colour_queries(), 0.0),
        ("red winter shirt", season_queries(catalogue, _NAMES), _LEAST_GAIN),
    ):
        by = {match: mean(ask(shop, queries, match=match), NDCG) for match in ("looks", "words")}
        both = mean(ask(shop, queries), NDCG)
        yield at_least(
            f'{Naming.COLOURLESS.value}, as "{kind}": nDCG@10 by words and looks, less the better '
            "one alone",
            both - max(by.values()),
            least,
            note=f"both {both:.3f}, looks {by['looks']:.3f}, words {by['words']:.3f}",
        )


def _full(shop: Shop, drawings: str) -> Iterator[Row]:
    catalogue = products(Naming.FULL, drawings)
    shop.push(catalogue)
    name = Naming.FULL.value
    queries = name_queries(_NAMES)
    for match in ("looks", "words", "auto"):
        yield at_least(
            f"{name}: nDCG@10, match={match}", mean(ask(shop, queries, match=match), NDCG)
        )
    yield from codes.measure(shop, catalogue, "drawn")
    yield from garbled.measure(shop, catalogue, queries, "drawn")
    yield _nonsense(shop, "drawn")
    yield from equations.measure(shop, catalogue)


_DRAWN: Final[Mapping[str, Callable[[Shop, str], Iterator[Row]]]] = {
    "meaningless": _meaningless,
    "colourless": _colourless,
    "full": _full,
}


def _electronics(shop: Shop, folder: Path, drawings: str) -> Iterator[Row]:
    catalogue, queries = given.electronics(folder, drawings)
    shop.push(catalogue)
    words, both = ask(shop, queries, match="words"), ask(shop, queries)
    bounds: Mapping[str, float] = {NDCG: 0.74, NDCG_OF_RATED: 0.80}
    for metric, bound in bounds.items():
        yield at_least(f"electronics: {metric} by words", mean(words, metric), bound)
    for metric in bounds:
        yield at_least(
            f"electronics: {metric} with drawings of other things, less that by words",
            mean(both, metric) - mean(words, metric),
            -0.02,
        )
    yield from codes.measure(shop, catalogue, "electronics")
    yield from garbled.measure(shop, catalogue, queries, "electronics", match="words")


def _garments(shop: Shop, folder: Path, photos: str) -> Iterator[Row]:
    catalogue = given.garments(folder, photos)
    shop.push(catalogue)
    yield from codes.measure(shop, catalogue, "garments")
    yield _nonsense(shop, "garments")


def _nonsense(shop: Shop, name: str) -> Row:
    shown = sum(len(shop.api.search({"text_query": query})["results"]) for query in _NONSENSE)
    return at_most(f"{name}: products shown for nonsense ({', '.join(_NONSENSE)})", shown, 0)


if __name__ == "__main__":
    main()
