"""The change log names every product whose change was reported, or says that it can't."""

from collections.abc import Sequence, Set
from dataclasses import replace

import pytest
import redis

from shared.ledger import ChangeLog, Generations, Ledger, LedgerRebuild
from shared.models.change import EVERYTHING, Aspect, Change, Lane, Outcome, Report, Verdict

TENANT = "shop"


@pytest.fixture
def log(client: redis.Redis) -> ChangeLog:
    return ChangeLog(client)


def land(
    ledger: Ledger,
    products: Sequence[str],
    changed: Set[Aspect] = EVERYTHING,
    result: Outcome | Verdict = Outcome.DELETED,
    tenant: str = TENANT,
) -> None:
    """As a worker that has written these deletions."""
    ledger.accept(
        tenant,
        Lane.FAST,
        [
            replace(Change.delete(product), position=position)
            for position, product in enumerate(products)
        ],
    )
    claim = ledger.claim([Lane.FAST], 64)
    reports = [
        Report(each.tenant, each.product_id, each.rev, result, changed=changed)
        for each in claim.wanted
    ]
    ledger.report(claim, reports)


def start(ledger: Ledger, log: ChangeLog) -> str:
    """The position of a reader that has read everything there is."""
    land(ledger, ["first"])
    changes = log.since(TENANT)
    assert changes is not None
    return changes.position


def since(log: ChangeLog, position: str) -> frozenset[str] | None:
    changes = log.since(TENANT, position)
    assert changes is not None
    return changes.products


def test_each_reported_product_is_named_once(ledger: Ledger, log: ChangeLog) -> None:
    position = start(ledger, log)
    assert since(log, position) == frozenset()
    land(ledger, ["a", "b c", "d/é"])
    land(ledger, ["a"])
    assert since(log, position) == {"a", "b c", "d/é"}
    changes = log.since(TENANT, position)
    assert changes is not None
    assert since(log, changes.position) == frozenset()


def test_the_generation_is_that_of_the_position(
    ledger: Ledger, log: ChangeLog, generations: Generations
) -> None:
    position = start(ledger, log)
    land(ledger, ["a"])
    changes = log.since(TENANT, position)
    assert changes is not None
    assert changes.generation == generations.current(TENANT)


def test_other_tenants_and_reports_that_change_nothing_are_no_changes(
    ledger: Ledger, log: ChangeLog
) -> None:
    position = start(ledger, log)
    land(ledger, ["a"], tenant="other")
    land(ledger, ["b"], changed=frozenset())
    changes = log.since(TENANT, position)
    assert changes is not None
    assert (changes.position, changes.products) == (position, frozenset())


@pytest.mark.parametrize(
    ("result", "changed"),
    [
        (Verdict.SHOWN, EVERYTHING),
        (Verdict.RETRY, {Aspect.SHOWN}),
        (Verdict.RELEASE, {Aspect.PRICE}),
        (Outcome.FAILED, EVERYTHING),
        (Outcome.UNCHANGED, EVERYTHING),
        *((Outcome.INDEXED, {aspect}) for aspect in Aspect),
    ],
)
def test_whatever_raises_a_generation_is_a_change(
    ledger: Ledger, log: ChangeLog, result: Outcome | Verdict, changed: Set[Aspect]
) -> None:
    position = start(ledger, log)
    land(ledger, ["a"], changed=changed, result=result)
    assert since(log, position) == {"a"}


def test_a_tenant_that_the_ledger_does_not_know_has_no_position(log: ChangeLog) -> None:
    assert log.since(TENANT) is None
    assert log.since(TENANT, "5") is None


def test_what_raises_all_generations_leaves_no_change_known(
    ledger: Ledger, log: ChangeLog, client: redis.Redis
) -> None:
    position = start(ledger, log)
    LedgerRebuild(client).raise_generations({TENANT: 0})
    assert since(log, position) is None
    land(ledger, ["a"])
    assert since(log, position) is None


@pytest.mark.parametrize("loss", ["stream", "all", "cut", "wrong type"])
def test_a_log_that_was_lost_or_cut_says_so(
    ledger: Ledger, log: ChangeLog, client: redis.Redis, loss: str
) -> None:
    position = start(ledger, log)
    land(ledger, ["a"])
    land(ledger, ["b"])
    (stream,) = client.keys("*changes:shop")
    match loss:
        case "stream":
            client.delete(stream)
        case "all":
            client.flushall()
            land(ledger, ["c"])
        case "cut":
            client.xtrim(stream, maxlen=1, approximate=False)
        case "wrong type":
            client.delete(stream)
            client.set(stream, "x")
            land(ledger, ["c"])
    assert since(log, position) is None
    following = log.since(TENANT)
    assert following is not None
    land(ledger, ["d"])
    assert since(log, following.position) == {"d"}


def test_a_gap_in_the_middle_is_found(ledger: Ledger, log: ChangeLog, client: redis.Redis) -> None:
    position = start(ledger, log)
    land(ledger, ["a"])
    client.delete(*client.keys("*followed:shop"))
    land(ledger, ["unwritten"])
    assert since(log, position) is None  # is followed again from here on
    land(ledger, ["b"])
    assert since(log, position) is None


def test_nothing_is_written_for_nobody(ledger: Ledger, log: ChangeLog, client: redis.Redis) -> None:
    land(ledger, ["a"])
    assert not client.keys("*changes:*")
    start(ledger, log)
    land(ledger, ["b"])
    (stream,) = client.keys("*changes:*")
    assert 0 < client.ttl(stream) <= 600


def test_a_clock_that_was_set_back_hinders_no_report(
    ledger: Ledger, log: ChangeLog, client: redis.Redis
) -> None:
    position = start(ledger, log)
    client.xadd("vitrine:changes:shop", {"after": "", "products": "x"}, id="99999999999999999-0")
    land(ledger, ["a"])
    assert since(log, position) is None
    following = log.since(TENANT)
    assert following is not None
    land(ledger, ["b"])
    assert since(log, following.position) == {"b"}


def test_a_long_log_is_cut(ledger: Ledger, log: ChangeLog, client: redis.Redis) -> None:
    position = start(ledger, log)
    for _ in range(1300):
        land(ledger, ["a"])
    assert client.xlen("vitrine:changes:shop") < 1200
    assert since(log, position) is None


def test_a_ledger_of_an_earlier_release_gets_its_position(
    ledger: Ledger, log: ChangeLog, client: redis.Redis
) -> None:
    start(ledger, log)
    client.hdel("vitrine:generation:shop", "log")
    following = log.since(TENANT)
    assert following is not None
    land(ledger, ["b"])
    assert since(log, following.position) == {"b"}
