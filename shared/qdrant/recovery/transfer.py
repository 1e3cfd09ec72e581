"""Points as they stand, out of a collection and into one: for backups and rebuilding the ledger."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shared.errors import REMARKS
from shared.models.product import point_id
from shared.qdrant.collection import ensure_collection
from shared.qdrant.connection import connect
from shared.qdrant.errors import translated
from shared.qdrant.facts import COLLECTION_PREFIX
from shared.qdrant.filters import older_points
from shared.qdrant.points import (
    Payload,
    Point,
    ProductKey,
    derived,
    product_of,
    words_vector,
)
from shared.qdrant.recovery.upgrade import upgrade
from shared.qdrant.tuning import IndexTuning
from shared.qdrant.upsert import upsert
from shared.qdrant.vectors import DENSE, VectorSet
from shared.qdrant.words import words_of
from shared.words.analyser import Analyser

PAGE: Final = 256
"""Points per request: some 2 MB of JSON with their vectors."""

_TIMEOUT_SECONDS: Final = 30.0
"""Nobody waits for an answer of these as for a search's, and a busy server may take a while."""

_FACTS: Final = ("id", "tenant", "tombstone_of", "rev", "version", "warnings", "awaits_picture")
"""The fields that a row of the ledger follows from."""


@dataclass(frozen=True, slots=True, eq=False)
class RawPoint:
    """A point as stored. A tombstone has no vectors; nor has a point read without them."""

    id: str
    payload: Payload
    vectors: VectorSet = field(default_factory=VectorSet)

    @property
    def tenant(self) -> str:
        return str(self.payload.get("tenant") or self.payload["tombstone_of"])

    @property
    def product_id(self) -> str:
        return str(self.payload["id"])

    @property
    def rev(self) -> int:
        return int(self.payload["rev"])

    @property
    def version(self) -> int | None:
        return self.payload.get("version")

    @property
    def is_incomplete(self) -> bool:
        """Whether it landed without its picture, which it awaits or a warning tells of, so that its
        version may come again."""
        warnings = set(self.payload.get("warnings", ())) - REMARKS
        return bool(warnings or self.payload.get("awaits_picture"))

    @property
    def is_tombstone(self) -> bool:
        return "tombstone_of" in self.payload


class PointTransfer:
    """All points of one collection, of all tenants and with the tombstones.

    Every method raises QdrantUnavailable and QdrantRejected as `QdrantService` does.
    """

    def __init__(
        self,
        url: str,
        collection: str,
        *,
        api_key: str | None = None,
        tuning: IndexTuning | None = None,
        analyser: Analyser | None = None,
    ) -> None:
        """`tuning`: of the collection if it is made; None: the defaults. `analyser`: of products'
        words; None: points are written without."""
        self.collection = collection
        self._analyser = analyser
        self._tuning = tuning or IndexTuning()
        self._client = connect(url, api_key=api_key, timeout=_TIMEOUT_SECONDS, max_connections=4)

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()

    def ensure_collection(self, dimensions: int | None, attribute_indexes: Sequence[str]) -> None:
        """Creates the collection and its payload indexes if they are missing.

        `dimensions`: numbers in a vector; None if they aren't known.
        """
        with translated("set up the collection"):
            ensure_collection(
                self._client, self.collection, dimensions, attribute_indexes, self._tuning
            )

    def upgrade(self) -> Iterator[int]:
        """Gives terms and words to the products that lack them; yields how many at a time."""
        return upgrade(self._client, self.collection, self._analyser)

    def count(self) -> int:
        """How many points there are; 0 also if there is no such collection."""
        with translated("count points"):
            if not self._client.collection_exists(self.collection):
                return 0
            return self._client.count(self.collection, exact=True).count

    def other_models(self) -> list[str]:
        """The collections of other models that hold points here; empty ones, too, if this model
        has no collection.
        """
        with translated("list the collections"):
            names = [held.name for held in self._client.get_collections().collections]
            return sorted(
                name
                for name in names
                if name != self.collection
                and name.startswith(COLLECTION_PREFIX)
                and (self.collection not in names or self._client.count(name, exact=True).count)
            )

    def facts(self) -> Iterator[list[RawPoint]]:
        """Pages of all points with what the ledger needs to know of them: without vectors."""
        return self._scroll({"with_payload": True, "with_vector": False})

    def points(self) -> Iterator[list[RawPoint]]:
        """Pages of all points, with their dense vectors; that of the words is made anew from them.

        What is written meanwhile may be in them or not, but whatever stood before the first page
        was read is in them, or something newer of the same product.
        """
        return self._scroll({"with_payload": True, "with_vector": DENSE})

    def _scroll(self, request: dict[str, Any]) -> Iterator[list[RawPoint]]:
        offset: str | None = None
        while True:
            with translated("read points"):
                # The client's own method checks each of the numbers: some 6 times as slow.
                answer = self._client.http.client.request(
                    type_=dict[str, Any],
                    method="POST",
                    url="/collections/{collection}/points/scroll",
                    path_params={"collection": self.collection},
                    headers={"Content-Type": "application/json"},
                    content=orjson.dumps({**request, "limit": PAGE, "offset": offset}),
                )
            page = answer["result"]
            if page["points"]:
                yield [_raw(record) for record in page["points"]]
            offset = page["next_page_offset"]
            if offset is None:
                return

    def held(self, keys: Sequence[ProductKey]) -> dict[ProductKey, RawPoint]:
        """The points of these products with what `facts` tells; unknown ones are left out."""
        key_of = {point_id(*key): key for key in keys}
        if not key_of:
            return {}
        with translated("read points"):
            records = self._client.retrieve(
                self.collection, list(key_of), with_payload=list(_FACTS), with_vectors=False
            )
        return {
            key_of[str(record.id)]: RawPoint(str(record.id), record.payload or {})
            for record in records
        }

    def write(self, points: Sequence[RawPoint]) -> None:
        """Writes each point unless the index holds a rev as high or higher of it.

        Terms and words are made anew: a backup may be of before them, or of another analyser.
        """
        if not points:
            return
        upsert(
            self._client,
            self.collection,
            [self._upgraded(point) for point in points],
            older_points({point.id: point.rev for point in points}),
        )

    def _upgraded(self, point: RawPoint) -> Point:
        vectors, payload = point.vectors.as_json(), point.payload
        if not point.is_tombstone:
            words = words_of(self._analyser, product_of(payload)) if self._analyser else None
            vectors |= words_vector(words)
            payload = {**payload, **derived(payload, words)}
        return {"id": point.id, "vector": vectors, "payload": payload}


def _raw(record: dict[str, Any]) -> RawPoint:
    vectors = VectorSet.of_record(record.get("vector"))
    return RawPoint(str(record["id"]), record["payload"], vectors)
