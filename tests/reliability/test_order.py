"""Whatever shops send and whenever workers stop, the end is what the reference says it is.

The ledger, Qdrant, the fetcher and the reconciler are the real ones; only the encoder is replaced.
Workers move from one call of a collaborator to the next, and rest in between as long as it takes.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, given, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.ledger import Idempotency
from shared.models.change import Lane
from tests.reliability.reference import LANDED, Outcome
from tests.reliability.shop import (
    FAULTS,
    GOOD_PICTURES,
    LANES_OF_WORKERS,
    Delete,
    Patch,
    Put,
    Servers,
    Shop,
    Wish,
)

IN_CI = settings.get_current_profile_name() == "ci"
SECONDS = 300 if IN_CI else 36_000
PHASES = (Phase.explicit, Phase.generate) if IN_CI else tuple(Phase)
"""Making a failure smaller takes many minutes, so that is for `--hypothesis-profile=long`."""
MAX_ATTEMPTS = 2
WITHOUT_END = 10**6

EVERYTHING = len(LANES_OF_WORKERS) - 1
"""The worker that serves all lanes."""
WORKERS = st.integers(0, len(LANES_OF_WORKERS) - 1)
PRODUCTS = st.sampled_from(["p", "q", "r/1"])
VERSIONS = st.none() | st.integers(0, 4)
NAMES = st.sampled_from(["Shirt", "Hemd", "Chemise"])
PRICES = st.none() | st.sampled_from([1.0, 2.5])
CHECKPOINTS = [
    f"{when} {call}"
    for call in (
        "ledger.claim",
        "qdrant.stored",
        "pictures.read",
        "ledger.stand_alone",
        "encoder.embed_images",
        "ledger.refresh",
        "qdrant.upsert_products",
        "ledger.report",
    )
    for when in ("before", "after")
]
PUT_LANES = st.sampled_from([Lane.SINGLE, Lane.BULK])


def puts(pictures: Sequence[str]) -> st.SearchStrategy[Wish]:
    return st.builds(
        Put,
        PRODUCTS,
        NAMES,
        picture=st.sampled_from(pictures),
        price=PRICES,
        category=st.none() | st.just("clothing"),
        version=VERSIONS,
    )


DELETES: st.SearchStrategy[Wish] = st.builds(Delete, PRODUCTS, VERSIONS)
PATCHED: st.SearchStrategy[Wish] = st.builds(
    Patch,
    PRODUCTS,
    st.fixed_dictionaries(
        {},
        optional={
            "name": NAMES,
            "price": PRICES,
            "category": st.sampled_from([None, "shoes", "hats"]),
            "description": st.sampled_from([None, "Beautiful"]),
            "attributes": st.dictionaries(
                st.sampled_from(["color", "size"]), st.sampled_from([None, "red", "M"]), min_size=1
            ),
        },
    )
    .filter(bool)
    .map(lambda fields: tuple(fields.items())),
)
WISHES = st.one_of(puts([*GOOD_PICTURES, *FAULTS]), DELETES)
GOOD_WISHES = st.one_of(puts(GOOD_PICTURES), DELETES)


class Order(RuleBasedStateMachine):
    """Shops call, messages come or don't, workers move a step, stop, or lose their leases."""

    requests: Bundle[Any] = Bundle("requests")

    def __init__(self, servers: Servers) -> None:
        super().__init__()
        self.shop = Shop(servers, max_attempts=MAX_ATTEMPTS)
        self.calls = 0

    def teardown(self) -> None:
        try:
            if not self.shop.contradictions:
                self.shop.settle()
        finally:
            self.shop.close()

    def _accept(self, wishes: Sequence[Wish], lane: Lane) -> Any:
        self.calls += 1
        idempotency = Idempotency.of(f"call-{self.calls}", "POST /", repr(wishes).encode())
        return self.shop.call(wishes, lane, idempotency), wishes, lane, idempotency

    @initialize(
        target=requests, wishes=st.lists(puts(GOOD_PICTURES), max_size=3), work=st.booleans()
    )
    def start(self, wishes: Sequence[Wish], work: bool) -> Any:
        """Half of the examples begin with products that are live."""
        if not wishes:
            return multiple()
        request = self._accept(wishes, Lane.BULK)
        if work:
            self.shop.settle()
        return request

    @rule(target=requests, wish=puts([*GOOD_PICTURES, *FAULTS]), lane=PUT_LANES)
    def put(self, wish: Wish, lane: Lane) -> Any:
        return self._accept([wish], lane)

    @rule(target=requests, wish=DELETES)
    def delete(self, wish: Wish) -> Any:
        return self._accept([wish], Lane.FAST)

    @rule(target=requests, wishes=st.lists(WISHES, min_size=2, max_size=5))
    def batch(self, wishes: Sequence[Wish]) -> Any:
        """One call, often with the same product twice."""
        return self._accept(wishes, Lane.BULK)

    @rule(wish=PATCHED)
    def patch(self, wish: Wish) -> None:
        self.shop.call([wish], Lane.FAST)

    @rule(request=requests)
    def the_client_repeats_its_call(self, request: Any) -> None:
        job_id, wishes, lane, idempotency = request
        assert self.shop.repeat(wishes, lane, idempotency) == job_id

    @rule(request=requests)
    def the_shop_sends_the_same_again(self, request: Any) -> None:
        _, wishes, lane, _ = request
        self._accept(wishes, lane)

    @rule(product_id=PRODUCTS, picture=st.sampled_from(list(FAULTS)), version=VERSIONS)
    def the_shop_mends_a_picture(self, product_id: str, picture: str, version: int | None) -> None:
        """A put fails, as a rule, and comes again with a good picture under its old version."""
        self._accept([Put(product_id, picture=picture, version=version)], Lane.SINGLE)
        self.shop.finish(EVERYTHING)
        self.shop.answer(EVERYTHING)
        self.shop.finish(EVERYTHING)
        self._accept([Put(product_id, version=version)], Lane.SINGLE)

    @rule(worker=WORKERS)
    def a_message_comes(self, worker: int) -> None:
        """Early, late, twice, or never: nothing ties messages to calls here."""
        self.shop.answer(worker)
        self.shop.advance(worker)

    @rule(worker=WORKERS)
    def a_message_is_answered_to_the_end(self, worker: int) -> None:
        self.shop.answer(worker)
        self.shop.finish(worker)

    @rule(worker=WORKERS, steps=st.integers(1, 6))
    def a_worker_moves(self, worker: int, steps: int) -> None:
        for _ in range(steps):
            self.shop.advance(worker)

    @precondition(lambda self: any(self.shop.tasks))
    @rule(worker=WORKERS)
    def a_worker_stops(self, worker: int) -> None:
        self.shop.stop(worker)

    @rule(worker=WORKERS, at=st.sampled_from(CHECKPOINTS), times=st.integers(1, 3))
    def a_worker_dies_at(self, worker: int, at: str, times: int) -> None:
        """Just there, and again as often as it is restarted; nobody does its work meanwhile."""
        for _ in range(times):
            self.shop.answer(worker)
            while (task := self.shop.tasks[worker]) is not None and task.at != at:
                self.shop.advance(worker)
            self.shop.stop(worker)
            self.shop.end_leases()

    @rule(worker=WORKERS, at=st.sampled_from(CHECKPOINTS))
    def a_worker_falls_behind_at(self, worker: int, at: str) -> None:
        """It rests there, its leases run out, and it goes on whenever it is moved again."""
        self.shop.answer(worker)
        while (task := self.shop.tasks[worker]) is not None and task.at != at:
            self.shop.advance(worker)
        self.shop.end_leases()

    @rule()
    def leases_run_out(self) -> None:
        self.shop.end_leases()

    @rule(broken=st.booleans())
    def a_picture_server_breaks_or_recovers(self, broken: bool) -> None:
        self.shop.set_flaky(broken=broken)


@pytest.mark.timeout(SECONDS)
def test_the_end_is_what_the_reference_says(servers: Servers) -> None:
    run_state_machine_as_test(
        lambda: Order(servers),
        settings=settings(max_examples=examples(0.08), stateful_step_count=30, phases=PHASES),
    )


def examples(share: float) -> int:
    """A share of the profile's examples: each of these costs a hundred times a unit test's."""
    return max(1, int(settings().max_examples * share))


# --- messages shuffled and doubled ------------------------------------------------------------

Calls = Sequence[tuple[Sequence[Wish], Lane]]
SEEDS = st.integers(0, 2**32 - 1)


def calls_of(wishes: st.SearchStrategy[Wish]) -> st.SearchStrategy[Calls]:
    call = st.tuples(st.lists(wishes, min_size=1, max_size=3), PUT_LANES)
    patch = st.tuples(PATCHED.map(lambda wish: [wish]), st.just(Lane.FAST))
    return st.lists(call | patch, min_size=1, max_size=6)


def in_order(shop: Shop, calls: Calls) -> list[str | None]:
    """Each call is accepted and worked off before the next comes."""
    jobs: list[str | None] = []
    for wishes, lane in calls:
        jobs.append(shop.call(wishes, lane))
        shop.settle()
    return jobs


def accepted_first(shop: Shop, calls: Calls) -> list[str | None]:
    """All calls are accepted, then worked off in order."""
    jobs = [shop.call(wishes, lane) for wishes, lane in calls]
    shop.settle()
    return jobs


def anyhow(seed: int, *, while_accepting: bool) -> Callable[[Shop, Calls], list[str | None]]:
    """Messages come doubled, late and to any worker; workers stop, rest and lose leases."""

    def play(shop: Shop, calls: Calls) -> list[str | None]:
        chance = random.Random(seed)
        jobs: list[str | None] = []
        for wishes, lane in calls:
            jobs.append(shop.call(wishes, lane))
            if while_accepting:
                disturb(shop, chance, 8)
        disturb(shop, chance, 25)
        shop.settle()
        return jobs

    return play


def disturb(shop: Shop, chance: random.Random, steps: int) -> None:
    for _ in range(chance.randrange(steps)):
        worker = chance.randrange(len(LANES_OF_WORKERS))
        (deed,) = chance.choices(["answer", "advance", "stop", "leases"], [3, 9, 1, 1])
        if deed == "answer":
            shop.answer(worker)
        elif deed == "stop":
            shop.stop(worker)
        elif deed == "leases":
            shop.end_leases()
        else:
            for _ in range(chance.randrange(8)):
                shop.advance(worker)


def end_of(
    servers: Servers, calls: Calls, play: Callable[[Shop, Calls], list[str | None]]
) -> tuple[dict[str, tuple[object, ...]], list[list[Outcome]]]:
    # No number of stops uses up the attempts: how often workers stop is part of the schedule,
    # and a product that is given up for it rightly ends another way.
    shop = Shop(servers, max_attempts=WITHOUT_END)
    try:
        jobs = play(shop, calls)
        return shop.end_state(), [shop.outcomes(job_id) for job_id in jobs]
    finally:
        shop.close()


STEADY = st.one_of(
    puts([*GOOD_PICTURES, *(path for path, fault in FAULTS.items() if fault.lasting)]), DELETES
)


@pytest.mark.timeout(SECONDS)
@settings(max_examples=examples(0.06), phases=PHASES)
@given(calls=calls_of(STEADY), seed=SEEDS)
def test_messages_shuffled_and_doubled_change_nothing_once_all_is_accepted(
    servers: Servers, calls: Calls, seed: int
) -> None:
    """Superseding is decided on acceptance, so nothing at all is left to the messages.

    Equal: every item's outcome (hence every count), what the index holds, rows and versions.
    `unchanged` counts as `indexed`: after a stop between write and report, which of the two is
    said tells how the work was done, not how it ended.
    """
    assert end_of(servers, calls, anyhow(seed, while_accepting=False)) == end_of(
        servers, calls, accepted_first
    )


@pytest.mark.timeout(SECONDS)
@settings(max_examples=examples(0.05), phases=PHASES)
@given(calls=calls_of(GOOD_WISHES), seed=SEEDS)
def test_messages_between_the_calls_decide_only_who_was_overtaken(
    servers: Servers, calls: Calls, seed: int
) -> None:
    """With work between the calls, a change ends before the next one comes, or is superseded by it.

    So an item may have landed in one run and be superseded in the other, and nothing else may
    differ: what the index holds, rows, versions, which items are stale, and the fate of each
    product's last accepted change, which nothing can overtake.

    Only good pictures: whether a put failed before the next call came does decide more, and
    rightly so. An equal version is accepted after a failure alone, and a product that a good put
    brought to the index before a bad one came stays, while a superseded one never got there.
    """
    state, outcomes = end_of(servers, calls, anyhow(seed, while_accepting=True))
    ordered_state, ordered = end_of(servers, calls, in_order)
    assert state == ordered_state
    assert [[blurred(each) for each in job] for job in outcomes] == [
        [blurred(each) for each in job] for job in ordered
    ]
    for product_id in state:
        assert last_accepted(calls, outcomes, product_id) == last_accepted(
            calls, ordered, product_id
        )


def blurred(outcome: Outcome) -> str:
    return "landed or overtaken" if outcome in LANDED | {Outcome.SUPERSEDED} else str(outcome)


def last_accepted(
    calls: Calls, outcomes: Sequence[Sequence[Outcome]], product_id: str
) -> Outcome | None:
    fates = [
        outcome
        for (wishes, _), job in zip(calls, outcomes, strict=True)
        if job  # none of a patch that found no product
        for wish, outcome in zip(wishes, job, strict=True)
        if wish.product_id == product_id and outcome is not Outcome.STALE
    ]
    assert not fates or fates[-1] in LANDED
    return fates[-1] if fates else None
