"""`vitrine evaluate`: how good the answers are, held against people's ratings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vitrine.api import Api
from vitrine.commands.search import CUTOFFS, MATCHES
from vitrine.relevance.comparison import compare
from vitrine.relevance.evaluation import evaluate as evaluate_queries
from vitrine.relevance.ratings import read_ratings
from vitrine.relevance.record import Record, read_record, write_record
from vitrine.relevance.report import show_comparison, show_queries, show_totals

SEED: Final = 1
_PATH: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("ratings", type=_PATH)
@click.option("--json", "output", type=_PATH, help="Write scores and totals to this file.")
@click.option("--compare", "before", type=_PATH, help="Compare with what --json wrote before.")
@click.option("--match", type=click.Choice(MATCHES), help="What decides: words, looks, or both.")
@click.option("--cutoff", type=click.Choice(CUTOFFS), help="How near a product has to look.")
@click.option("--min-score", type=click.FloatRange(-1, 1), help="The least cosine, as a cut-off.")
@click.option(
    "--group/--no-group",
    default=False,
    show_default=True,
    help="One product of each group, or each product, because each may be rated.",
)
@click.option("--worst", type=click.IntRange(0), default=10, show_default=True,
              help="Queries shown, those with the lowest nDCG@10.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1, 8), default=4, show_default=True,
              help="Searches at one time.")  # fmt: skip
@click.option("--seed", type=int, default=SEED, show_default=True, help="Of the intervals.")
@click.pass_obj
def evaluate(
    api: Api,
    /,
    *,
    ratings: Path,
    output: Path | None,
    before: Path | None,
    worst: int,
    at_once: int,
    seed: int,
    **options: Any,
) -> None:
    """Searches for each query of RATINGS and scores the answers.

    RATINGS is a CSV file with the columns query, product_id and rating: 0 for a product that
    doesn't fit, and the more the better it fits.
    """
    rated = read_ratings(ratings)
    earlier = read_record(before) if before else None
    request = {name: value for name, value in options.items() if value is not None}
    with _progress(len(rated.queries)) as advance:
        found = evaluate_queries(api, rated.queries, request, at_once, advance)
    record = Record.of(found, rated, request)
    if output:
        write_record(record, output, seed)
    console = Console(highlight=False)
    show_totals(console, found.estimates(seed))
    show_queries(console, found, worst)
    if earlier:
        if earlier.ratings_sha256 != record.ratings_sha256:
            click.echo(f"vitrine: {before} was made with other ratings than these", err=True)
        show_comparison(console, compare(earlier.evaluation, found, seed))


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on stderr, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("queries", total=total)
        yield lambda done: bar.advance(task, done)
