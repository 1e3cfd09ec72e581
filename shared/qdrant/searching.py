"""Searching by vector, page by page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from qdrant_client import QdrantClient, models

from shared.models.search.filters import Filters
from shared.models.search.hits import PAYLOAD_OF_HIT, Hit, Ranked
from shared.qdrant import filters as conditions
from shared.qdrant.errors import translated
from shared.qdrant.paging import Scored, Window, in_order, windows
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

        Best first, equal scores by product id; a score is the plain cosine, in [-1, 1], and no
        hit's is below `min_score`. `without_group` leaves out the products of that group. `exact`
        compares every vector although a server would use a graph, to measure what that misses.
        """
        all_have_terms = not filters.conditions() or self.terms.complete()
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

    def _query(
        self, request: Mapping[str, Any], window: Window, fields: Sequence[str]
    ) -> list[Scored]:
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
        return [_scored(point) for point in points]


def _scored(point: models.ScoredPoint) -> Scored:
    payload = point.payload or {}
    return Scored(payload["id"], point.score, payload)
