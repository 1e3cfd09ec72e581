"""`/healthz`, `/readyz` and `/metrics`: for probes, open to all, without anything of a tenant."""

import contextlib
from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response

from api.metrics import CONTENT_TYPE, Metrics
from api.resources.index_watch import IndexWatch
from api.resources.readiness import OK, Check, Readiness
from api.responses.answers import json_response
from api.responses.problems import Problem
from api.services import Services
from shared.errors import LedgerUnavailable, QdrantUnavailable
from shared.qdrant.facts import NO_PRODUCTS

# A part that answers at all does so in milliseconds; probes commonly give up after some seconds.
_CHECK_SECONDS: Final = 2.0

# The encoder may have a queue of searches in front of the check, which is not being broken.
_EMBEDDING_CHECK_SECONDS: Final = 5.0
_EMBEDDING_KEEP_SECONDS: Final = 5.0


class Health:
    """What probes and Prometheus ask."""

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

    def blueprint(self) -> Blueprint:
        """The routes."""
        blueprint = Blueprint("health", __name__)
        blueprint.get("/healthz")(self.healthz)
        blueprint.get("/readyz")(self.readyz)
        blueprint.get("/metrics")(self.metrics)
        return blueprint

    def healthz(self) -> Response:
        """The process answers. Touches nothing else."""
        return json_response({"status": "ok"})

    def readyz(self) -> Response:
        """All parts that this process needs answer, and a real embedding comes out right."""
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
        answer = {
            "status": "ready",
            "checks": results,
            "warnings": [*self._warnings(), *of_index],
        }
        if facts is not None and NO_PRODUCTS in of_index:
            answer["collections"] = {facts.collection: 0, **facts.points}
        return json_response(answer)

    def _warnings(self) -> list[str]:
        # No reason to take the process out: it searches and accepts, and all others would be, too.
        warnings = ["keys_file_exposed"] if self._keys_exposed() else []
        with contextlib.suppress(LedgerUnavailable):  # since it was checked
            if self._ledger_lost():
                warnings.append("ledger_lost")
        return warnings

    def metrics(self) -> Response:
        """Prometheus' text format."""
        return Response(self._metrics.text(), content_type=CONTENT_TYPE)


def readiness_of(services: Services) -> Readiness:
    """The checks of the parts that the API can't work without."""

    def qdrant() -> None:
        if not services.qdrant.ready():
            raise QdrantUnavailable("the collection can't be read")

    return Readiness(
        [
            Check("redis", services.ledger.ping, timeout_seconds=_CHECK_SECONDS),
            Check("qdrant", qdrant, timeout_seconds=_CHECK_SECONDS + 0.5),
            Check(
                "embedding",
                services.embedding.check,
                timeout_seconds=_EMBEDDING_CHECK_SECONDS,
                keep_seconds=_EMBEDDING_KEEP_SECONDS,
            ),
        ]
    )
