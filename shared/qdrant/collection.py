"""Setting up the collection: its vector and the payload indexes that filters rely on."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.errors import QdrantRejected
from shared.qdrant.filters import attribute_path
from shared.qdrant.points import VECTOR_NAME, VECTOR_SIZE
from shared.qdrant.tuning import IndexTuning

log = logging.getLogger(__name__)

_KEYWORD: Final = models.PayloadSchemaType.KEYWORD
_VECTOR: Final = models.VectorParams(size=VECTOR_SIZE, distance=models.Distance.COSINE)


def payload_indexes(
    attribute_names: Sequence[str],
) -> dict[str, models.PayloadSchemaType | models.KeywordIndexParams | models.IntegerIndexParams]:
    """Everything that is filtered on, by payload path: one condition without an index makes a
    query some fifteen times slower at 50,000 points.
    """
    return {
        "tenant": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
        # Revs are compared, never looked up.
        "rev": models.IntegerIndexParams(
            type=models.IntegerIndexType.INTEGER, lookup=False, range=True
        ),
        "category": _KEYWORD,
        "price": models.PayloadSchemaType.FLOAT,
        "group_id": _KEYWORD,
        "tombstone_of": _KEYWORD,
        "image_sha256": _KEYWORD,
        **{attribute_path(name): _KEYWORD for name in attribute_names},
    }


def ensure_collection(
    client: QdrantClient, name: str, attribute_names: Sequence[str], tuning: IndexTuning
) -> None:
    """Create what is missing. Several processes may do so at once; the first one wins.

    `tuning` is for a collection that is made. One that exists is left as it is, for building its
    index anew takes a server minutes or hours: that is asked for by `VectorIndex.tune`.

    Raises QdrantRejected where the collection exists with another vector, else what the client
    raises.
    """
    if not client.collection_exists(name):
        try:
            client.create_collection(
                name,
                # With int8 in memory, whole vectors are read for the few that are rescored.
                vectors_config={
                    VECTOR_NAME: _VECTOR.model_copy(update={"on_disk": tuning.quantized or None})
                },
                optimizers_config=tuning.optimizers,
                quantization_config=tuning.quantization,
            )
        except UnexpectedResponse:
            # Another process was faster: as good as our own, however the refusal was worded.
            if not client.collection_exists(name):
                raise
    info = client.get_collection(name)
    _check_vector(name, info.config.params.vectors)
    if (info.config.quantization_config is not None) != tuning.quantized:
        log.warning(
            "%s is kept otherwise than QDRANT_QUANTIZATION says; `python -m operations tune-index` "
            "has it built anew",
            name,
        )
    for path, schema in payload_indexes(attribute_names).items():
        if path not in info.payload_schema:
            client.create_payload_index(name, path, schema, wait=True)


def _check_vector(name: str, vectors: object) -> None:
    found = vectors.get(VECTOR_NAME) if isinstance(vectors, Mapping) else None
    if (
        not isinstance(found, models.VectorParams)
        or found.size != _VECTOR.size
        or found.distance != _VECTOR.distance
    ):
        raise QdrantRejected(
            f"the collection {name} exists with other vectors than {VECTOR_SIZE} numbers named "
            f"{VECTOR_NAME} under cosine; use another collection"
        )
