"""Setting up the collection: its vectors and the payload indexes that filters rely on."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.errors import CollectionMismatch, QdrantUnavailable
from shared.models.attributes import AttributeType, attribute_types
from shared.qdrant.filters import attribute_path
from shared.qdrant.points import CODES, PAID_PRICE, TERMS
from shared.qdrant.tuning import IndexTuning
from shared.qdrant.vectors import IMAGE, WORDS

log = structlog.get_logger(__name__)

_ADDED_SECONDS: Final = 30.0
"""An optimizer that is at work may keep a server from adding a vector for some seconds."""

_LOOK_SECONDS: Final = 0.1

_KEYWORD: Final = models.PayloadSchemaType.KEYWORD


IndexSchema = models.PayloadSchemaType | models.KeywordIndexParams | models.IntegerIndexParams


def payload_indexes(listed: Sequence[str]) -> dict[str, IndexSchema]:
    """Everything that is filtered on, by payload path: one condition without an index makes a
    query some fifteen times slower at 50,000 points.

    Searches compare terms. `listed` attributes have an index of their own beside, of their type:
    ranges of numbers look into it, filters do until all products have terms, and Qdrant's own tools
    always can.
    """
    return {
        "tenant": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
        # Revs are compared, never looked up.
        "rev": models.IntegerIndexParams(
            type=models.IntegerIndexType.INTEGER, lookup=False, range=True
        ),
        TERMS: _KEYWORD,
        PAID_PRICE: models.PayloadSchemaType.FLOAT,
        WORDS: _KEYWORD,
        CODES: _KEYWORD,
        "group_id": _KEYWORD,
        "tombstone_of": _KEYWORD,
        "image_sha256": _KEYWORD,
        **{attribute_path(name): _index_of(kind) for name, kind in attribute_types(listed).items()},
    }


def _index_of(kind: AttributeType) -> models.PayloadSchemaType:
    # An index of whole numbers holds no 4.5, so ranges would miss it if a shop sends one all the
    # same.
    return models.PayloadSchemaType("float" if kind is AttributeType.INTEGER else kind)


def vector_params(dimensions: int, tuning: IndexTuning) -> dict[str, models.VectorParams]:
    """The vectors that every point of a collection has, by name."""
    image = models.VectorParams(
        size=dimensions,
        distance=models.Distance.COSINE,
        # With int8 in memory, whole vectors are read for the few that are rescored.
        on_disk=tuning.quantized or None,
    )
    return {IMAGE: image}


def sparse_params() -> dict[str, models.SparseVectorParams]:
    """The sparse vectors that every point of a collection has, by name.

    The server multiplies each number by how rare its term is, so that a score is BM25's.
    """
    return {WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)}


def ensure_collection(
    client: QdrantClient,
    name: str,
    dimensions: int | None,
    listed: Sequence[str],
    tuning: IndexTuning,
) -> None:
    """Create what is missing. Several processes may do so at once; the first one wins.

    `dimensions`: numbers in a vector of the model; None if this process doesn't know them.

    A new collection gets `tuning`. An existing one keeps its own, because building its index anew
    takes a server minutes or hours; `VectorIndex.tune` does that.

    Raises CollectionMismatch if the collection holds other vectors, QdrantUnavailable if it is
    missing and `dimensions` is None, and the client's errors.
    """
    if not client.collection_exists(name):
        if dimensions is None:
            raise QdrantUnavailable(
                f"the collection {name} isn't there yet; a worker or an API that has loaded the "
                "model creates it, because only they know the length of its vectors"
            )
        try:
            client.create_collection(
                name,
                vectors_config=vector_params(dimensions, tuning),
                sparse_vectors_config=sparse_params(),
                optimizers_config=tuning.optimizers,
                hnsw_config=tuning.graph,
                quantization_config=tuning.quantization,
            )
        except UnexpectedResponse:
            # Another process was faster: as good as our own, however the refusal was worded.
            if not client.collection_exists(name):
                raise
    info = client.get_collection(name)
    if dimensions is not None:
        _check_vectors(name, info.config.params.vectors, vector_params(dimensions, tuning))
    _add_sparse_vectors(client, name, info)
    if (info.config.quantization_config is not None) != tuning.quantized:
        log.warning(
            "index_is_kept_otherwise",
            collection=name,
            reason="it is not as QDRANT_QUANTIZATION says; "
            "`python -m operations tune-index` has it built anew",
        )
    for path, schema in payload_indexes(listed).items():
        held = info.payload_schema.get(path)
        if held is not None and held.data_type in (_type_of(schema), _of_range(path)):
            continue
        if held is not None:
            # The type of a listed attribute was changed, say. Searches go on meanwhile.
            log.warning(
                "payload_index_changes", collection=name, path=path, type=_type_of(schema).value
            )
            client.delete_payload_index(name, path, wait=True)
        client.create_payload_index(name, path, schema, wait=True)


def _of_range(path: str) -> models.PayloadSchemaType | None:
    """The type of an index that a range on this path may have asked for; it then stays."""
    return models.PayloadSchemaType.FLOAT if path.startswith("attributes.") else None


def _add_sparse_vectors(client: QdrantClient, name: str, info: models.CollectionInfo) -> None:
    """Gives a collection of before the vector of words, which its points don't have yet.

    A server can do so since 1.18, and answers before it is done.
    """
    for vector, params in sparse_params().items():
        if vector in (info.config.params.sparse_vectors or {}):
            continue
        config = models.SparseVectorConfig(modifier=params.modifier)
        client.create_vector_name(
            name, vector, models.SparseVectorNameConfig(sparse=config), wait=True
        )
        deadline = time.monotonic() + _ADDED_SECONDS
        while vector not in (client.get_collection(name).config.params.sparse_vectors or {}):
            if time.monotonic() > deadline:
                raise QdrantUnavailable(f"Qdrant has not added the vector {vector} in time")
            time.sleep(_LOOK_SECONDS)
        log.info("vector_added", collection=name, vector=vector)


def _type_of(schema: IndexSchema) -> models.PayloadSchemaType:
    if isinstance(schema, models.PayloadSchemaType):
        return schema
    return models.PayloadSchemaType(schema.type.value)


def _check_vectors(name: str, found: object, expected: Mapping[str, models.VectorParams]) -> None:
    for vector, params in expected.items():
        stored = found.get(vector) if isinstance(found, Mapping) else None
        if not isinstance(stored, models.VectorParams) or (
            (stored.size, stored.distance) != (params.size, params.distance)
        ):
            raise CollectionMismatch(
                f"the collection {name} exists, and its vectors aren't those of the model that is "
                f"set: {params.size} numbers under {params.distance.value}, named {vector}. Set "
                "CLIP_MODEL and CLIP_PRETRAINED as they were when the catalogue was pushed; or "
                "delete this collection in Qdrant and push the catalogue again"
            )
