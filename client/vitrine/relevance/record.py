"""A run as a JSON file, and the file read again to compare with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from vitrine.faults import ExitCode, Fault
from vitrine.relevance.evaluation import METRICS, Evaluation, QueryScores
from vitrine.relevance.ratings import RatedQueries

_FORMAT: Final = 1
_MAX_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class Record:
    """One run."""

    evaluation: Evaluation
    ratings_sha256: str
    request: Mapping[str, Any]
    """Fields of each search beside its words."""
    at: str = ""
    """Its end, as ISO 8601 in UTC."""

    @classmethod
    def of(
        cls, evaluation: Evaluation, ratings: RatedQueries, request: Mapping[str, Any]
    ) -> "Record":
        """A run that has just ended."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(evaluation, ratings.sha256, request, at)


def write_record(record: Record, path: Path, seed: int) -> None:
    """Writes the run with its totals. Raises `Fault`."""
    totals = record.evaluation.estimates(seed)
    document = {
        "format": _FORMAT,
        "at": record.at,
        "ratings_sha256": record.ratings_sha256,
        "request": dict(record.request),
        "totals": {metric: found._asdict() for metric, found in totals.items()},
        "queries": {query: asdict(each) for query, each in record.evaluation.queries.items()},
    }
    try:
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
    except OSError as err:
        raise Fault(ExitCode.CANT_CREATE, f"{path} can't be written: {err.strerror}") from err


def read_record(path: Path) -> Record:
    """A run that was written before. Raises `Fault`."""
    try:
        with path.open("rb") as file:
            return _record(json.loads(file.read(_MAX_BYTES)))
    except OSError as err:
        raise Fault(ExitCode.DATA, f"{path} can't be read: {err.strerror}") from err
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise Fault(ExitCode.DATA, f"{path} is not what `vitrine evaluate --json` writes") from err


def _record(document: Mapping[str, Any]) -> Record:
    if document["format"] != _FORMAT:
        raise ValueError(document["format"])
    queries = {query: _scores(each) for query, each in document["queries"].items()}
    return Record(
        Evaluation(queries),
        str(document["ratings_sha256"]),
        dict(document["request"]),
        str(document["at"]),
    )


def _scores(document: Mapping[str, Any]) -> QueryScores:
    scores = document["scores"]
    return QueryScores(
        {metric: None if scores[metric] is None else float(scores[metric]) for metric in METRICS},
        int(document["total_results"]),
        list(document["first"]),
    )
