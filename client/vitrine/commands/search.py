"""`vitrine search`: one search, as a table."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitrine.api import Api
from vitrine.faults import ExitCode, Fault

_MAX_PICTURE_BYTES: Final = 10 << 20
SORTS: Final = ("relevance", "price_asc", "price_desc", "newest", "name")
MATCHES: Final = ("auto", "looks", "words")
CUTOFFS: Final = ("auto", "strict", "off")


@click.command()
@click.argument("words", nargs=-1)
@click.option("--image", metavar="FILE|URL", help="A picture to search by.")
@click.option("--product", "product_id", metavar="ID", help="A product to search by.")
@click.option("--top", "top_k", type=click.IntRange(1, 100), help="Products shown (10).")
@click.option("--offset", type=click.IntRange(0), help="Products passed over.")
@click.option("--match", type=click.Choice(MATCHES), help="What decides: words, looks, or both.")
@click.option("--category", "category_filter", multiple=True, help="Can be repeated.")
@click.option("--brand", "brand_filter", multiple=True, help="Can be repeated.")
@click.option("--in-stock", is_flag=True, default=None, help="Only what can be bought now.")
@click.option("--price-min", type=click.FloatRange(0))
@click.option("--price-max", type=click.FloatRange(0))
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE",
              help="Can be repeated; several values of one name are alternatives.")  # fmt: skip
@click.option("--sort", type=click.Choice(SORTS))
@click.option("--facet", "facets", multiple=True, metavar="NAME",
              help="Count values: category, brand, price, attributes.NAME…")  # fmt: skip
@click.option("--group/--no-group", default=None, help="One product of each group, or all.")
@click.option("--cutoff", type=click.Choice(CUTOFFS), help="How near a product has to look.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as it came.")
@click.pass_obj
def search(
    api: Api,
    /,
    words: Sequence[str],
    image: str | None,
    attributes: Sequence[str],
    as_json: bool,
    **options: Any,
) -> None:
    """Searches for WORDS, for a picture, or for both; without either, it lists the catalogue."""
    # Options that were not given stay out, so that the service's own defaults count.
    request = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value != ()
    }
    if words:
        request["text_query"] = " ".join(words)
    if image:
        request |= _picture(image)
    if attributes:
        request["attributes"] = _attributes(attributes)
    answer = api.search(request)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(_table(answer["results"]))
    for line in (*_facet_lines(answer.get("facets") or {}), *_remarks(answer)):
        console.print(line, markup=False, soft_wrap=True)


def _picture(image: str) -> dict[str, str]:
    """The field of the request that holds the picture."""
    if image.startswith(("http://", "https://")):
        return {"image_url": image}
    try:
        with Path(image).open("rb") as file:
            content = file.read(_MAX_PICTURE_BYTES + 1)
    except OSError as err:
        raise Fault(ExitCode.DATA, f"{image} can't be read: {err.strerror}") from err
    if len(content) > _MAX_PICTURE_BYTES:
        raise Fault(ExitCode.DATA, f"{image} is larger than 10 MiB")
    return {"image_base64": base64.b64encode(content).decode()}


def _attributes(given: Sequence[str]) -> dict[str, list[str]]:
    attributes: dict[str, list[str]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise Fault(ExitCode.USAGE, f"--attribute {each}: write NAME=VALUE")
        attributes.setdefault(name, []).append(value)
    return attributes


def _table(results: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="dim", border_style="dim")
    table.add_column("", justify="right")
    table.add_column("product", overflow="fold")
    table.add_column("name", ratio=1)
    table.add_column("category")
    table.add_column("price", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("cosine", justify="right", no_wrap=True)
    for rank, result in enumerate(results, 1):
        price = result.get("sale_price")
        cells = (
            str(rank),
            result["product_id"],
            result["name"],
            result.get("category") or "",
            _number(result.get("price") if price is None else price, 2),
            _number(result.get("score"), 2),
            _number(result.get("similarity_score"), 3),
        )
        table.add_row(*map(Text, cells))
    return table


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _facet_lines(facets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, facet in facets.items():
        if values := facet.get("values"):
            yield f"{name}: " + ", ".join(f"{each['value']} ({each['count']})" for each in values)
        elif facet.get("min") is not None:
            yield f"{name}: {facet['min']} to {facet['max']}"


def _remarks(answer: Mapping[str, Any]) -> Iterator[str]:
    for typed, meant in (answer.get("corrected") or {}).items():
        yield f"also looked for: {meant} ({typed} is not in the catalogue)"
    if degraded := answer.get("degraded"):
        yield f"not answered by: {', '.join(degraded)}"
    at_least = "at least " if answer.get("total_relation") == "gte" else ""
    cached = ", cached" if answer["cached"] else ""
    yield (
        f"{len(answer['results'])} of {at_least}{answer['total_results']} "
        f"({answer['execution_time_ms']:.1f} ms{cached})"
    )
