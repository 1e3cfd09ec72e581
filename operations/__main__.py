"""`python -m operations …`: the commands on stored data; the Makefile has some of them."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import structlog

from operations.archive import ArchiveReader
from operations.backup import back_up
from operations.faults import ExitCode, OperationFault
from operations.lost_writes import LostWrites, find_lost_writes, report_lines
from operations.progress import progress_bar
from operations.rebuild import rebuild
from operations.restore import Target, restore
from operations.servers import check_disk_space, is_embedded, servers
from shared.embedding.dimensions import known_dimensions
from shared.errors import LedgerFull, LedgerUnavailable, ModelUnavailable, VitrineError
from shared.ledger import (
    LedgerLoss,
    LedgerRebuild,
    LedgerRestore,
    LedgerSnapshot,
    RebuiltRows,
    RowsAtRest,
    connect,
)
from shared.qdrant.bootstrap import build_index
from shared.qdrant.recall import LEAST, TOP, measure, patient_service, searches_around
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.tuning import IndexTuning
from shared.settings import Settings, read_settings
from shared.wording import counted

_FILE = click.Path(dir_okay=False, path_type=Path)


class _Commands(click.Group):
    """Turns what ends a command into a line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OperationFault as fault:
            code, message = fault.code, fault.message
        except ModelUnavailable as err:
            code, message = ExitCode.SETTINGS, err.message
        except VitrineError as err:
            code, message = ExitCode.UNAVAILABLE, f"{err.message}; {_next_step(err)}"
        click.echo(f"vitrine: {message}", err=True)
        sys.exit(code)


def _next_step(err: VitrineError) -> str:
    if isinstance(err, LedgerFull):
        return "give Redis more memory (REDIS_MAXMEMORY), then run this again with FORCE=1"
    name = "REDIS_URL" if isinstance(err, LedgerUnavailable) else "QDRANT_URL"
    return f"see that the server of {name} runs and has room, then try again"


@click.group(cls=_Commands)
def main() -> None:
    """Backs the service up and restores it, on the servers and the model that are set."""
    # Beside the output, which scripts may read; asked for at each line, as tests exchange it.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


@main.command()
@click.argument("file", required=False, type=_FILE)
def backup(file: Path | None) -> None:
    """Writes a backup to FILE (by default backups/<time>.zip); the service may run."""
    path = file or Path("backups") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip"
    with servers() as (settings, points):
        model = {
            "CLIP_MODEL": settings.clip_model,
            "CLIP_PRETRAINED": settings.clip_pretrained,
            "CLIP_RESIZE_MODE": settings.clip_resize_mode,
            "CLIP_PRECISION": settings.clip_precision,
        }
        held = back_up(path, points, LedgerSnapshot(connect(settings.redis_url)), model)
    size = path.stat().st_size / 1e6
    points_held = counted(held.points, "point")
    click.echo(f"{path}: {points_held}, {counted(held.records, 'ledger record')}, {size:.1f} MB")


@main.command("restore")
@click.argument("file", required=False, type=_FILE)
@click.option("--force", is_flag=True, help="merge into a target that is not empty")
def restore_(file: Path | None, force: bool) -> None:
    """Restores FILE into an empty stack, running or not."""
    if file is None:
        raise OperationFault(
            ExitCode.NO_INPUT, "name the backup to restore: make restore FILE=backups/….zip"
        )
    with servers() as (settings, points):
        archive = ArchiveReader(file)
        if is_embedded("qdrant_url"):
            check_disk_space(settings.data_dir, file.stat().st_size)
        redis = connect(settings.redis_url)
        target = Target(
            points,
            LedgerRebuild(redis),
            LedgerLoss(redis, points.collection),
            LedgerRestore(redis),
            settings.attribute_indexes,
            known_dimensions(settings.clip_model),
        )
        done = restore(archive, target, force=force)
        archive.close()
    click.echo(
        f"restored {counted(done.points, 'point')} and {counted(done.jobs, 'job')}; waiting "
        f"for a worker: {counted(done.waiting, 'product')}"
    )


@main.command()
@click.argument(
    "pictures", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
def quantize(pictures: Path | None) -> None:
    """Makes the int8 form of the model's image half, calibrated and checked on PICTURES."""
    if pictures is None:
        raise OperationFault(
            ExitCode.NO_INPUT, "name a folder of the shop's pictures: make quantize PICTURES=dir"
        )
    # Torch and all: seconds that no other command should wait for.
    from shared.embedding.openvino.quantization import (  # noqa: PLC0415
        QuantizationRefused,
        quantize_image_tower,
    )

    settings = read_settings()
    try:
        made = quantize_image_tower(settings, pictures, lambda said: click.echo(said, err=True))
    except QuantizationRefused as err:
        raise OperationFault(ExitCode.DATA, str(err)) from err
    known = made.facts["quantized"]
    click.echo(
        f"{made.path.parent}: {known['overlap']:.3f} of the ten nearest of {known['checked']} "
        "pictures are those without loss. Set CLIP_PRECISION=int8 for api, worker and worker-fast"
    )


@main.command()
@click.option("--force", is_flag=True, help="go on although the index holds nothing: it is lost")
def rebuild_ledger(force: bool) -> None:
    """Brings the ledger's rows and the index together again, whichever of them lost something."""
    with servers() as (settings, points):
        total = points.count()
        # A wrong model's name may be what leads to an empty collection.
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
        ledger, loss = LedgerRebuild(redis), LedgerLoss(redis, points.collection)
        with progress_bar("products", total) as advance:
            for done, rows in rebuild(points.facts(), ledger, loss):  # noqa: B007
                advance(done)
        at_rest = RowsAtRest(redis)
        with progress_bar("rows", rows.added + rows.raised + rows.left) as advance:
            for done, lost in find_lost_writes(at_rest, points, ledger):  # noqa: B007
                advance(done)
    added = counted(rows.added, "row")
    click.echo(f"{added} added, {rows.raised} brought up to the index, {rows.left} left")
    for line in report_lines(lost):
        click.echo(line)


@main.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
def bulk_load(switch: str) -> None:
    """Holds the vector index of a real Qdrant back while much is loaded (on), or has it built."""
    _tune(hold_back=switch == "on")


@main.command()
def tune_index() -> None:
    """Brings an existing collection's index to its settings (QDRANT_…)."""
    _tune(hold_back=False)


def _tune(*, hold_back: bool) -> None:
    with servers() as (settings, points):
        _ensure_collection(settings, points)
        index = build_index(settings)
        try:
            if hold_back:
                index.hold_back()
            else:
                index.tune(IndexTuning.of(settings))
            state = index.state()
        finally:
            index.close()
    click.echo(
        f"{points.collection}: {counted(state.points, 'point')}, {state.indexed} of them in a "
        "graph; "
        + ("no graph is built until `bulk-load off`" if state.held_back else "the rest follows")
        + (", vectors of int8 in memory" if state.quantized else "")
    )
    if is_embedded("qdrant_url"):
        click.echo("The embedded Qdrant has no graph: there this changes nothing")


@main.command()
def upgrade_index() -> None:
    """Gives all products the terms and words that searches compare now; embeds nothing anew."""
    with servers() as (settings, points):
        _ensure_collection(settings, points)
        done = 0
        with progress_bar("products", points.count()) as advance:
            for upgraded in points.upgrade():
                done += upgraded
                advance(upgraded)
    click.echo(
        f"{points.collection}: {counted(done, 'product')} upgraded, all others had been before"
    )


def _ensure_collection(settings: Settings, points: PointTransfer) -> None:
    points.ensure_collection(known_dimensions(settings.clip_model), settings.attribute_indexes)


@main.command()
@click.option("--searches", default=200, show_default=True, help="how many of each kind")
def recall(searches: int) -> None:
    """Measures how many of the ten nearest products searches find; fails below 0.98."""
    with servers() as (settings, points):
        dimensions = known_dimensions(settings.clip_model)
        service = patient_service(settings, points.collection, dimensions)
        try:
            found = measure(service, searches_around(points, searches))
        finally:
            service.close()
    if not found:
        raise OperationFault(
            ExitCode.NO_INPUT, f"{points.collection} holds no products to search for"
        )
    for kind in found:
        click.echo(kind)
    if min(kind.share for kind in found) < LEAST:
        raise OperationFault(
            ExitCode.LOW_RECALL,
            f"recall@{TOP} is below {LEAST}: raise QDRANT_HNSW_EF or QDRANT_OVERSAMPLING",
        )


if __name__ == "__main__":
    main()
