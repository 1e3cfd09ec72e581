"""One collection: an engine shard in its own directory, beside the shape it was created with.

Everything here runs on the engine's thread. Answers are plain data in Qdrant's REST form.
"""

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import qdrant_edge as edge

from stack.qdrant import tuning
from stack.qdrant.refusals import wrong_input
from stack.qdrant.requests import Retrieve, SetPayload, Sizes, UpdateVectors, Upsert
from stack.qdrant.schema import Shape, VectorSpace
from stack.qdrant.sparse import described, engine_params

_SHAPE_FILE: Final = "collection.json"
_SHARD_DIRECTORY: Final = "shard"

_INDEX_TYPES: Final = {
    edge.PayloadSchemaType.Keyword: "keyword",
    edge.PayloadSchemaType.Integer: "integer",
    edge.PayloadSchemaType.Float: "float",
    edge.PayloadSchemaType.Bool: "bool",
}


class Collection:
    """The operations on one collection's points. `unflushed_bytes` counts bodies since a flush."""

    def __init__(self, directory: Path, shape: Shape) -> None:
        self._directory = directory
        self._tuning = shape.tuning
        self._spaces = {space.name: space for space in shape.spaces}
        self._sparse = set(shape.sparse)
        self._shard = edge.EdgeShard.load(str(directory / _SHARD_DIRECTORY))
        self._operations = 0
        self.unflushed_bytes = 0
        self.unflushed_since: float | None = None

    @classmethod
    def create(cls, directory: Path, shape: Shape) -> Self:
        """Create and open. The shape file comes last: a directory without it never existed."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        vectors = {space.name: space.engine_params() for space in shape.spaces}
        shard = edge.EdgeShard.create(
            str(directory / _SHARD_DIRECTORY),
            edge.EdgeConfig(
                vectors=vectors,
                sparse_vectors={name: engine_params() for name in shape.sparse},
            ),
        )
        shard.flush()
        shard.close()
        _write_shape(directory, shape)
        return cls(directory, shape)

    @classmethod
    def open(cls, directory: Path) -> Self | None:
        """Opens a finished collection; None if a crash cut its creation or deletion short."""
        shape_file = directory / _SHAPE_FILE
        if not shape_file.exists():
            return None
        held = json.loads(shape_file.read_text())
        spaces = [VectorSpace(**space) for space in held["vectors"]]
        return cls(directory, Shape(spaces, held.get("sparse", ()), held.get("tuning", {})))

    def tune(self, said: tuning.Tuning, vectors: Iterable[str]) -> bool:
        """Keeps the tuning of the collection; `vectors`: the names of those that it is about.

        Raises Refusal 400 if the collection has no vector of one of the names.
        """
        for name in vectors:
            self._space(name)
        self._tuning = tuning.merged(self._tuning, said)
        self._write_shape()
        return True

    def add_sparse_vector(self, name: str, body_bytes: int, wait: bool) -> dict[str, Any]:
        """Adds it; the points have none yet. Adding it again changes nothing.

        Raises Refusal 400 if a dense vector has the name.
        """
        if name in self._spaces:
            raise wrong_input(f"Vector {name} already exists")
        operation = edge.UpdateOperation.create_sparse_vector(name, modifier=edge.Modifier.Idf)
        done = self._update(operation, body_bytes, wait)
        # In this order: a vector that a crash kept out of the shape is added again.
        self._sparse.add(name)
        self._write_shape()
        return done

    def _write_shape(self) -> None:
        shape = Shape(list(self._spaces.values()), sorted(self._sparse), self._tuning)
        _write_shape(self._directory, shape)

    def delete(self) -> None:
        (self._directory / _SHAPE_FILE).unlink()
        self._shard.close()
        shutil.rmtree(self._directory)

    def flush(self) -> None:
        """Write everything to the segments, so that a start has nothing to replay."""
        self._shard.flush()
        self.unflushed_bytes = 0
        self.unflushed_since = None

    def close(self) -> None:
        self.flush()
        self._shard.close()

    def info(self) -> dict[str, Any]:
        """Qdrant's collection info; what this engine lacks has Qdrant's default values."""
        facts = self._shard.info()
        params = {
            space.name: {"size": space.size, "distance": space.distance}
            for space in self._spaces.values()
        }
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": facts.indexed_vectors_count,
            "points_count": facts.points_count,
            "segments_count": facts.segments_count,
            "config": {
                "params": {
                    "vectors": params,
                    "sparse_vectors": {name: {"modifier": "idf"} for name in sorted(self._sparse)},
                    "shard_number": 1,
                    "replication_factor": 1,
                    "write_consistency_factor": 1,
                    "on_disk_payload": True,
                },
                "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
                **tuning.described(self._tuning),
            },
            "payload_schema": {
                path: {"data_type": _INDEX_TYPES[index.data_type], "points": index.points}
                for path, index in facts.payload_schema.items()
            },
        }

    def create_index(self, path: str, schema: Any, wait: bool) -> dict[str, Any]:
        return self._update(edge.UpdateOperation.create_field_index(path, schema), 0, wait)

    def delete_index(self, path: str, wait: bool) -> dict[str, Any]:
        return self._update(edge.UpdateOperation.delete_field_index(path), 0, wait)

    def upsert(self, request: Upsert, body_bytes: int, wait: bool) -> dict[str, Any]:
        """Inserts or updates all points in one operation, or none if a vector doesn't fit."""
        for sizes in request.sizes:
            self._check_sizes(sizes)
        operation = edge.UpdateOperation.upsert_points(
            list(request.points), condition=request.condition
        )
        return self._update(operation, body_bytes, wait)

    def delete_points(self, condition: edge.Filter, body_bytes: int, wait: bool) -> dict[str, Any]:
        operation = edge.UpdateOperation.delete_points_by_filter(condition)
        return self._update(operation, body_bytes, wait)

    def update(
        self, batch: Sequence[SetPayload | UpdateVectors], body_bytes: int, wait: bool
    ) -> list[dict[str, Any]]:
        """One after the other, as Qdrant does: the batch as a whole is no transaction."""
        for request in batch:
            if isinstance(request, UpdateVectors):
                for sizes in request.sizes:
                    self._check_sizes(sizes)
        share = body_bytes // max(1, len(batch))
        return [self._update(_operation(request), share, wait) for request in batch]

    def retrieve(self, request: Retrieve) -> list[dict[str, Any]]:
        records = self._shard.retrieve(list(request.ids), request.with_payload, request.with_vector)
        return [_record(record) for record in records]

    def scroll(self, request: edge.ScrollRequest) -> dict[str, Any]:
        records, next_offset = self._shard.scroll(request)
        return {"points": [_record(record) for record in records], "next_page_offset": next_offset}

    def count(self, request: edge.CountRequest) -> dict[str, int]:
        return {"count": self._shard.count(request)}

    def facet(self, request: edge.FacetRequest) -> dict[str, Any]:
        hits = self._shard.facet(request).hits
        return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}

    def query(self, request: edge.QueryRequest) -> dict[str, Any]:
        return {"points": [_scored(point) for point in self._shard.query(request)]}

    def _check_sizes(self, sizes: Sizes) -> None:
        # The engine would log the operation before it finds the fault, and apply a part of it.
        for name, size in sizes.items():
            if size is None or name in self._sparse:
                if size is not None or name in self._spaces:
                    raise wrong_input("Wrong usage of sparse vectors")
                if name not in self._sparse:
                    raise wrong_input(f"Not existing vector name error: {name}")
                continue
            space = self._space(name)
            if size != space.size:
                raise wrong_input(f"Vector dimension error: expected dim: {space.size}, got {size}")

    def _space(self, name: str) -> VectorSpace:
        space = self._spaces.get(name)
        if space is None:
            raise wrong_input(f"Not existing vector name error: {name}")
        return space

    def _update(
        self, operation: edge.UpdateOperation, body_bytes: int, wait: bool
    ) -> dict[str, Any]:
        self._shard.update(operation)  # returns once the operation is in the log and applied
        self._operations += 1
        self.unflushed_bytes += body_bytes
        if self.unflushed_since is None:
            self.unflushed_since = time.monotonic()
        return {
            "operation_id": self._operations,
            "status": "completed" if wait else "acknowledged",
        }


def _operation(request: SetPayload | UpdateVectors) -> edge.UpdateOperation:
    operation = edge.UpdateOperation
    if isinstance(request, UpdateVectors):
        return operation.update_vectors(list(request.points), condition=request.condition)
    if request.overwrite:
        return operation.overwrite_payload_by_filter(request.condition, request.payload)
    return operation.set_payload_by_filter(request.condition, request.payload)


def _write_shape(directory: Path, shape: Shape) -> None:
    unfinished = directory / f"{_SHAPE_FILE}.new"
    vectors = [asdict(space) for space in shape.spaces]
    held = {"vectors": vectors, "sparse": list(shape.sparse), "tuning": shape.tuning}
    unfinished.write_text(json.dumps(held))
    unfinished.replace(directory / _SHAPE_FILE)


def _record(record: edge.Record | edge.ScoredPoint) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": record.id}
    if (payload := record.payload) is not None:
        answer["payload"] = payload
    if isinstance(vector := record.vector, dict):  # every vector of ours has a name
        answer["vector"] = {name: _described(values) for name, values in vector.items()}
    return answer


def _scored(point: edge.ScoredPoint) -> dict[str, Any]:
    return {**_record(point), "version": point.version, "score": np.float32(point.score)}


def _described(vector: Any) -> Any:
    if isinstance(vector, edge.SparseVector):
        return described(vector)
    # The engine's numbers are single precision; written so, they take half the digits.
    return np.asarray(vector, np.float32)
