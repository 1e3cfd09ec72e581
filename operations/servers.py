"""The servers that a command works on: those that are set, a running stack's, or its own."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from operations.faults import ExitCode, OperationFault
from shared.embedding.identity import collection_name
from shared.errors import LedgerUnavailable, QdrantUnavailable
from shared.ledger import LedgerLoss, connect
from shared.qdrant.bootstrap import build_transfer
from shared.qdrant.recovery.transfer import PointTransfer
from shared.settings import Settings, read_settings, unknown_names
from stack.data_dir import DataDir, DataDirInUse
from stack.run import Stack, StackError

_EMBEDDED: Final = {
    "redis_url": ("redis_url",),
    "qdrant_url": ("qdrant_url", "qdrant_api_key"),
}
"""The use of each server, by the setting with which it wouldn't be embedded."""

_START_SECONDS: Final = 120.0
"""A ledger reads its file at the start, some 100 MB a second."""


_DATA_PER_ARCHIVE: Final = 3
"""The index, its log and the ledger take 2.1 times the file (50,000 products)."""


@contextmanager
def servers() -> Iterator[tuple[Settings, PointTransfer]]:
    """The settings with the addresses of servers that run, and the points of their collection.

    Names unknown settings on stderr. Raises `OperationFault`, and `ModelUnavailable` if the model
    that is set can't be told.
    """
    settings = read_settings()
    for warning in unknown_names():
        click.echo(f"vitrine: {warning}", err=True)
    collection_name(settings)  # so that no server is started for a model that isn't there
    with running_servers(settings) as found:
        points = build_transfer(found)
        try:
            yield found, points
        finally:
            points.close()


def is_embedded(name: str) -> bool:
    """Whether a server is ours to run, because the setting of its address is not given."""
    return name not in read_settings().model_fields_set


@contextmanager
def running_servers(settings: Settings) -> Iterator[Settings]:
    """The settings with the addresses of servers that run.

    A server without an address in the settings is embedded: if a stack runs on DATA_DIR, its
    servers are used, else they are started for as long as this lasts. Raises `OperationFault`.
    """
    embedded = [
        name
        for server, needed in _EMBEDDED.items()
        if server not in settings.model_fields_set
        for name in needed
    ]
    if not embedded:
        yield settings
        return
    data_dir = DataDir(settings.data_dir.resolve())
    try:
        data_dir.take()
        data_dir.release()
    except DataDirInUse as err:
        addresses = data_dir.addresses()
        if addresses is None:
            raise OperationFault(
                ExitCode.UNAVAILABLE,
                f"{err}; or it is just starting or stopping: try again in a moment",
            ) from err
        yield settings.model_copy(update={name: addresses[name] for name in embedded})
        return
    with _started(settings) as found:
        yield found


@contextmanager
def _started(settings: Settings) -> Iterator[Settings]:
    logs = settings.data_dir.resolve() / "run" / "log"
    try:
        with Stack(settings, log_dir=logs, only=("redis", "qdrant")) as stack:
            found = settings.model_copy(update=stack.addresses)
            _wait(stack, found)
            yield found
    except StackError as err:
        raise OperationFault(ExitCode.UNAVAILABLE, str(err)) from err


def check_disk_space(data_dir: Path, archive_bytes: int) -> None:
    """Raises `OperationFault` if embedded servers would fill the disk with a restored file."""
    free = shutil.disk_usage(data_dir).free
    needed = _DATA_PER_ARCHIVE * archive_bytes
    if free < needed:
        raise OperationFault(
            ExitCode.CANT_CREATE,
            f"{data_dir} has room for {free / 1e6:.0f} MB, and restoring may take "
            f"{needed / 1e6:.0f} MB; make room, or set DATA_DIR to another disk",
        )


def _wait(stack: Stack, settings: Settings) -> None:
    """Returns once the servers answer. Raises `StackError`."""
    redis = connect(settings.redis_url)
    points = PointTransfer(settings.qdrant_url, "any", api_key=settings.qdrant_api_key)
    deadline = time.monotonic() + _START_SECONDS
    try:
        while True:
            stack.check()
            try:
                LedgerLoss(redis, "any").knows_all()
                points.count()
            except (LedgerUnavailable, QdrantUnavailable) as err:
                if time.monotonic() > deadline:
                    raise StackError(err.message) from err
                time.sleep(0.1)
            else:
                return
    finally:
        redis.close()
        points.close()
