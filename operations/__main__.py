"""`python -m operations …`: the commands on what is stored; the Makefile has some of them."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click

from operations.archive import ArchiveReader
from operations.backup import back_up
from operations.faults import ExitCode, OperationFault
from operations.lost_writes import LostWrites, find_lost_writes, told
from operations.progress import progress_bar
from operations.rebuild import rebuild
from operations.restore import Target, restore
from operations.servers import check_room, running_servers
from shared.embedding.dimensions import known_dimensions
from shared.embedding.identity import collection_name
from shared.errors import LedgerFull, LedgerUnavailable, ModelUnavailable, VitrineError
from shared.ledger import (
    LedgerRebuild,
    LedgerRestore,
    LedgerSnapshot,
    RebuiltRows,
    RowsAtRest,
    connect,
)
from shared.qdrant.bootstrap import build_index, build_transfer
from shared.qdrant.recovery.index import VectorIndex
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.tuning import IndexTuning
from shared.settings import Settings, read_settings, unknown_names
from shared.wording import counted

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Backs the service up and restores it, on the servers and the model that are set."""


@main.command()
@click.argument("file", required=False, type=_FILE)
def backup(file: Path | None) -> None:
    """Writes a backup to FILE (backups/<time>.zip where none is named); the service may run."""
    path = file or Path("backups") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"

    def run(settings: Settings, points: PointTransfer) -> str:
        model = {
            "CLIP_MODEL": settings.clip_model,
            "CLIP_PRETRAINED": settings.clip_pretrained,
            "CLIP_RESIZE_MODE": settings.clip_resize_mode,
            "CLIP_PRECISION": settings.clip_precision,
        }
        held = back_up(path, points, LedgerSnapshot(connect(settings.redis_url)), model)
        size = path.stat().st_size / 1e6
        points_held = counted(held.points, "point")
        return f"{path}: {points_held}, {counted(held.records, 'ledger record')}, {size:.1f} MB"

    _on_servers(run)


@main.command("restore")
@click.argument("file", required=False, type=_FILE)
@click.option("--force", is_flag=True, help="merge into a target that is not empty")
def restore_(file: Path | None, force: bool) -> None:
    """Restores FILE into an empty stack, running or not."""
    if file is None:
        _stop(ExitCode.NO_INPUT, "name the backup to restore: make restore FILE=backups/….zip")

    def run(settings: Settings, points: PointTransfer) -> str:
        archive = ArchiveReader(file)
        if "qdrant_url" not in read_settings().model_fields_set:  # embedded, so its data is here
            check_room(settings.data_dir, file.stat().st_size)
        redis = connect(settings.redis_url)
        target = Target(
            points,
            LedgerRebuild(redis),
            LedgerRestore(redis),
            settings.attribute_indexes,
            known_dimensions(settings.clip_model),
        )
        done = restore(archive, target, force=force)
        archive.close()
        return (
            f"restored {counted(done.points, 'point')} and {counted(done.jobs, 'job')}; waiting "
            f"for a worker: {counted(done.waiting, 'product')}"
        )

    _on_servers(run)


@main.command()
@click.argument(
    "pictures", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
def quantize(pictures: Path | None) -> None:
    """Makes the int8 form of the model's image half, calibrated and checked on PICTURES."""
    if pictures is None:
        _stop(ExitCode.NO_INPUT, "name a folder of the shop's pictures: make quantize PICTURES=dir")
    # Torch and all: seconds that no other command should wait for.
    from shared.embedding.openvino.quantization import (  # noqa: PLC0415
        QuantizationRefused,
        quantize_image_tower,
    )

    settings = read_settings()
    try:
        made = quantize_image_tower(settings, pictures, lambda said: click.echo(said, err=True))
    except QuantizationRefused as err:
        _stop(ExitCode.DATA, str(err))
    except ModelUnavailable as err:
        _stop(ExitCode.SETTINGS, err.message)
    known = made.facts["quantized"]
    click.echo(
        f"{made.path.parent}: {known['overlap']:.3f} of the ten nearest of {known['checked']} "
        "pictures are those without loss. Set CLIP_PRECISION=int8 for api, worker and worker-fast"
    )


@main.command()
@click.option("--force", is_flag=True, help="go on although the index holds nothing: it is lost")
def rebuild_ledger(force: bool) -> None:
    """Brings the ledger's rows and the index together again, whichever of them lost something."""

    def run(settings: Settings, points: PointTransfer) -> str:
        total = points.count()
        # By default, for it may be the wrong model's name that leads to an empty collection.
        if not total and not force:
            raise OperationFault(
                ExitCode.NO_INPUT,
                f"{points.collection} holds no points: nothing to rebuild a ledger from. If the "
                "index is lost, restore a backup; or, with FORCE=1, have the ledger take all "
                "products again as the shop pushes them",
            )
        _ensure_collection(settings, points)
        rows, lost = RebuiltRows(), LostWrites()
        redis = connect(settings.redis_url)
        ledger = LedgerRebuild(redis)
        with progress_bar("products", total) as advance:
            for done, rows in rebuild(points.facts(), points.collection, ledger):  # noqa: B007
                advance(done)
        at_rest = RowsAtRest(redis)
        with progress_bar("rows", rows.added + rows.raised + rows.left) as advance:
            for done, lost in find_lost_writes(at_rest, points, ledger):  # noqa: B007
                advance(done)
        added = counted(rows.added, "row")
        said = f"{added} added, {rows.raised} brought up to the index, {rows.left} left"
        return "\n".join([said, *told(lost)])

    _on_servers(run)


@main.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
def bulk_load(switch: str) -> None:
    """Holds the vector index of a real Qdrant back while much is loaded (on), or has it built."""
    _on_index(lambda index, tuning: index.hold_back() if switch == "on" else index.tune(tuning))


@main.command()
def tune_index() -> None:
    """Brings a collection that exists to what the settings say of its index (QDRANT_…)."""
    _on_index(lambda index, tuning: index.tune(tuning))


@main.command()
def upgrade_index() -> None:
    """Gives the products of an earlier release what filters compare now; embeds nothing anew."""

    def run(settings: Settings, points: PointTransfer) -> str:
        _ensure_collection(settings, points)
        done = 0
        with progress_bar("products", points.count()) as advance:
            for upgraded in points.add_terms():
                done += upgraded
                advance(upgraded)
        return (
            f"{points.collection}: {counted(done, 'product')} upgraded, all others had been before"
        )

    _on_servers(run)


def _ensure_collection(settings: Settings, points: PointTransfer) -> None:
    points.ensure_collection(known_dimensions(settings.clip_model), settings.attribute_indexes)


def _on_index(change: Callable[[VectorIndex, IndexTuning], None]) -> None:
    def run(settings: Settings, points: PointTransfer) -> str:
        tuning = IndexTuning.of(settings)
        _ensure_collection(settings, points)
        index = build_index(settings)
        try:
            change(index, tuning)
            state = index.state()
        finally:
            index.close()
        said = (
            f"{points.collection}: {counted(state.points, 'point')}, "
            f"{state.indexed} of them in a graph; "
            + ("no graph is built until `bulk-load off`" if state.held_back else "the rest follows")
            + (", vectors of int8 in memory" if state.quantized else "")
        )
        if "qdrant_url" not in read_settings().model_fields_set:
            said += "\nThe embedded Qdrant has no graph: there this changes nothing"
        return said

    _on_servers(run)


def _on_servers(run: Callable[[Settings, PointTransfer], str]) -> None:
    """Runs the command on its servers, says what it did, or ends with its exit code."""
    try:
        settings = read_settings()
        for warning in unknown_names():
            click.echo(f"vitrine: {warning}", err=True)
        collection_name(settings)  # so that no server is started for a model that isn't there
        with running_servers(settings) as found:
            points = build_transfer(found)
            try:
                said = run(found, points)
            finally:
                points.close()
    except OperationFault as fault:
        _stop(fault.code, fault.message)
    except ModelUnavailable as err:
        _stop(ExitCode.SETTINGS, err.message)
    except VitrineError as err:
        _stop(ExitCode.UNAVAILABLE, f"{err.message}; {_next_step(err)}")
    click.echo(said)


def _next_step(err: VitrineError) -> str:
    if isinstance(err, LedgerFull):
        return "give Redis more memory (REDIS_MAXMEMORY), then run this again with FORCE=1"
    name = "REDIS_URL" if isinstance(err, LedgerUnavailable) else "QDRANT_URL"
    return f"see that the server of {name} runs and has room, then try again"


def _stop(code: ExitCode, message: str) -> NoReturn:
    click.echo(f"vitrine: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
