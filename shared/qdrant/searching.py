"""Searching by vector, page by page; and by looks, words and codes, for ids and scores alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from shared.models.search.filters import Filters
from shared.models.search.hits import PAYLOAD_OF_HIT, Hit, Ranked
from shared.qdrant import filters as conditions
from shared.qdrant.errors import translated
from shared.qdrant.paging import Scored, Window, in_order, windows
from shared.qdrant.product_ids import ProductIds
from shared.qdrant.range_indexes import RangeIndexes
from shared.qdrant.reading import ProductReader
from shared.qdrant.tuning import EXACT, IndexTuning
from shared.qdrant.vectors import IMAGE, WORDS
from shared.words.analyser import QueryWords
from shared.words.codes import exact_terms, prefix_terms
from shared.words.vocabulary import Vocabulary

_MOST_TERMS: Final = 50_000
"""Terms of a vocabulary: 20,000 products of a shop have about as many."""


class ProductSearch(ProductReader):
    """The searching part of `QdrantService`."""

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        read_timeout: int,
        tuning: IndexTuning,
        words_mark: str | None = None,
    ) -> None:
        super().__init__(client, collection, read_timeout, words_mark)
        self._search_params = tuning.search_params
        self._product_ids = ProductIds(self._read_product_ids)
        self._range_indexes = RangeIndexes(client, collection, self._indexes)

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
        exact: bool = False,
    ) -> list[Hit]:
        """The `top_k` products nearest to the vector after skipping `offset`.

        Best first, equal scores by product id; a score is the plain cosine, in [-1, 1], and no
        hit's is below `min_score`. `without_group` leaves out the products of that group. `exact`
        compares every vector although a server would use a graph, to measure what that misses.
        """
        # As in `upsert`, a body of our own saves the client's second look at every number.
        request: dict[str, Any] = {
            "query": np.ascontiguousarray(vector, dtype=np.float32),
            "using": IMAGE,
            "filter": self._filter(tenant, filters, without_group),
            "score_threshold": min_score,
            "params": EXACT if exact else self._search_params,
        }
        first, *wider = windows(offset, top_k)
        found = self._query(request, first, PAYLOAD_OF_HIT)
        page = first.page(found, offset, top_k)
        if page is not None:
            return [Hit.of(each.payload, each.score) for each in page]
        # A long run of equal scores: only its order matters, most of it isn't shown.
        for window in wider:
            found = self._query(request, window, ("id",))
            page = window.page(found, offset, top_k)
            if page is not None:
                break
        if page is None:  # the run is longer than the widest window: in order as far as it goes
            page = in_order(found)[offset : offset + top_k]
        return self.hits(tenant, [Ranked(each.product_id, each.score) for each in page])

    def ranked_by_looks(
        self,
        tenant: str,
        vector: Sequence[float] | NDArray[np.float32],
        filters: Filters,
        limit: int,
        *,
        min_score: float | None = None,
        without_group: str | None = None,
    ) -> list[Ranked]:
        """At most `limit` products that are nearest to the vector, best first, with their cosines.

        None is below `min_score`. `without_group` leaves out the products of that group. Raises
        QdrantUnavailable and QdrantRejected.
        """
        request = {
            "query": np.ascontiguousarray(vector, dtype=np.float32),
            "using": IMAGE,
            "filter": self._filter(tenant, filters, without_group),
            "score_threshold": min_score,
            "params": self._search_params,
        }
        return self._ranked(request, limit)

    def ranked_by_words(
        self, tenant: str, words: QueryWords, filters: Filters, limit: int
    ) -> list[Ranked]:
        """At most `limit` products that have enough of the words, best first, by BM25.

        How rare a term is, is counted among the tenant's products; by servers before 1.19, among
        all. Raises QdrantUnavailable and QdrantRejected.
        """
        if not words.words:
            return []
        condition = self._filter(tenant, filters)
        condition["must"].append(conditions.matching_words(words))
        corpus = conditions.of_tenant(tenant)
        request = {
            "query": {"indices": words.vector.indices, "values": words.vector.values},
            "using": WORDS,
            "filter": condition,
            "params": {"idf": {"corpus": corpus}},
        }
        return self._ranked(request, limit)

    def ids_of_code(
        self, tenant: str, code: str, filters: Filters, *, prefix: bool, limit: int
    ) -> list[str]:
        """The ids of at most `limit` products, in their order, with this folded code; if `prefix`,
        with one that begins so. Raises QdrantUnavailable and QdrantRejected.
        """
        condition = self._filter(tenant, filters)
        entries = prefix_terms(code) if prefix else exact_terms(code)
        condition["must"].append(conditions.with_code(entries))
        with translated("look for a code"):
            records, _ = self._client.scroll(
                self.collection,
                scroll_filter=models.Filter(**condition),
                limit=limit,
                with_payload=["id"],
                with_vectors=False,
                timeout=self._read_timeout,
            )
        return sorted(record.payload["id"] for record in records if record.payload)

    def vocabulary(self, tenant: str) -> Vocabulary:
        """The tenant's terms, each with the number of its products; of more than 50,000 those of
        most products. Raises QdrantUnavailable and QdrantRejected.
        """
        with translated("count words"):
            # The client's own method makes an object of each of the terms.
            answer = self._client.http.client.request(
                type_=dict[str, Any],
                method="POST",
                url="/collections/{collection}/facet",
                path_params={"collection": self.collection},
                params={"timeout": str(self._read_timeout)},
                headers={"Content-Type": "application/json"},
                content=orjson.dumps(
                    {"key": WORDS, "limit": _MOST_TERMS, "filter": conditions.of_tenant(tenant)}
                ),
            )
        return Vocabulary({hit["value"]: hit["count"] for hit in answer["result"]["hits"]})

    def _filter(
        self, tenant: str, filters: Filters, without_group: str | None = None
    ) -> conditions.Filter:
        if ranges := conditions.attributes_in_ranges(filters):
            self._range_indexes.ensure(ranges)
        all_have_terms = not filters.conditions() or self.upgrade.complete()
        return conditions.of_search(tenant, filters, without_group, all_have_terms=all_have_terms)

    def _indexes(self) -> Mapping[str, Any]:
        schema: Mapping[str, Any] = self._get(f"/collections/{self.collection}")["payload_schema"]
        return schema

    def _get(self, path: str) -> dict[str, Any]:
        # The client's own questions for these take no timeout.
        answer = self._client.http.client.request(
            type_=dict[str, Any], method="GET", url=path, timeout=self._read_timeout
        )
        result: dict[str, Any] = answer["result"]
        return result

    def _ranked(self, request: Mapping[str, Any], limit: int) -> list[Ranked]:
        found = self._points({**request, "with_payload": False, "limit": limit})
        points = [(str(point.id), point.score) for point in found]
        product_ids = self._product_ids.of([point for point, _ in points])
        ranked = [
            Ranked(product_ids[point], score) for point, score in points if point in product_ids
        ]
        return sorted(ranked, key=lambda each: (-each.score, each.product_id))

    def _read_product_ids(self, points: Sequence[str]) -> Mapping[str, str]:
        with translated("retrieve products"):
            records = self._client.retrieve(
                self.collection,
                list(points),
                with_payload=["id"],
                with_vectors=False,
                timeout=self._read_timeout,
            )
        return {str(record.id): record.payload["id"] for record in records if record.payload}

    def _query(
        self, request: Mapping[str, Any], window: Window, fields: Sequence[str]
    ) -> list[Scored]:
        points = self._points(
            {
                **request,
                "with_payload": fields,
                "limit": window.limit,
                "offset": window.start,
            }
        )
        return [_scored(point) for point in points]

    def _points(self, request: Mapping[str, Any]) -> list[models.ScoredPoint]:
        body = orjson.dumps({**request, "with_vector": False}, option=orjson.OPT_SERIALIZE_NUMPY)
        with translated("search"):
            answer = self._client.http.search_api.query_points(
                self.collection,
                timeout=self._read_timeout,
                query_request=body,  # type: ignore[arg-type]  # passed on as it is
            )
        return answer.result.points if answer.result else []


def _scored(point: models.ScoredPoint) -> Scored:
    payload = point.payload or {}
    return Scored(payload["id"], point.score, payload)
