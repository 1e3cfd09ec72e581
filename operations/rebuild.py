"""Makes the ledger's rows anew from the index, as after the loss of Redis."""

from collections.abc import Iterable, Iterator, Sequence

from shared.ledger import IndexedProduct, LedgerLoss, LedgerRebuild, RebuiltRows
from shared.models.change import Change
from shared.qdrant.points import state_of, stored_product
from shared.qdrant.recovery.transfer import RawPoint


class RowsFromIndex:
    """Takes points in pages; in the end, no answer cached before is found any more."""

    def __init__(self, ledger: LedgerRebuild, loss: LedgerLoss) -> None:
        self._ledger = ledger
        self._loss = loss
        self._highest: dict[str, int] = {}
        self.rows = RebuiltRows()

    def take(self, points: Sequence[RawPoint]) -> None:
        """Brings these products' rows up to the index."""
        for point in points:
            self._highest[point.tenant] = max(self._highest.get(point.tenant, 0), point.rev)
        self.rows += self._ledger.take(
            [
                IndexedProduct(
                    point.tenant,
                    point.product_id,
                    point.rev,
                    point.version,
                    state_of(point),
                    point.is_incomplete,
                    _awaited(point),
                )
                for point in points
            ]
        )

    def finish(self, other_tenants: Iterable[str] = ()) -> None:
        """After the last page. `other_tenants`: those that have no points but may have answers."""
        highest = dict.fromkeys(other_tenants, 0) | self._highest
        self._ledger.raise_generations(highest)
        self._loss.note_all_known()


def _awaited(point: RawPoint) -> str:
    """The put that a product still waits for if its fields came before its picture."""
    url = point.payload.get("awaits_picture")
    if url is None:
        return ""
    product = stored_product(point.payload).product
    return Change.put(product.model_copy(update={"image_url": url})).body


def rebuild(
    pages: Iterator[list[RawPoint]], ledger: LedgerRebuild, loss: LedgerLoss
) -> Iterator[tuple[int, RebuiltRows]]:
    """Works page by page; yields how many points a page had, and the rows so far."""
    rows = RowsFromIndex(ledger, loss)
    for page in pages:
        rows.take(page)
        yield len(page), rows.rows
    rows.finish()
