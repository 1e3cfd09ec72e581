"""Searching by vector, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from shared.models.search import Filters, Hit
from shared.qdrant import filters as conditions
from shared.qdrant.errors import translated
from shared.qdrant.paging import Window, windows
from shared.qdrant.points import PUBLIC_FIELDS, public_fields
from shared.qdrant.reading import ProductReader
from shared.qdrant.tuning import EXACT, IndexTuning
from shared.qdrant.vectors import IMAGE


class ProductSearch(ProductReader):
    """The searching part of `QdrantService`."""

    def __init__(
        self, client: QdrantClient, collection: str, read_timeout: int, tuning: IndexTuning
    ) -> None:
        super().__init__(client, collection, read_timeout)
        self._search_params = tuning.search_params

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

        Best first, equal scores by product id; the score is the plain cosine, in [-1, 1], of at
        least `min_score`. `without_group` leaves out the products of that group. `exact` compares
        every vector although a server would use a graph, to measure what that misses.
        """
        all_have_terms = not filters.terms() or self.terms.complete()
        # As in `upsert`, a body of our own saves the client's second look at every number.
        request: dict[str, Any] = {
            "query": np.ascontiguousarray(vector, dtype=np.float32),
            "using": IMAGE,
            "filter": conditions.of_search(
                tenant, filters, without_group, all_have_terms=all_have_terms
            ),
            "score_threshold": min_score,
            "params": EXACT if exact else self._search_params,
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
            {
                **request,
                "with_payload": fields,
                "with_vector": False,
                "limit": window.limit,
                "offset": window.start,
            },
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


def _hit(point: models.ScoredPoint) -> Hit:
    payload = point.payload or {}
    fields = public_fields(payload) if "name" in payload else {}
    return Hit(product_id=payload["id"], score=point.score, payload=fields)
