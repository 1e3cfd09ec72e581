"""Writes of products and tombstones, each unless the index holds something newer."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from qdrant_client import models

from shared.models.product import point_id
from shared.qdrant import filters as conditions
from shared.qdrant.errors import translated
from shared.qdrant.filters import Filter
from shared.qdrant.points import (
    PayloadWrite,
    PointWrite,
    ProductKey,
    StoredRev,
    highest_revs,
    live_payload,
    point_of,
    words_vector,
)
from shared.qdrant.reading import ProductReader
from shared.qdrant.upsert import update, upsert, vectors_operation


class ProductWriter(ProductReader):
    """The writing part of `QdrantService`."""

    def upsert_product(self, write: PointWrite) -> int:
        """Write one product or tombstone unless a newer one is stored; the rev stored now."""
        return self.upsert_products([write])[write.key].rev

    def upsert_products(self, writes: Sequence[PointWrite]) -> Mapping[ProductKey, StoredRev]:
        """Write each product or tombstone unless the index holds a rev as high or higher.

        A point that awaits its picture is replaced by a write `after_fields` of the same rev, too.
        Of several writes for one product the highest rev counts. Returns the rev that is stored
        afterwards for every product named: a caller's write stands if it equals its own. A
        `PayloadWrite` does nothing, too, if the stored picture is another one by now.
        """
        chosen = highest_revs(writes)
        if not chosen:
            return {}
        whole = [write for write in chosen.values() if not isinstance(write, PayloadWrite)]
        payloads = [write for write in chosen.values() if isinstance(write, PayloadWrite)]
        if whole:
            points = [point_of(write) for write in whole]
            upsert(self._client, self.collection, points, conditions.older_than(whole))
        if payloads:
            self._overwrite_payloads(payloads)
        # Qdrant acknowledges a write that its condition skipped too, hence the second question.
        return self.stored_revs(list(chosen))

    def _overwrite_payloads(self, writes: Sequence[PayloadWrite]) -> None:
        # No picture's vector is sent. A real server moves the point with it all the same, out of
        # the segment with the graph, and builds that anew once a share of it has moved; so a change
        # of prices costs it as much as one of pictures (docs/operations.md).
        update(self._client, self.collection, operations(writes))

    def purge_tombstones(self, older_than_rev: int) -> None:
        """Remove the tombstones whose rev (microseconds since 1970) is lower, of all tenants.

        A write older than a purged tombstone would no longer lose, so purge only what is older
        than anything that may still be on its way.
        """
        condition = models.Filter(**conditions.tombstones_before(older_than_rev))
        selector = models.FilterSelector(filter=condition)
        with translated("purge tombstones"):
            self._client.delete(self.collection, selector, wait=True)


def operations(writes: Sequence[PayloadWrite]) -> list[dict[str, Any]]:
    """The writes as a batch for Qdrant: first the vectors of words that have changed.

    In this order, because a server that is killed in between is left with the older rev: the work
    is done again. In one request, because nothing comes in between on the embedded server.
    """
    batch = [(_payload_operation(write), words_vector(write.words), write) for write in writes]
    payloads = [operation for operation, _, _ in batch]
    vectors = [
        ({"id": point_id(*write.key), "vector": vector}, _condition(write))
        for _, vector, write in batch
        if vector
    ]
    if not vectors:
        return payloads
    return [vectors_operation(vectors), *payloads]


def _condition(write: PayloadWrite) -> Filter:
    if write.replaces is None:
        return conditions.older_with_picture(write)
    return conditions.unchanged_with_picture(write, write.replaces["rev"])


def _payload_operation(write: PayloadWrite) -> dict[str, Any]:
    """The write, for Qdrant. Setting the few fields that differ takes its engine a third of the
    time of writing all of them, because indexes are brought up to date for these fields alone.
    """
    payload, stored = live_payload(write), write.replaces
    condition = _condition(write)
    if stored is None or stored.keys() - payload.keys():  # a field is gone
        return {"overwrite_payload": {"payload": payload, "filter": condition}}
    changed = {name: value for name, value in payload.items() if not _is_same(name, value, stored)}
    return {"set_payload": {"payload": changed, "filter": condition}}


def _is_same(name: str, value: object, stored: Mapping[str, Any]) -> bool:
    if value is stored.get(name):  # words that stay
        return True
    # As JSON: to Python, true is 1.
    return name in stored and orjson.dumps(stored[name]) == orjson.dumps(value)
