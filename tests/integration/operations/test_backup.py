"""Backups taken beside changes, and what comes back of the ledger."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from operations.archive import ArchiveReader
from operations.backup import back_up
from operations.restore import Restored, restore
from shared.ledger import Idempotency, LedgerSnapshot
from shared.ledger.recovery.snapshot import Record
from shared.models.change import Change, Lane, Outcome, Report
from shared.qdrant.recovery.transfer import PointTransfer
from tests.integration.operations.conftest import MODEL, TENANT, Servers, Site, product
from worker.reconcile.merge import merge
from worker.reconcile.plan import PendingPut, Plans


class Interrupted(LedgerSnapshot):
    """Lets something happen once all products are read, or once the whole ledger is."""

    def __init__(self, site: Site, after: str, happens: Callable[[], object]) -> None:
        super().__init__(site.redis)
        self._after = after
        self._happens = happens

    def records(self) -> Iterator[Record]:
        pending = True
        for record in super().records():
            if pending and self._after == "products" and record["kind"] != "product":
                self._happens()
                pending = False
            yield record
        if pending:
            self._happens()


def carry(
    site: Site, other: Site, path: Path, ledger: LedgerSnapshot | None = None, force: bool = False
) -> Restored:
    """Backs one site up and restores it to the other."""
    file = path / "backup.zip"
    file.unlink(missing_ok=True)
    back_up(file, site.points, ledger or site.snapshot, MODEL)
    archive = ArchiveReader(file)
    try:
        return restore(archive, other.target, force=force)
    finally:
        archive.close()


def outcomes(site: Site, job_id: str) -> list[str]:
    job = site.jobs.get(TENANT, job_id)
    assert job is not None
    return [item.outcome for item in site.jobs.items(TENANT, job, None, None, 10_000)[0]]


def points_of(site: Site) -> dict[str, object]:
    return {
        point.id: (
            point.payload,
            {name: vector.tobytes() for name, vector in point.vectors.items()},
        )
        for page in site.points.points()
        for point in page
    }


def test_points_come_back_to_the_last_bit_tombstones_too(
    site: Site, other: Site, tmp_path: Path
) -> None:
    for number in range(300):
        attributes = {"tags": ["ü", "\u2028\n"], "n": 1, "x": 1.5, "b": True}
        site.put(f"p/{number}", number, price=0.1, attributes=attributes, category="c")
    site.work()
    site.accept(Change.delete("p/0"))
    site.work()
    assert carry(site, other, tmp_path).points == 300
    assert points_of(other) == points_of(site)


def test_what_waited_is_done_in_its_job_and_in_its_order(
    site: Site, other: Site, tmp_path: Path
) -> None:
    site.put("patched")
    site.work()
    jobs = [site.put(f"p{number}", version=number) for number in range(5)]
    jobs.append(site.accept(Change.delete("patched")))
    patched = site.accept(Change.put(product("again")))
    patch = site.ledger.accept(TENANT, Lane.FAST, [Change.patch("again", {"price": 3})]).job_id
    site.put_off()
    assert carry(site, other, tmp_path).waiting == 7
    claim = other.claim()
    assert [wanted.product_id for wanted in claim.wanted] == [
        *(f"p{number}" for number in range(5)),
        *("patched", "again"),
    ]
    assert [wanted.attempts for wanted in claim.wanted] == [1] * 7
    assert claim.wanted[-1].deltas == ['{"price":3}']
    assert not any(wanted.sole_writer for wanted in claim.wanted)
    other.ledger.report(claim, other.write(claim))
    for job in (*jobs, patched, patch):
        assert outcomes(other, job) in (["indexed"], ["deleted"])


def test_failures_are_known_and_can_be_retried(site: Site, other: Site, tmp_path: Path) -> None:
    job = site.put("late", version=3)
    site.fail()
    carry(site, other, tmp_path)
    status = other.ledger.product_status(TENANT, "late")
    assert status is not None
    assert status.last_error == {"code": "image_timeout", "message": "no"}
    retried = other.ledger.retry(TENANT, job, ["late"])
    other.work()
    assert outcomes(other, retried.job_id) == ["indexed"]
    assert 0 < other.redis.ttl(f"vitrine:job:{TENANT}:{job}") <= 600


def test_a_repeated_request_finds_its_job(site: Site, other: Site, tmp_path: Path) -> None:
    key = Idempotency.of("key", "POST /x", b"body")
    changes = [Change.put(product("once"))]
    job = site.ledger.accept(TENANT, Lane.BULK, changes, idempotency=key).job_id
    carry(site, other, tmp_path)
    assert other.ledger.accept(TENANT, Lane.BULK, changes, idempotency=key).job_id == job
    assert 0 < other.redis.ttl(f"vitrine:idempotency:{TENANT}:{key.key}") <= 600


@pytest.mark.parametrize("after", ["products", "ledger"])
def test_a_change_that_lands_meanwhile_is_there_and_ends_once(
    site: Site, other: Site, tmp_path: Path, after: str
) -> None:
    job = site.put("a", version=1)
    carry(site, other, tmp_path, Interrupted(site, after, site.work))
    assert other.qdrant.get_product(TENANT, "a") is not None
    other.work()
    assert outcomes(other, job) == ["indexed"]
    found = other.jobs.get(TENANT, job)
    assert found is not None and found.finished_at
    assert other.row("a") == site.row("a")


@pytest.mark.parametrize("after", ["products", "ledger"])
def test_a_change_that_is_overtaken_meanwhile_does_not_come_back(
    site: Site, other: Site, tmp_path: Path, after: str
) -> None:
    job = site.put("a", version=1)

    def overtake() -> None:
        site.put("a", version=2, price=2)
        site.work()

    carry(site, other, tmp_path, Interrupted(site, after, overtake))
    assert outcomes(other, job) == ["superseded"]
    assert not other.claim().wanted
    assert other.row("a") == site.row("a")
    assert outcomes(other, other.put("a", version=1)) == ["stale"]


@pytest.mark.parametrize("after", ["products", "ledger"])
def test_what_is_accepted_meanwhile_can_be_pushed_again(
    site: Site, other: Site, tmp_path: Path, after: str
) -> None:
    site.put("known", version=1)
    site.work()
    key = Idempotency.of("key", "POST /x", b"body")
    changes = [Change.put(product(name, 2), at) for at, name in enumerate(("known", "new"))]
    accepted = []

    def accept() -> None:
        accepted.append(site.ledger.accept(TENANT, Lane.BULK, changes, idempotency=key).job_id)

    carry(site, other, tmp_path, Interrupted(site, after, accept))
    assert other.jobs.get(TENANT, accepted[0]) is None
    job = other.ledger.accept(TENANT, Lane.BULK, changes, idempotency=key).job_id
    other.work()
    assert outcomes(other, job) == ["indexed", "indexed"]


@pytest.mark.slow
def test_a_backup_taken_amid_changes_holds_together(
    site: Site, other: Site, tmp_path: Path
) -> None:
    stop = threading.Event()

    def push() -> None:
        version = 0
        while not stop.is_set():
            version += 1
            names = [f"p{(version * 7 + at) % 120}" for at in range(20)]
            site.accept(*(Change.put(product(n, version), at) for at, n in enumerate(names)))
            site.accept(Change.delete(names[0], version))

    def work() -> None:
        while not stop.is_set():
            site.work()

    threads = [threading.Thread(target=task) for task in (push, push, work, work)]
    for thread in threads:
        thread.start()
    try:
        while len(points_of(site)) < 110:
            stop.wait(0.05)
        carry(site, other, tmp_path)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    other.work()
    listed, _ = other.jobs.list_jobs(TENANT, None, None, 100_000)
    assert len(listed) > 20
    assert all(job.finished_at for job in listed)
    held = {point.product_id: point for page in other.points.facts() for point in page}
    assert len(held) > 100
    for name, point in held.items():
        row = other.row(name)
        assert (int(row["rev"]), int(row["version"])) == (point.rev, point.version)
        assert (row["state"] == "deleted") is point.is_tombstone


def test_merged_into_a_site_that_went_on_the_newer_state_of_each_product_stays(
    site: Site, other: Site, tmp_path: Path
) -> None:
    site.put("older", version=1)
    site.put("newer", version=5)
    site.work()
    other.put("newer", version=1)
    other.put("older", version=1)
    other.work()
    there = other.put("older", version=1)
    site.put("newer", version=6, price=6)
    site.work()
    waiting = site.put("older", version=2, price=2)
    last = other.put("newer", version=7, price=7)
    carry(site, other, tmp_path, force=True)
    other.work()
    assert outcomes(other, last) == ["indexed"]
    assert outcomes(other, waiting) == ["indexed"]
    assert outcomes(other, there) == ["stale"]
    for name, price in (("older", 2), ("newer", 7)):
        held = other.qdrant.get_product(TENANT, name)
        assert held is not None
        assert held.product.price == price
    before = points_of(other), other.row("older"), other.row("newer")
    carry(site, other, tmp_path, force=True)
    other.work()
    assert (points_of(other), other.row("older"), other.row("newer")) == before


@pytest.mark.parametrize("patched", [False, True])
def test_a_picture_that_was_waited_for_is_waited_for_after_the_restore(
    site: Site, other: Site, tmp_path: Path, patched: bool
) -> None:
    """Also where a patch came between the reading of the ledger and that of the index."""
    site.put("p", price=1)
    site.work()
    job_id = site.show_fields("p", "https://shop.example/new.jpg", price=2)

    def patch() -> None:
        if patched:
            site.accept(Change.patch("p", {"price": 3}))
            claim = site.claim()
            (wanted,) = claim.wanted
            held = site.qdrant.stored([(TENANT, "p")])[TENANT, "p"].product
            assert held is not None
            put = PendingPut(wanted, merge(wanted, held), held)
            point = Plans(None).with_fields_first(put, held).point
            assert site.qdrant.upsert_product(point) == wanted.rev

    carry(site, other, tmp_path, Interrupted(site, "all", patch))
    assert outcomes(other, job_id) == ["pending"]
    (wanted,) = other.claim().wanted
    held = other.qdrant.stored([(TENANT, "p")])[TENANT, "p"]
    assert (held.rev, held.awaits_picture) == (wanted.rev, True)
    put = merge(wanted, held.product).product
    assert (put.image_url, put.price) == ("https://shop.example/new.jpg", 3 if patched else 2)
    other.redis.zadd(f"vitrine:due:bulk:{TENANT}", {"p": 0})
    claim = other.claim()
    other.ledger.report(
        claim, [Report(TENANT, "p", wanted.rev, Outcome.INDEXED) for wanted in claim.wanted]
    )
    assert outcomes(other, job_id) == ["indexed"]


def as_format_1(file: Path) -> None:
    """The same backup as releases wrote it that knew one vector a product."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts.pop("manifest.json"))
    assert manifest.pop("dimensions") == {"image": 512}
    manifest["format_version"] = 1
    for name in [name for name in parts if name.startswith("points/")]:
        points = [json.loads(line) for line in parts[name].splitlines()]
        lines = [{**point, "vector": bool(point.pop("vectors"))} for point in points]
        parts[name] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        manifest["sha256"][name] = hashlib.sha256(parts[name]).hexdigest()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**parts, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, content)


def test_a_backup_of_an_earlier_release_is_restored(
    site: Site, other: Site, tmp_path: Path
) -> None:
    for number in range(3):
        site.put(f"p{number}", number)
    site.work()
    site.accept(Change.delete("p0"))
    site.work()
    file = tmp_path / "backup.zip"
    back_up(file, site.points, site.snapshot, MODEL)
    as_format_1(file)
    archive = ArchiveReader(file)
    assert archive.dimensions == {"image": 512}
    restore(archive, other.target, force=False)
    archive.close()
    assert points_of(other) == points_of(site)


def test_a_restore_makes_the_collection_as_long_as_the_backups_vectors(
    site: Site, other_servers: Servers, tmp_path: Path
) -> None:
    site.put("p", 1)
    site.work()
    file = tmp_path / "backup.zip"
    back_up(file, site.points, site.snapshot, MODEL)
    url = other_servers[0].url
    path = f"{url}/collections/{site.points.collection}"
    httpx.delete(path).raise_for_status()
    points = PointTransfer(url, site.points.collection)
    archive = ArchiveReader(file)
    # As on a machine that has never seen the model.
    restore(archive, replace(site.target, points=points, dimensions=None), force=True)
    archive.close()
    assert httpx.get(path).json()["result"]["config"]["params"]["vectors"]["image"]["size"] == 512
    assert points.count() == 1
    points.close()
