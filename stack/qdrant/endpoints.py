"""The operations that are served: method, path, and what each does on the engine's thread.

An endpoint reads its request on the event loop, so that a malformed one never takes a place in
the queue, and returns the work to be done.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stack.qdrant import requests, schema, tuning
from stack.qdrant.engine import Work
from stack.qdrant.refusals import bad_parameter

_FOR_EVER: Final = 10**9
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as an endpoint sees it. `body` is parsed JSON, None if there is none."""

    collection: str
    parameters: Mapping[str, str]
    body: Any
    body_bytes: int
    field: str = ""
    vector: str = ""

    @property
    def wait(self) -> bool:
        """Only the answer's wording depends on it: every write is applied before the answer."""
        return self.parameters.get("wait") == "true"

    @property
    def timeout(self) -> float:
        """Seconds that its caller waits for the answer. Raises Refusal 400."""
        given = self.parameters.get("timeout")
        if given is None:
            return math.inf
        if not (given.isascii() and given.isdigit() and 1 <= int(given[:10]) < _FOR_EVER):
            raise bad_parameter("timeout", given)
        return float(given)


Endpoint = Callable[[Call], Work]


def list_collections(_call: Call) -> Work:
    return lambda store: store.listing()


def create_collection(call: Call) -> Work:
    shape = schema.collection_shape(call.body)
    return lambda store: store.create(call.collection, shape)


def update_collection(call: Call) -> Work:
    said, vectors = tuning.change_of(call.body)
    return lambda store: store.get(call.collection).tune(said, vectors)


def collection_info(call: Call) -> Work:
    return lambda store: store.get(call.collection).info()


def collection_exists(call: Call) -> Work:
    return lambda store: {"exists": call.collection in store.names()}


def delete_collection(call: Call) -> Work:
    return lambda store: store.delete(call.collection)


def create_index(call: Call) -> Work:
    path, index = schema.field_index(call.body)
    return lambda store: store.get(call.collection).create_index(path, index, call.wait)


def delete_index(call: Call) -> Work:
    return lambda store: store.get(call.collection).delete_index(call.field, call.wait)


def upsert_points(call: Call) -> Work:
    request = requests.upsert(call.body)
    return lambda store: store.get(call.collection).upsert(request, call.body_bytes, call.wait)


def retrieve_points(call: Call) -> Work:
    request = requests.retrieve(call.body)
    return lambda store: store.get(call.collection).retrieve(request)


def delete_points(call: Call) -> Work:
    condition = requests.deletion(call.body)
    return lambda store: store.get(call.collection).delete_points(
        condition, call.body_bytes, call.wait
    )


def update_batch(call: Call) -> Work:
    batch = requests.batch(call.body)
    return lambda store: store.get(call.collection).update(batch, call.body_bytes, call.wait)


def create_vector(call: Call) -> Work:
    schema.check_new_vector(call.body)
    return lambda store: store.get(call.collection).add_sparse_vector(
        call.vector, call.body_bytes, call.wait
    )


def facet_points(call: Call) -> Work:
    request = requests.facet(call.body)
    return lambda store: store.get(call.collection).facet(request)


def query_points(call: Call) -> Work:
    request = requests.query(call.body)
    return lambda store: store.get(call.collection).query(request)


def scroll_points(call: Call) -> Work:
    request = requests.scroll(call.body)
    return lambda store: store.get(call.collection).scroll(request)


def count_points(call: Call) -> Work:
    request = requests.count(call.body)
    return lambda store: store.get(call.collection).count(request)


# The busiest first: routes are tried in this order.
ENDPOINTS: Final[tuple[tuple[str, str, Endpoint], ...]] = (
    ("POST", "/collections/{collection}/points/query", query_points),
    ("PUT", "/collections/{collection}/points", upsert_points),
    ("POST", "/collections/{collection}/points", retrieve_points),
    ("POST", "/collections/{collection}/points/batch", update_batch),
    ("POST", "/collections/{collection}/points/scroll", scroll_points),
    ("POST", "/collections/{collection}/points/delete", delete_points),
    ("POST", "/collections/{collection}/points/count", count_points),
    ("POST", "/collections/{collection}/facet", facet_points),
    ("GET", "/collections/{collection}/exists", collection_exists),
    ("GET", "/collections/{collection}", collection_info),
    ("GET", "/collections", list_collections),
    ("PUT", "/collections/{collection}/index", create_index),
    ("DELETE", "/collections/{collection}/index/{field}", delete_index),
    ("PUT", "/collections/{collection}/vectors/{vector}", create_vector),
    ("PUT", "/collections/{collection}", create_collection),
    ("PATCH", "/collections/{collection}", update_collection),
    ("DELETE", "/collections/{collection}", delete_collection),
)

WRITES: Final = frozenset(
    {
        *(upsert_points, update_batch),
        *(create_index, create_vector, create_collection, update_collection),
    }
)
"""Those that take room on the disk."""
