"""The directory that this server owns: its lock and its collections."""

import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Final, Self

import structlog

from stack.locks import lock
from stack.qdrant.collection import Collection
from stack.qdrant.refusals import Refusal, no_such_collection
from stack.qdrant.schema import Shape

log = structlog.get_logger(__name__)

_PREDECESSOR_SECONDS: Final = 5.0
"""A server that was just killed, or stopped and still flushes, gives its directory up in time."""

_COLLECTION_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


class DirectoryInUse(Exception):
    """Another process owns the directory."""


class Store:
    """All collections of one directory. Used from the engine's thread alone.

    A flush puts changes into the segments and syncs a few dozen files, which takes 0.25 to 0.5 s
    on an ordinary disk, however little there is to write. So it isn't done for each write: the
    write-ahead log already keeps them through a kill. It is due after `flush_seconds` or
    `flush_bytes` of request bodies; 128 MiB take a start after a kill two seconds to replay.
    """

    def __init__(self, directory: Path, flush_seconds: float, flush_bytes: int) -> None:
        """Takes the directory. Raises `DirectoryInUse`."""
        self._directory = directory / "collections"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._flush_seconds = flush_seconds
        self._flush_bytes = flush_bytes
        try:
            self._lock = lock(directory / "lock", _PREDECESSOR_SECONDS)
        except BlockingIOError:
            raise DirectoryInUse(f"another process already serves {directory}") from None
        self._collections: dict[str, Collection] = {}

    def open(self) -> Self:
        """Open every collection, replaying what the last process didn't flush."""
        for path in sorted(self._directory.iterdir()):
            began = time.monotonic()
            collection = Collection.open(path)
            if collection is None:
                log.warning("unfinished_collection_removed", collection=path.name)
                shutil.rmtree(path)
                continue
            self._collections[path.name] = collection
            seconds = round(time.monotonic() - began, 2)
            log.info("collection_opened", collection=path.name, seconds=seconds)
        return self

    def names(self) -> list[str]:
        return sorted(self._collections)

    def get(self, name: str) -> Collection:
        """Raises Refusal 404 if there is no such collection."""
        try:
            return self._collections[name]
        except KeyError:
            raise no_such_collection(name) from None

    def create(self, name: str, shape: Shape) -> bool:
        """Raises Refusal 409 if the name is taken, and 422 if it can't be a name."""
        if not _COLLECTION_NAME.fullmatch(name):
            raise Refusal(422, f"Validation error in path parameters: [name: `{name}`]")
        if name in self._collections:
            raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
        self._collections[name] = Collection.create(self._directory / name, shape)
        return True

    def delete(self, name: str) -> bool:
        collection = self._collections.pop(name, None)
        if collection is None:
            return False
        collection.delete()
        return True

    def has_unflushed(self) -> bool:
        """Whether a flush would do anything."""
        return any(c.unflushed_since is not None for c in self._collections.values())

    def flush_is_due(self) -> bool:
        """Whether a flush can't be put off to a quieter moment."""
        long_ago = time.monotonic() - self._flush_seconds
        return any(
            c.unflushed_since is not None
            and (c.unflushed_since <= long_ago or c.unflushed_bytes >= self._flush_bytes)
            for c in self._collections.values()
        )

    def flush(self) -> None:
        """Flush every collection that has changed since its last flush."""
        for collection in self._collections.values():
            if collection.unflushed_since is not None:
                collection.flush()

    def close(self) -> None:
        for collection in self._collections.values():
            collection.close()
        self._collections.clear()
        os.close(self._lock)

    def listing(self) -> dict[str, Any]:
        """Qdrant's answer to "which collections are there?"."""
        return {"collections": [{"name": name} for name in self.names()]}
