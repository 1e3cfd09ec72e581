"""Ratings as a file has them: a CSV table of query, product_id and rating."""

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vitrine.faults import ExitCode, Fault
from vitrine.relevance.metrics import Ratings

COLUMNS: Final = ("query", "product_id", "rating")
_MAX_BYTES: Final = 256 << 20
_MAX_QUERY: Final = 1_000
"""Characters of a query, as the API bounds them."""


@dataclass(frozen=True)
class RatedQueries:
    """All ratings of a file."""

    queries: Mapping[str, Ratings]
    sha256: str
    """Of the file: two runs can be compared rating by rating if it is the same."""

    @property
    def count(self) -> int:
        """Single ratings."""
        return sum(map(len, self.queries.values()))


def read_ratings(path: Path) -> RatedQueries:
    """The file's ratings. Raises `Fault` with the line that can't be used."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as err:
        raise Fault(ExitCode.DATA, f"{path} can't be read: {err.strerror}") from err
    if len(content) > _MAX_BYTES:
        raise Fault(ExitCode.DATA, f"{path} is larger than 256 MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise Fault(ExitCode.DATA, f"{path} is not UTF-8; save it as CSV in UTF-8") from err
    try:
        queries = _by_query(text)
    except _Wrong as wrong:
        raise Fault(ExitCode.DATA, f"{path}, line {wrong.line}: {wrong.reason}") from wrong
    if not queries:
        raise Fault(ExitCode.DATA, f"{path} holds no ratings")
    return RatedQueries(queries, hashlib.sha256(content).hexdigest())


class _Wrong(Exception):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def _by_query(text: str) -> dict[str, dict[str, float]]:
    queries: dict[str, dict[str, float]] = {}
    for line, query, product, rating in _rows(text):
        earlier = queries.setdefault(query, {}).setdefault(product, rating)
        if earlier != rating:
            raise _Wrong(line, f"{product} is rated {earlier:g} before and {rating:g} here")
    return queries


def _rows(text: str) -> Iterator[tuple[int, str, str, float]]:
    """Line, query, product and rating; blank lines are passed over."""
    first, _, _ = text.partition("\n")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        if missing := [name for name in COLUMNS if name not in head]:
            raise _Wrong(1, f"the column {missing[0]} is missing; it needs {', '.join(COLUMNS)}")
        places = [head.index(name) for name in COLUMNS]
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            if len(row) != len(head):
                raise _Wrong(reader.line_num, f"{len(row)} columns, but the head has {len(head)}")
            query, product, rating = (row[place].strip() for place in places)
            yield reader.line_num, query, product, _checked(query, product, rating, reader.line_num)
    except csv.Error as err:
        raise _Wrong(reader.line_num, f"this is no CSV: {err}") from err


def _checked(query: str, product: str, rating: str, line: int) -> float:
    """The rating as a number, once the whole line can be used."""
    if not 1 <= len(query) <= _MAX_QUERY:
        raise _Wrong(line, f"a query has 1 to {_MAX_QUERY} characters")
    if not product:
        raise _Wrong(line, "the product_id is empty")
    try:
        number = float(rating)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise _Wrong(line, f"{rating!r} is no rating; 0 or more is one")
    return number
