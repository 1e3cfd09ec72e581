"""`QdrantService`: store, read and search products in Qdrant."""

import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from qdrant_client import models

from shared.errors import InvalidCursor, VitrineError
from shared.models.product import StoredProduct, point_id
from shared.models.search import Filters, Hit
from shared.qdrant import filters as conditions
from shared.qdrant.collection import ensure_collection
from shared.qdrant.connection import connect
from shared.qdrant.faults import translated
from shared.qdrant.paging import Window, windows
from shared.qdrant.points import (
    PUBLIC_FIELDS,
    VECTOR_NAME,
    PayloadWrite,
    PointWrite,
    ProductKey,
    StoredEmbedding,
    StoredPoint,
    highest_revs,
    live_payload,
    point_of,
    public_fields,
    stored_point,
    stored_product,
)
from shared.qdrant.upsert import check_applied, upsert

log = logging.getLogger(__name__)


class QdrantService:
    """One collection of products, for all threads of a process.

    Every method raises QdrantUnavailable where Qdrant is gone, frozen or overloaded (a write may
    then have taken effect or not; writing it again does no harm), and QdrantRejected where it
    refuses the request.
    """

    def __init__(
        self,
        url: str,
        collection: str,
        *,
        api_key: str | None = None,
        read_timeout: float = 2.0,
        write_timeout: float = 10.0,
        max_connections: int = 64,
    ) -> None:
        """The timeouts are in seconds, for connecting and for answering each; the client knows
        whole seconds only, so they are rounded up.

        Nobody waits long for a search or a look-up: they are given up after two seconds, so that
        even connecting late and answering late together stay within the API's deadline of five.
        A write may wait for a slow disk or an optimizer, hence ten.
        """
        self.collection = collection
        self._read_timeout = math.ceil(read_timeout)
        self._client = connect(
            url, api_key=api_key, timeout=write_timeout, max_connections=max_connections
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def ensure_collection(self, attribute_indexes: Sequence[str]) -> None:
        """Create the collection and its payload indexes where missing; safe to call at any time
        and from several processes. `attribute_indexes` names product attributes to filter on.
        """
        with translated("set up the collection"):
            ensure_collection(self._client, self.collection, attribute_indexes)

    def ready(self) -> bool:
        """Whether Qdrant answers within the read timeout and has the collection."""
        try:
            with translated("look into the collection"):
                # No points asked for: 404 without the collection, and unlike the client's own
                # question for it, this one takes a timeout.
                self._client.retrieve(self.collection, [], timeout=self._read_timeout)
        except VitrineError as error:
            log.warning("not ready: %s", error)
            return False
        return True

    def upsert_product(self, write: PointWrite) -> int:
        """Write one product or tombstone unless a newer one is stored; the rev stored now."""
        return self.upsert_products([write])[write.key]

    def upsert_products(self, writes: Sequence[PointWrite]) -> Mapping[ProductKey, int]:
        """Write each product or tombstone unless the index holds a rev as high or higher.

        Of several writes for one product the highest rev counts. Returns the rev that is stored
        afterwards for every product named: a caller's write stands where it equals its own. A
        `PayloadWrite` does nothing, too, where the stored picture is another one by now.
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
        # Vectors stay where they are: writing them again would have a graph built anew for nothing.
        body = orjson.dumps(
            {
                "operations": [
                    {
                        "overwrite_payload": {
                            "payload": live_payload(write),
                            "filter": conditions.older_with_picture(write),
                        }
                    }
                    for write in writes
                ]
            }
        )
        with translated("write payloads"):
            answer = self._client.http.points_api.batch_update(
                self.collection,
                wait=True,
                update_operations=body,  # type: ignore[arg-type]  # passed on as it is
            )
        check_applied(*(answer.result or ()))

    def stored_revs(self, keys: Sequence[ProductKey]) -> dict[ProductKey, int]:
        """The rev of each product or tombstone in the index; unknown ones are left out."""
        return {key: payload["rev"] for key, payload, _ in self._retrieve(keys, ["rev"])}

    def stored(
        self, keys: Sequence[ProductKey], with_embeddings: bool = False
    ) -> dict[ProductKey, StoredPoint]:
        """What the index holds of each product, in one request; unknown ones are left out."""
        return {
            key: stored_point(payload, embedding)
            for key, payload, embedding in self._retrieve(keys, True, with_embeddings)
        }

    def get_product(
        self, tenant: str, product_id: str, with_embedding: bool = False
    ) -> StoredProduct | None:
        """The live product, or None; `embedding` holds its 512 numbers if asked for."""
        key = (tenant, product_id)
        found = self.stored([key], with_embeddings=with_embedding).get(key)
        return found.product if found else None

    def list_products(
        self,
        tenant: str,
        limit: int,
        cursor: str | None = None,
        category: str | None = None,
    ) -> tuple[list[StoredProduct], str | None]:
        """A page of the tenant's products in a fixed order, and the cursor of the next page.

        Raises InvalidCursor for a cursor that no page gave.
        """
        offset = None if cursor is None else _checked_cursor(cursor)
        with translated("list products"):
            records, next_offset = self._client.scroll(
                self.collection,
                scroll_filter=models.Filter(**conditions.of_tenant(tenant, category)),
                limit=limit,
                offset=offset,
                with_payload=True,
                with_vectors=False,
                timeout=self._read_timeout,
            )
        products = [stored_product(record.payload or {}) for record in records]
        return products, None if next_offset is None else str(next_offset)

    def embedding_of(self, tenant: str, product_id: str) -> StoredEmbedding | None:
        """The live product's vector and group, or None."""
        for _, payload, embedding in self._retrieve(
            [(tenant, product_id)], ["group_id"], with_vectors=True
        ):
            if embedding is not None:  # a tombstone has none
                return StoredEmbedding(embedding, payload["group_id"])
        return None

    def search(
        self,
        tenant: str,
        vector: Sequence[float] | NDArray[np.float32],
        filters: Filters,
        top_k: int,
        offset: int = 0,
        *,
        min_score: float | None = None,
        without_group: str | None = None,
    ) -> list[Hit]:
        """The `top_k` products nearest to the vector (512 numbers) after skipping `offset`.

        Best first, equal scores by product id; the score is the plain cosine, in [-1, 1], of at
        least `min_score`. `without_group` leaves out the products of that group.
        """
        # As in `upsert`, a body of our own saves the client's second look at every number.
        request: dict[str, Any] = {
            "query": np.ascontiguousarray(vector, dtype=np.float32),
            "using": VECTOR_NAME,
            "filter": conditions.of_search(tenant, filters, without_group),
            "score_threshold": min_score,
        }
        first, *wider = windows(offset, top_k)
        hits = self._query(request, first, PUBLIC_FIELDS)
        page = first.page(hits, offset, top_k)
        if page is not None:
            return page
        # A long run of equal scores: only its order matters, most of it isn't shown.
        for window in wider:
            hits = self._query(request, window, ("id",))
            page = window.page(hits, offset, top_k)
            if page is not None:
                break
        if page is None:  # the run is longer than the widest window: in order as far as it goes
            hits = sorted(hits, key=lambda hit: (-hit.score, hit.product_id))
            page = hits[offset : offset + top_k]
        return self._with_fields(tenant, page)

    def _with_fields(self, tenant: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits with their public fields, without those that are gone meanwhile."""
        fields = self.public_fields(tenant, [hit.product_id for hit in hits])
        return [
            replace(hit, payload=fields[hit.product_id]) for hit in hits if hit.product_id in fields
        ]

    def _query(
        self, request: Mapping[str, Any], window: Window, fields: Sequence[str]
    ) -> list[Hit]:
        body = orjson.dumps(
            {**request, "with_payload": fields, "limit": window.limit, "offset": window.start},
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        with translated("search"):
            answer = self._client.http.search_api.query_points(
                self.collection,
                timeout=self._read_timeout,
                query_request=body,  # type: ignore[arg-type]  # passed on as it is
            )
        points = answer.result.points if answer.result else []
        return [_hit(point) for point in points]

    def public_fields(
        self, tenant: str, product_ids: Sequence[str]
    ) -> Mapping[str, Mapping[str, Any]]:
        """What a search shows of these products; those that are gone are left out."""
        keys = [(tenant, product_id) for product_id in product_ids]
        wanted = [*PUBLIC_FIELDS, "tenant"]
        return {
            key[1]: public_fields(payload)
            for key, payload, _ in self._retrieve(keys, wanted)
            if "tenant" in payload
        }

    def purge_tombstones(self, older_than_rev: int) -> None:
        """Remove the tombstones whose rev (microseconds since 1970) is lower, of all tenants.

        A write older than a purged tombstone would no longer lose, so purge only what is older
        than anything that may still be on its way.
        """
        condition = models.Filter(**conditions.tombstones_before(older_than_rev))
        selector = models.FilterSelector(filter=condition)
        with translated("purge tombstones"):
            self._client.delete(self.collection, selector, wait=True)

    def _retrieve(
        self,
        keys: Sequence[ProductKey],
        with_payload: bool | list[str],
        with_vectors: bool = False,
    ) -> list[tuple[ProductKey, dict[str, Any], list[float] | None]]:
        key_of = {point_id(*key): key for key in keys}
        if not key_of:
            return []
        with translated("retrieve products"):
            records = self._client.retrieve(
                self.collection,
                list(key_of),
                with_payload=with_payload,
                with_vectors=with_vectors,
                timeout=self._read_timeout,
            )
        return [
            (key_of[str(record.id)], record.payload or {}, _embedding(record.vector))
            for record in records
        ]


def _embedding(vector: object) -> list[float] | None:
    return vector.get(VECTOR_NAME) if isinstance(vector, dict) else None


def _hit(point: models.ScoredPoint) -> Hit:
    payload = point.payload or {}
    fields = public_fields(payload) if "name" in payload else {}
    return Hit(product_id=payload["id"], score=point.score, payload=fields)


def _checked_cursor(cursor: str) -> str:
    try:
        return str(uuid.UUID(cursor))
    except ValueError as err:
        raise InvalidCursor("the cursor is not one that a list answered with") from err
