"""The values of `/metrics`: of this process, or of all that share a multiprocess directory."""

import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.resources.index_watch import IndexWatch
from shared.errors import LedgerUnavailable
from shared.ledger import Ledger, LedgerLoss

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class BacklogCollector(Collector):
    """The ledger's backlog, read at each scrape. Without the ledger: `ledger_up 0` and no more."""

    def __init__(self, ledger: Ledger, loss: LedgerLoss) -> None:
        self._ledger = ledger
        self._loss = loss

    def collect(self) -> Iterator[Metric]:
        """Yields the gauges."""
        try:
            lanes = self._ledger.backlog()
            lost = self._loss.is_lost()
        except LedgerUnavailable:
            yield GaugeMetricFamily("ledger_up", "Whether the ledger answers.", 0)
            return
        yield GaugeMetricFamily("ledger_up", "Whether the ledger answers.", 1)
        yield GaugeMetricFamily(
            "ledger_lost",
            "Whether the index holds products that the ledger does not know, as after its loss.",
            int(lost),
        )
        pending = GaugeMetricFamily(
            "ledger_pending", "Products with a change that has not landed.", labels=["lane"]
        )
        for lane in lanes:
            pending.add_metric([lane.lane.value], lane.pending)
        yield pending
        # Products leased to a worker count as due when the lease ends, so they lie ahead of now.
        oldest = [lane.oldest_due for lane in lanes if lane.oldest_due is not None]
        waited = max(0.0, time.time() - min(oldest)) if oldest else 0.0
        yield GaugeMetricFamily(
            "ledger_oldest_due_seconds",
            "How long the change that is due longest has waited for a worker.",
            waited,
        )


class IndexCollector(Collector):
    """The size of each model's collection. Without Qdrant there are no values."""

    def __init__(self, index: IndexWatch) -> None:
        self._index = index

    def collect(self) -> Iterator[Metric]:
        """Yields the gauge."""
        facts = self._index.facts()
        if facts is None:
            return
        points = GaugeMetricFamily(
            "index_products",
            "Products that a model's collection holds by about, with the traces of deleted ones; "
            "`searched` is yes for the model that is set.",
            labels=["collection", "searched"],
        )
        for name, count in {facts.collection: 0, **facts.points}.items():
            points.add_metric([name, "yes" if name == facts.collection else "no"], count)
        yield points


class Metrics:
    """The text that Prometheus reads."""

    def __init__(self, ledger: Ledger, loss: LedgerLoss, index: IndexWatch) -> None:
        self._backlog = CollectorRegistry()
        self._backlog.register(BacklogCollector(ledger, loss))
        self._backlog.register(IndexCollector(index))

    def text(self) -> bytes:
        """All values now."""
        return generate_latest(_values()) + generate_latest(self._backlog)


def _values() -> CollectorRegistry:
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:
        # prometheus-client says so if no multiprocess directory is set: one process's values.
        return REGISTRY
    return registry
