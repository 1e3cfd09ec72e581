"""`/healthz`, `/readyz` and `/metrics`: for probes, open to all, without anything of a tenant."""

import contextlib
from collections.abc import Callable
from typing import Literal, NotRequired

from flask import Response
from pydantic import with_config
from typing_extensions import TypedDict

from api.metrics import CONTENT_TYPE, Metrics
from api.openapi.describe import Operation, json_answer, text_answer
from api.resources.index_watch import IndexWatch
from api.resources.readiness import OK, Readiness
from api.responses.answers import json_response
from api.responses.problems import Problem
from shared.errors import LedgerUnavailable
from shared.qdrant.facts import NO_PRODUCTS


@with_config(use_attribute_docstrings=True)
class AliveAnswer(TypedDict):
    """The process answers."""

    status: Literal["ok"]
    """Always `ok`."""


@with_config(use_attribute_docstrings=True)
class ReadyAnswer(TypedDict):
    """All parts answer."""

    status: Literal["ready"]
    """Always `ready`."""
    checks: dict[str, str]
    """`ok` by part: `redis`, `qdrant` and `embedding`."""
    warnings: list[str]
    """`ledger_lost` if the index holds products that the ledger does not know; `keys_file_exposed`
    if others may read the keys file; `model_has_no_products` if the index holds products of another
    model alone; `index_needs_upgrade` if products of an earlier release are left."""
    collections: NotRequired[dict[str, int]]
    """With `model_has_no_products`: the products of each model's collection."""


class HealthResource:
    """Answers to probes and to Prometheus."""

    def __init__(
        self,
        readiness: Readiness,
        metrics: Metrics,
        index: IndexWatch,
        ledger_lost: Callable[[], bool],
        keys_exposed: Callable[[], bool],
    ) -> None:
        """`ledger_lost` asks whether workers miss rows of products that the index holds,
        `keys_exposed` whether others than its owner may read the keys file.
        """
        self._readiness = readiness
        self._metrics = metrics
        self._index = index
        self._ledger_lost = ledger_lost
        self._keys_exposed = keys_exposed

    @Operation(
        "GET", "/healthz", {200: json_answer("The process answers.", AliveAnswer)}, is_open=True
    )
    def is_alive(self) -> Response:
        """Ask whether the process answers.

        Touches nothing else.
        """
        return json_response(AliveAnswer(status="ok"))

    @Operation(
        "GET",
        "/readyz",
        {200: json_answer("All parts answer.", ReadyAnswer)},
        problems=(503,),
        is_open=True,
    )
    def is_ready(self) -> Response:
        """Ask whether Redis, Qdrant and the encoder answer.

        A real text is embedded for it. 503 names the parts that fail.
        """
        results = self._readiness.results()
        failing = [name for name, result in results.items() if result != OK]
        if failing:
            raise Problem(
                503,
                "not_ready",
                f"not ready: {', '.join(failing)}",
                {"failing": failing, "checks": results},
                {"Retry-After": "1"},
            )
        facts = self._index.facts()
        of_index = {} if facts is None else facts.warnings()
        answer = ReadyAnswer(
            status="ready", checks=dict(results), warnings=[*self._warnings(), *of_index]
        )
        if facts is not None and NO_PRODUCTS in of_index:
            answer["collections"] = {facts.collection: 0, **facts.points}
        return json_response(answer)

    @Operation(
        "GET",
        "/metrics",
        {200: text_answer("Text for Prometheus.", "text/plain")},
        is_open=True,
    )
    def read_metrics(self) -> Response:
        """Read metrics for Prometheus.

        With `make run` they are those of all processes together.
        """
        return Response(self._metrics.text(), content_type=CONTENT_TYPE)

    def _warnings(self) -> list[str]:
        # No reason to take the process out: it searches and accepts, and all others would be, too.
        warnings = ["keys_file_exposed"] if self._keys_exposed() else []
        with contextlib.suppress(LedgerUnavailable):  # since it was checked
            if self._ledger_lost():
                warnings.append("ledger_lost")
        return warnings
