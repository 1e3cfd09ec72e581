"""`QdrantService`: store, read and search products in Qdrant."""

import contextlib
import math
from collections.abc import Sequence

import structlog
from qdrant_client import models

from shared.errors import QdrantRejected, QdrantUnavailable, VitrineError
from shared.qdrant import filters as conditions
from shared.qdrant.collection import ensure_collection
from shared.qdrant.connection import connect
from shared.qdrant.errors import translated
from shared.qdrant.facts import COLLECTION_PREFIX, IndexFacts
from shared.qdrant.searching import ProductSearch
from shared.qdrant.tuning import IndexTuning
from shared.qdrant.writing import ProductWriter

log = structlog.get_logger(__name__)


class QdrantService(ProductSearch, ProductWriter):
    """One collection of products, for all threads of a process.

    Every method raises QdrantUnavailable if Qdrant is gone, frozen or overloaded (a write may
    then have taken effect or not; writing it again does no harm), and QdrantRejected if it
    refuses the request.
    """

    def __init__(
        self,
        url: str,
        collection: str,
        *,
        dimensions: int | None = None,
        api_key: str | None = None,
        tuning: IndexTuning | None = None,
        words_mark: str | None = None,
        read_timeout: float = 2.0,
        write_timeout: float = 10.0,
        max_connections: int = 64,
    ) -> None:
        """`dimensions`: numbers in a vector of the model; None if this process doesn't know them:
        then it can't create the collection.

        `tuning`: of searches, and of the collection if it is made; None: the defaults.

        `words_mark`: the analyser's. Products whose words lack it count as not upgraded; None if
        words don't count.

        The timeouts are in seconds, for connecting and for answering each; the client knows
        whole seconds only, so they are rounded up.

        Nobody waits long for a search or a look-up: they are given up after two seconds, so that
        even connecting late and answering late together stay within the API's deadline of five.
        A write may wait for a slow disk or an optimizer, hence ten.
        """
        client = connect(
            url, api_key=api_key, timeout=write_timeout, max_connections=max_connections
        )
        self._dimensions = dimensions
        self._tuning = tuning or IndexTuning()
        super().__init__(client, collection, math.ceil(read_timeout), self._tuning, words_mark)

    @property
    def view(self) -> str:
        """The collection and how filters see it: answers depend on both beside the products."""
        # Asked for here, too, so that the first answer is kept under the name of the next ones.
        with contextlib.suppress(QdrantUnavailable, QdrantRejected):
            self.upgrade.complete()
        return self.collection if self.upgrade.known_complete else f"{self.collection} as stored"

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def ensure_collection(self, attribute_indexes: Sequence[str]) -> None:
        """Create the collection and its payload indexes if missing; safe to call at any time
        and from several processes. `attribute_indexes` lists attributes with their types, as
        `color` and `rating:float`. Raises ValueError for one that can't be.
        """
        with translated("set up the collection"):
            ensure_collection(
                self._client, self.collection, self._dimensions, attribute_indexes, self._tuning
            )

    def facts(self) -> IndexFacts:
        """Facts about this collection and those of other models; counts nothing."""
        with translated("look at the collections"):
            answer = self._get("/collections")
            names = [held["name"] for held in answer["collections"]]
            points = {
                name: self._get(f"/collections/{name}")["points_count"] or 0
                for name in sorted(names)
                if name == self.collection or name.startswith(COLLECTION_PREFIX)
            }
            found, _ = self._client.scroll(
                self.collection,
                scroll_filter=models.Filter(**conditions.live_products()),
                limit=1,
                with_payload=False,
                with_vectors=False,
                timeout=self._read_timeout,
            )
        is_upgraded = self.upgrade.look_now_and_then()
        return IndexFacts(self.collection, points, bool(found), is_upgraded)

    def ready(self) -> bool:
        """Whether Qdrant answers within the read timeout and has the collection."""
        try:
            with translated("look into the collection"):
                # No points asked for: 404 without the collection, and unlike the client's own
                # question for it, this one takes a timeout.
                self._client.retrieve(self.collection, [], timeout=self._read_timeout)
        except VitrineError as error:
            log.warning("qdrant_not_ready", error=str(error))
            return False
        return True
