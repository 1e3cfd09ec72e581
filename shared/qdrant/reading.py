"""Products and their revs out of the collection, by id or page by page."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from qdrant_client import QdrantClient, models

from shared.errors import InvalidCursor
from shared.models.product import StoredProduct, point_id
from shared.models.search.hits import PAYLOAD_OF_HIT, Hit, Ranked
from shared.qdrant import filters as conditions
from shared.qdrant.errors import translated
from shared.qdrant.points import (
    ProductKey,
    StoredEmbedding,
    StoredPoint,
    StoredRev,
    stored_point,
    stored_product,
)
from shared.qdrant.recovery.upgrade import UpgradeWatch
from shared.qdrant.vectors import DENSE, IMAGE, DenseVector, VectorSet


class SampledProduct(NamedTuple):
    """A live product drawn for measuring; `embedding`: float32 of shape (dimensions,)."""

    name: str
    group_id: str
    image_sha256: str
    embedding: DenseVector


class ProductReader:
    """The reading half of `QdrantService`, which the others read back with."""

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        read_timeout: int,
        words_mark: str | None = None,
    ) -> None:
        """`read_timeout`: whole seconds, because the client knows no others. `words_mark`: the
        analyser's, which today's words carry; None if words don't count."""
        self.collection = collection
        self._client = client
        self._read_timeout = read_timeout
        self.upgrade = UpgradeWatch(client, collection, read_timeout, words_mark)

    def stored_revs(self, keys: Sequence[ProductKey]) -> dict[ProductKey, StoredRev]:
        """The rev of each product or tombstone in the index; unknown ones are left out."""
        return {
            key: StoredRev(payload["rev"], "awaits_picture" in payload)
            for key, payload, _ in self._retrieve(keys, ["rev", "awaits_picture"])
        }

    def stored(
        self, keys: Sequence[ProductKey], with_embeddings: bool = False
    ) -> dict[ProductKey, StoredPoint]:
        """The stored point of each product, in one request; unknown ones are left out."""
        return {
            key: stored_point(payload, embedding)
            for key, payload, embedding in self._retrieve(keys, True, with_embeddings)
        }

    def get_product(
        self, tenant: str, product_id: str, with_embedding: bool = False
    ) -> StoredProduct | None:
        """The live product, or None; `embedding` holds its picture's vector if asked for."""
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
        all_have_terms = category is None or self.upgrade.complete()
        of_tenant = conditions.of_tenant(tenant, category, all_have_terms=all_have_terms)
        with translated("list products"):
            records, next_offset = self._client.scroll(
                self.collection,
                scroll_filter=models.Filter(**of_tenant),
                limit=limit,
                offset=offset,
                with_payload=True,
                with_vectors=False,
                timeout=self._read_timeout,
            )
        products = [stored_product(record.payload or {}) for record in records]
        return products, None if next_offset is None else str(next_offset)

    def sample(self, tenant: str, count: int) -> list[SampledProduct]:
        """Up to `count` live products of the tenant, the same ones until some of them change.

        Points are in the order of their ids, which are digests: products that follow each other
        have nothing in common.
        """
        with translated("draw products"):
            records, _ = self._client.scroll(
                self.collection,
                scroll_filter=models.Filter(**conditions.of_tenant(tenant)),
                limit=count,
                with_payload=["name", "group_id", "image_sha256"],
                with_vectors=list(DENSE),
                timeout=self._read_timeout,
            )
        return [
            SampledProduct(
                payload["name"],
                payload["group_id"],
                payload["image_sha256"],
                VectorSet.of_record(record.vector)[IMAGE],
            )
            for record in records
            if (payload := record.payload)
        ]

    def holds_points(self) -> bool:
        """Whether there is any point: a product or a tombstone, of whatever tenant."""
        with translated("look into the collection"):
            records, _ = self._client.scroll(
                self.collection,
                limit=1,
                with_payload=False,
                with_vectors=False,
                timeout=self._read_timeout,
            )
        return bool(records)

    def embedding_of(self, tenant: str, product_id: str) -> StoredEmbedding | None:
        """The live product's vector and group, or None."""
        for _, payload, embedding in self._retrieve(
            [(tenant, product_id)], ["group_id"], with_embeddings=True
        ):
            if embedding is not None:  # a tombstone has none
                return StoredEmbedding(embedding, payload["group_id"])
        return None

    def hits(self, tenant: str, ranking: Sequence[Ranked]) -> list[Hit]:
        """The ranked products as they are now, in their order, without those that are gone."""
        keys = [(tenant, product_id) for product_id, _ in ranking]
        payloads = {
            key[1]: payload
            for key, payload, _ in self._retrieve(keys, [*PAYLOAD_OF_HIT, "tenant"])
            if "tenant" in payload
        }
        return [
            Hit.of(payloads[product_id], score)
            for product_id, score in ranking
            if product_id in payloads
        ]

    def live_payloads(
        self, tenant: str, product_ids: Sequence[str], fields: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """By id the live products among these, with these fields of their payload."""
        keys = [(tenant, product_id) for product_id in product_ids]
        return {
            key[1]: payload
            for key, payload, _ in self._retrieve(keys, [*fields, "tenant"])
            if "tenant" in payload
        }

    def all_live_payloads(
        self, tenant: str, fields: Sequence[str], page: int = 1000
    ) -> Iterator[list[dict[str, Any]]]:
        """All live products of the tenant, `page` at a time, with these fields of their payload."""
        offset = None
        while True:
            with translated("read all products"):
                records, offset = self._client.scroll(
                    self.collection,
                    scroll_filter=models.Filter(**conditions.of_tenant(tenant)),
                    limit=page,
                    offset=offset,
                    with_payload=list(fields),
                    with_vectors=False,
                    timeout=self._read_timeout,
                )
            yield [record.payload or {} for record in records]
            if offset is None:
                return

    def _retrieve(
        self,
        keys: Sequence[ProductKey],
        with_payload: bool | list[str],
        with_embeddings: bool = False,
    ) -> list[tuple[ProductKey, dict[str, Any], list[float] | None]]:
        key_of = {point_id(*key): key for key in keys}
        if not key_of:
            return []
        with translated("retrieve products"):
            records = self._client.retrieve(
                self.collection,
                list(key_of),
                with_payload=with_payload,
                with_vectors=list(DENSE) if with_embeddings else False,
                timeout=self._read_timeout,
            )
        return [
            (key_of[str(record.id)], record.payload or {}, _embedding(record.vector))
            for record in records
        ]


def _embedding(vector: object) -> list[float] | None:
    return vector.get(IMAGE) if isinstance(vector, dict) else None


def _checked_cursor(cursor: str) -> str:
    try:
        return str(uuid.UUID(cursor))
    except ValueError as err:
        raise InvalidCursor("the cursor is not one that a list answered with") from err
