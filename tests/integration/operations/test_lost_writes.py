"""An index that lost writes which the ledger knows to have landed: found, and mended or named."""

from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from qdrant_client import models

from operations.__main__ import main
from operations.faults import ExitCode
from operations.lost_writes import NAMED, LostWrites, find_lost_writes, report_lines
from shared.errors import ProductNotFound
from shared.ledger import RowAtRest, RowsAtRest
from shared.models.change import Aspect, Change, State
from shared.models.product import point_id
from shared.qdrant.points import Tombstone
from shared.qdrant.recovery.transfer import RawPoint
from tests.integration.operations.conftest import TENANT, Site
from tests.integration.operations.test_rebuild import outcomes
from tests.servers import EmbeddedQdrantProcess, RedisServer


def find(site: Site, rows: RowsAtRest | None = None) -> LostWrites:
    *_, (_, found) = find_lost_writes(rows or RowsAtRest(site.redis), site.points, site.rows)
    return found


def tell(site: Site) -> tuple[int, list[str], int]:
    found = find(site)
    return found.lost, sorted(found.named), found.deletions


def remember(site: Site) -> list[RawPoint]:
    return [point for page in site.points.points() for point in page]


def go_back(site: Site, *points: RawPoint) -> None:
    """The index as it was when it held these points."""
    site.qdrant._client.delete(site.qdrant.collection, models.Filter())
    site.points.write(points)


def test_nothing_is_lost_where_index_and_rows_agree(site: Site) -> None:
    for name in ("live", "deleted", "patched", "retried"):
        site.put(name, version=1)
    site.work()
    site.accept(Change.delete("deleted", version=2))
    site.put("failed", version=1)
    site.put("retried", version=2)
    claim = site.claim()
    mine = [wanted for wanted in claim.wanted if wanted.kind == "delete"]
    site.ledger.report(claim, [r for r in site.write(claim) if r.product_id == "deleted"])
    assert len(mine) == 1
    before = {n: site.row(n) for n in ("live", "deleted", "patched", "retried", "failed")}
    assert tell(site) == (0, [], 0)
    assert {name: site.row(name) for name in before} == before
    assert report_lines(LostWrites()) == []


def test_a_product_that_the_index_lost_is_named_and_its_version_taken_again(site: Site) -> None:
    site.put("lost", version=7)
    site.put("kept", version=7)
    site.work()
    go_back(site, *(point for point in remember(site) if point.product_id == "kept"))
    assert outcomes(site, site.put("lost", version=7)) == ["stale"]
    assert tell(site) == (1, [f"{TENANT}/lost"], 0)
    # Until it is pushed, it is named again.
    assert tell(site) == (1, [f"{TENANT}/lost"], 0)
    with pytest.raises(ProductNotFound):
        site.accept(Change.patch("lost", {"price": 1}))
    assert outcomes(site, site.put("lost", version=6)) == ["stale"]
    assert outcomes(site, site.put("kept", version=7)) == ["stale"]
    job = site.put("lost", version=7)
    site.work()
    assert outcomes(site, job) == ["indexed"]
    assert site.qdrant.get_product(TENANT, "lost") is not None
    assert tell(site) == (0, [], 0)


def test_a_product_that_fell_back_is_named_and_stays_as_it_is_until_pushed(site: Site) -> None:
    site.put("p", version=1, price=1)
    site.work()
    old = remember(site)
    site.put("p", version=2, price=2)
    site.work()
    go_back(site, *old)
    assert tell(site) == (1, [f"{TENANT}/p"], 0)
    assert site.row("p")["state"] == State.LIVE
    assert outcomes(site, site.put("p", version=1)) == ["stale"]
    job = site.put("p", version=2, price=2)
    site.work()
    assert outcomes(site, job) == ["indexed"]
    held = site.qdrant.get_product(TENANT, "p")
    assert held is not None
    assert held.product.price == 2


def test_a_product_lost_behind_its_older_deletion_is_not_deleted_anew(site: Site) -> None:
    site.accept(Change.delete("p", version=1))
    site.work()
    old = remember(site)
    site.put("p", version=2)
    site.work()
    go_back(site, *old)
    for _ in range(2):
        assert tell(site) == (1, [f"{TENANT}/p"], 0)
    assert site.row("p")["state"] == State.DELETED
    assert outcomes(site, site.put("p", version=1)) == ["stale"]
    job = site.put("p", version=2)
    site.work()
    assert outcomes(site, job) == ["indexed"]


@pytest.mark.parametrize("held", ["an older product", "nothing"])
def test_a_lost_deletion_is_written_again(site: Site, held: str) -> None:
    site.put("p", version=1)
    site.work()
    old = remember(site)
    site.accept(Change.delete("p", version=2))
    site.work()
    stone = site.qdrant.stored([(TENANT, "p")])
    go_back(site, *(old if held == "an older product" else ()))
    assert tell(site) == (0, [], 1)
    assert site.qdrant.stored([(TENANT, "p")]) == stone
    assert tell(site) == (0, [], 0)
    assert outcomes(site, site.put("p", version=1)) == ["stale"]


def test_a_deletion_is_written_again_although_a_later_put_failed(site: Site) -> None:
    site.put("p", version=1)
    site.work()
    old = remember(site)
    site.accept(Change.delete("p", version=2))
    site.work()
    job = site.put("p", version=3)
    site.fail()
    go_back(site, *old)
    assert tell(site) == (0, [], 1)
    assert site.qdrant.get_product(TENANT, "p") is None
    # Below the failed change, which may have been written after all.
    assert site.qdrant.stored_revs([(TENANT, "p")])[TENANT, "p"].rev < int(site.row("p")["rev"])
    assert tell(site) == (0, [], 0)
    assert outcomes(site, job) == ["failed"]


def test_a_failed_change_is_no_lost_one_but_its_lost_product_is(site: Site) -> None:
    for name in ("stays", "lost"):
        site.put(name, version=1)
    site.work()
    stays = [point for point in remember(site) if point.product_id == "stays"]
    for name in ("stays", "lost"):
        site.put(name, version=2)
    site.fail()
    site.put("never", version=1)
    site.fail()
    go_back(site, *stays)
    assert tell(site) == (1, [f"{TENANT}/lost"], 0)
    with pytest.raises(ProductNotFound):
        site.accept(Change.patch("lost", {"price": 1}))


def test_what_is_wanted_is_left_to_its_worker(site: Site) -> None:
    site.put("p", version=1)
    site.work()
    go_back(site)
    job = site.put("p", version=2)
    before = site.row("p")
    assert tell(site) == (0, [], 0)
    assert site.row("p") == before
    site.work()
    assert outcomes(site, job) == ["indexed"]


class Meanwhile(RowsAtRest):
    """Rows that change after they were read."""

    def __init__(self, site: Site, lands: bool) -> None:
        super().__init__(site.redis)
        self._site, self._lands = site, lands

    def pages(self) -> Iterator[list[RowAtRest]]:
        for page in super().pages():
            for row in page:
                self._site.put(row.product_id, version=9)
            if self._lands:
                self._site.work()
            yield page


@pytest.mark.parametrize("lands", [True, False])
def test_what_is_accepted_meanwhile_is_neither_marked_nor_deleted(site: Site, lands: bool) -> None:
    site.put("live", version=1)
    site.accept(Change.delete("deleted", version=1))
    site.work()
    go_back(site)
    found = find(site, Meanwhile(site, lands))
    assert found.lost == 0
    site.work()
    for name in ("live", "deleted"):
        assert "incomplete" not in site.row(name)
        held = site.qdrant.get_product(TENANT, name)
        assert held is not None
        assert held.product.version == 9


def test_a_row_that_has_changed_since_it_was_read_is_not_marked(site: Site) -> None:
    site.put("p", version=1)
    site.work()
    rows = RowsAtRest(site.redis)
    (read,) = [row for page in rows.pages() for row in page]
    site.put("p", version=2)
    site.work()
    assert rows.mark_lost([(read, State.ABSENT)]) == []
    assert "incomplete" not in site.row("p")
    assert site.row("p")["state"] == State.LIVE


def test_a_row_of_which_something_is_wanted_under_its_own_rev_is_not_marked(site: Site) -> None:
    """As where a backup taken before the landing is restored after it: a worker decides."""
    site.put("p", version=1)
    wanted = f"vitrine:wanted:{TENANT}:p"
    waiting = site.redis.hgetall(wanted)
    site.work()
    rows = RowsAtRest(site.redis)
    (read,) = [row for page in rows.pages() for row in page]
    site.redis.hset(wanted, mapping=waiting)
    assert rows.mark_lost([(read, State.ABSENT)]) == []
    assert "incomplete" not in site.row("p")
    assert site.row("p")["state"] == State.LIVE


def test_no_answer_cached_before_is_found_after_it(site: Site) -> None:
    site.put("p")
    site.work()
    go_back(site)
    rev = int(site.row("p")["rev"])
    find(site)
    once = site.generations.current(TENANT)
    find(site)
    twice = site.generations.current(TENANT)
    assert once and twice
    for aspect in Aspect:
        assert rev < int(once[aspect]) < int(twice[aspect])


def test_an_older_tombstone_of_the_row_is_no_newer_one(site: Site) -> None:
    """A tombstone that stands is not written under a lower rev."""
    site.accept(Change.delete("p"))
    site.work()
    rev = int(site.row("p")["rev"])
    site.qdrant.upsert_product(Tombstone(TENANT, "p", rev + 5))
    assert tell(site) == (0, [], 0)
    assert site.qdrant.stored_revs([(TENANT, "p")]) == {(TENANT, "p"): (rev + 5, False)}


def test_the_command_names_some_and_says_what_to_do(
    site: Site,
    qdrant_server: EmbeddedQdrantProcess,
    ledger_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))  # where no .env lies
    monkeypatch.setattr("shared.qdrant.bootstrap.collection_name", lambda _: site.points.collection)
    environ = {"CLIP_MODEL": "demo", "REDIS_URL": ledger_server.url}
    runner = CliRunner(env=environ | {"QDRANT_URL": qdrant_server.url})
    for number in range(NAMED + 3):
        site.put(f"p{number}", version=1)
    site.accept(Change.delete("gone"))
    site.work()
    site.qdrant._client.delete_collection(site.points.collection)
    # An empty index may be another model's.
    refused = runner.invoke(main, ["rebuild-ledger"])
    assert refused.exit_code == ExitCode.NO_INPUT
    assert "FORCE=1" in refused.stderr
    assert site.row("p0")["state"] == State.LIVE
    ran = runner.invoke(main, ["rebuild-ledger", "--force"])
    assert ran.exit_code == 0, ran.output
    assert "written again: 1 deletion that the index had lost" in ran.stdout
    assert f"{NAMED + 3} products whose last change the index has lost: {TENANT}/p" in ran.stdout
    assert "and 3 more" in ran.stdout
    assert "push these products again" in ran.stdout
    assert site.qdrant.stored_revs([(TENANT, "gone"), (TENANT, "p0")]).keys() == {(TENANT, "gone")}
    assert point_id(TENANT, "gone") in {point.id for point in remember(site)}
