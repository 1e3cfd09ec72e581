"""The workers' Celery app for tests: it notes each phase, and kills its own process on order.

`celery -A tests.reliability.faults.stopping_worker worker …`. The collaborators are the real ones;
each notes in a file what the worker is about to do or has just done. Orders are files, too
(`orders.py` writes them): whoever takes one away dies at that very instruction.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import shared.ledger.bootstrap
import shared.qdrant.bootstrap
import worker.bootstrap
from shared.ledger import Ledger
from shared.models.change import Claim, Lane, Report
from shared.qdrant.points import PointWrite, ProductKey
from shared.qdrant.service import QdrantService
from shared.settings import get_settings
from tests.reliability.faults import light_model
from tests.reliability.faults.orders import POISON, folder_of
from tests.reliability.faults.phases import Phases
from worker.bootstrap import Runtime
from worker.pictures.reader import PictureReader, PictureRequest, PictureResult

PHASES = Phases(folder_of(get_settings().data_dir))


class NotingLedger(Ledger):
    """Notes what is claimed, and what has been reported."""

    def claim(self, lanes: Sequence[Lane], limit: int) -> Claim:
        claim = super().claim(lanes, limit)
        if claim.wanted:
            PHASES.enter("claimed", [(each.tenant, each.product_id) for each in claim.wanted])
        return claim

    def report(self, claim: Claim, reports: Sequence[Report]) -> Sequence[Lane]:
        wakes = super().report(claim, reports)
        PHASES.enter("reported", [(each.tenant, each.product_id) for each in reports])
        return wakes


class NotingQdrant(QdrantService):
    """Notes the moments right before and right after a write; then nothing is reported yet."""

    def upsert_products(self, writes: Sequence[PointWrite]) -> Mapping[ProductKey, int]:
        keys = [write.key for write in writes]
        PHASES.enter("writing", keys)
        stored = super().upsert_products(writes)
        PHASES.enter("written", keys)
        return stored


class NotingReader(PictureReader):
    """Notes fetching and embedding. A picture that is marked kills whoever embeds it."""

    def read(self, requests: Sequence[PictureRequest[Any]], **options: Any) -> Any:
        PHASES.enter("fetching")
        return super().read(requests, **options)

    def _embed(
        self, group: Sequence[tuple[Any, Any]], urgent: bool
    ) -> Sequence[tuple[Any, PictureResult]]:
        PHASES.enter("embedding")
        self._die_of_poison(group)
        results = super()._embed(group, urgent)
        PHASES.enter("embedded")
        return results

    @staticmethod
    def _die_of_poison(group: Sequence[tuple[Any, Any]]) -> None:
        try:
            poison = (PHASES.folder / POISON).read_text()
        except FileNotFoundError:
            return
        for _, read in group:
            image = getattr(read, "image", None)
            if image is not None and image.sha256 == poison:
                PHASES.die("poisoned")


def build(settings: Any, app: Any, lanes: Sequence[Lane], threads: int) -> Runtime:
    """As the product's own, once it is known which of the Procfile's processes this is."""
    PHASES.process = "worker-fast" if list(lanes) == [Lane.FAST] else "worker"
    PHASES.note("started")
    return _build(settings, app, lanes, threads)


light_model.plant()
_build = worker.bootstrap.build
worker.bootstrap.build = build
shared.ledger.bootstrap.Ledger = NotingLedger  # type: ignore[misc]
shared.qdrant.bootstrap.QdrantService = NotingQdrant  # type: ignore[misc]
worker.bootstrap.PictureReader = NotingReader  # type: ignore[misc]

# Only now, for importing it makes the app, which takes hold of `build`.
from worker.app import app  # noqa: E402

__all__ = ["app"]
