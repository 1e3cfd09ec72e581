"""A shop on real servers beside its reference: what happens to one happens to the other."""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import redis

from shared.errors import PermanentError
from shared.fetch.fetcher import Fetcher
from shared.ledger import Generations, Idempotency, Jobs, Ledger
from shared.models import change as real
from shared.models.change import Aspect, Claim, Lane, Report
from shared.models.job import JobItem
from shared.models.product import Product, StoredProduct
from shared.qdrant.service import QdrantService
from tests.integration.fetch.picture_server import LOOPBACK
from tests.integration.worker.conftest import HashingEncoder
from tests.pictures import PictureServer, picture
from tests.reliability import reference
from tests.reliability.reference import (
    LANDED,
    Content,
    Contradiction,
    Fault,
    Outcome,
    Reference,
    State,
    Verdict,
)
from tests.reliability.stepping import Gated, Task
from tests.words import ANALYSER, check_words
from worker.bells import Bells
from worker.pictures.reader import PictureReader
from worker.reconcile.reconciler import Reconciler
from worker.reconcile.reports import RetryPolicy
from worker.upkeep.leases import LeaseKeeper
from worker.upkeep.sweeper import Sweeper

LANES_OF_WORKERS = (
    (Lane.FAST,),
    (Lane.SINGLE, Lane.BULK),
    (Lane.FAST, Lane.SINGLE, Lane.BULK),
)
"""One process without a model, one with, and one that does everything."""

GOOD_PICTURES = ("/a.jpg", "/b.jpg")
FAULTS = {
    "/missing.jpg": Fault("image_not_found", comes_late=True),
    "/html.jpg": Fault("not_an_image"),
    "/flaky.jpg": Fault("image_http_error", lasting=False),
}
FLAKY = "/flaky.jpg"

_FOR_EVER = 3600.0
_CREATED = "2024-11-02T10:30:00Z"


def serve_pictures(server: PictureServer) -> None:
    server.add("/a.jpg", picture((200, 0, 0)))
    server.add("/b.jpg", picture((0, 0, 200)))
    server.add(FLAKY, picture((0, 200, 0)))
    server.add("/html.jpg", b"<html>")


@dataclass(frozen=True)
class Servers:
    client: redis.Redis
    qdrant: QdrantService
    pictures: PictureServer


@dataclass(frozen=True)
class Put:
    """A whole product. `picture` is a path on the picture server."""

    product_id: str
    name: str = "Shirt"
    picture: str = "/a.jpg"
    price: float | None = None
    category: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Delete:
    product_id: str
    version: int | None = None


@dataclass(frozen=True)
class Patch:
    product_id: str
    fields: tuple[tuple[str, object], ...]


Wish = Put | Delete | Patch


class Bell:
    """A lane's messages, which tests drop, double and answer by hand."""

    def __init__(self) -> None:
        self.messages: list[Lane] = []

    def ring(self, lane: Lane) -> None:
        self.messages.append(lane)

    def waiting(self, lane: Lane) -> int:
        return self.messages.count(lane)


def _fault_of(fields: Mapping[str, object]) -> Fault | None:
    return FAULTS.get("/" + str(fields["image_url"]).rsplit("/", 1)[1])


def _fields(product: Product) -> dict[str, object]:
    """What the model knows of a product: all of it but its id and its version."""
    return product.model_dump(mode="json", exclude_none=True, exclude={"id", "version"})


_FIELDS_OF_ASPECTS = {
    Aspect.MEMBERSHIP: {"group_id"},
    Aspect.CATEGORY: {"category"},
    Aspect.BRAND: {"brand"},
    Aspect.AVAILABILITY: {"availability"},
    Aspect.PRICE: {"price", "sale_price"},
    Aspect.ATTRIBUTES: {"attributes"},
    Aspect.SHOWN: {"name", "description", "image_url"},
}


def _facet(content: Content, aspect: Aspect) -> object:
    """What answers that depend on this aspect alone can see of the product."""
    names = _FIELDS_OF_ASPECTS[aspect]
    fields = {name: value for name, value in content.fields.items() if name in names}
    if aspect is Aspect.MEMBERSHIP:
        return content.state is State.LIVE, content.pictures, fields
    return fields if content.state is State.LIVE else None


class Shop:
    """One tenant, its workers and its reference, driven by one thread.

    After each step everything that can be seen is compared. Contradictions come out of the method
    that drove the step, wherever they were found.
    """

    def __init__(self, servers: Servers, *, max_attempts: int) -> None:
        self.tenant = f"shop-{uuid.uuid4().hex[:12]}"
        self.model = Reference(_fault_of, max_attempts=max_attempts)
        self.bell = Bell()
        self._servers = servers
        self._redis = servers.client
        self._redis.flushall()
        servers.pictures.statuses.clear()
        self._jobs = Jobs(self._redis)
        self._ledger = WatchedLedger(self, self._redis)
        self._tickets: dict[tuple[str, int], int] = {}
        self._revs: dict[str, int] = {}
        self._moment = 1
        self._visible: dict[str, list[tuple[int, Content]]] = {}
        self._told: dict[Aspect, int] = dict.fromkeys(Aspect, 0)
        self.contradictions: list[Contradiction] = []
        self.tasks: list[Task | None] = [None] * len(LANES_OF_WORKERS)
        self._fetcher = Fetcher(LOOPBACK, max_bytes=2**20, timeout_seconds=5.0)
        self._readers: list[PictureReader] = []
        self._bells = [self._worker(lanes, max_attempts) for lanes in LANES_OF_WORKERS]
        self._sweeper = Sweeper(
            ledger=self._ledger,
            doorbell=self.bell,  # type: ignore[arg-type]
            serve=self._no_broker_fails,
            qdrant=servers.qdrant,
            lanes=list(Lane),
            watch=lambda: None,
            tombstone_days=30.0,
        )

    @staticmethod
    def _no_broker_fails() -> bool:
        raise AssertionError("the sweeper works for itself only where the broker takes nothing")

    def _worker(self, lanes: Sequence[Lane], max_attempts: int) -> Bells:
        has_model = lanes != (Lane.FAST,)
        ledger: Any = Gated(self._ledger, "ledger")
        qdrant: Any = Gated(self._servers.qdrant, "qdrant")
        pictures: Any = Gated(self._reader(), "pictures") if has_model else None
        reconciler = Reconciler(
            ledger=ledger,
            ring=self.bell.ring,
            qdrant=qdrant,
            pictures=pictures,
            retries=RetryPolicy(max_attempts, base_seconds=0.0, not_found_seconds=0.0),
            # One worker shows the fields before it looks at any picture, the others in need only.
            analyser=ANALYSER,
            fields_seconds=0.0 if len(lanes) == len(Lane) else _FOR_EVER,
        )
        return Bells(
            ledger=ledger,
            doorbell=self.bell,  # type: ignore[arg-type]
            qdrant=qdrant,
            leases=LeaseKeeper(self._ledger, _FOR_EVER),  # not started: leases end by hand
            work=reconciler.work_off,
            lanes=lanes,
        )

    def _reader(self) -> PictureReader:
        """One for each worker, for each is a process of its own."""
        encoder: Any = Gated(HashingEncoder(), "encoder")
        self._readers.append(PictureReader(self._fetcher, encoder, threads=2))
        return self._readers[-1]

    def close(self) -> None:
        for task in self.tasks:
            if task is not None and not task.done:
                task.stop()
        for reader in self._readers:
            reader.close()
        self._fetcher.close()

    # --- what shops do -----------------------------------------------------------------------

    def call(
        self, wishes: Sequence[Wish], lane: Lane, idempotency: Idempotency | None = None
    ) -> str | None:
        """One request, accepted by the ledger and by the reference; returns the job's id.

        None where it is a patch of a product that is not there, which both must say.
        """
        try:
            job_id = self._accept(wishes, lane, idempotency)
        except PermanentError:
            verdicts = self.model.accept("refused", [self._wish(wish) for wish in wishes])
            assert verdicts == [Verdict.NOT_FOUND], verdicts
            del self.model.jobs["refused"]
            return None
        verdicts = self.model.accept(job_id, [self._wish(wish) for wish in wishes])
        assert Verdict.NOT_FOUND not in verdicts
        for wish in wishes:
            self._note_rev(wish.product_id)
        self.compare()
        return job_id

    def repeat(self, wishes: Sequence[Wish], lane: Lane, idempotency: Idempotency) -> str:
        """The same request under the same key: nothing may happen."""
        job_id = self._accept(wishes, lane, idempotency)
        self.compare()
        return job_id

    def _accept(self, wishes: Sequence[Wish], lane: Lane, idempotency: Idempotency | None) -> str:
        changes = [replace(self._change(wish), position=at) for at, wish in enumerate(wishes)]
        return self._ledger.accept(self.tenant, lane, changes, idempotency=idempotency).job_id

    def _change(self, wish: Wish) -> real.Change:
        if isinstance(wish, Put):
            return real.Change.put(self._product(wish))
        if isinstance(wish, Delete):
            return real.Change.delete(wish.product_id, wish.version)
        return real.Change.patch(wish.product_id, dict(wish.fields))

    def _wish(self, wish: Wish) -> reference.Change:
        if isinstance(wish, Put):
            fields = _fields(self._product(wish))
            return reference.Change(reference.Kind.PUT, wish.product_id, fields, wish.version)
        if isinstance(wish, Delete):
            return reference.Change(reference.Kind.DELETE, wish.product_id, version=wish.version)
        return reference.Change(reference.Kind.PATCH, wish.product_id, dict(wish.fields))

    def _product(self, wish: Put) -> Product:
        return Product.model_validate(
            {
                "id": wish.product_id,
                "name": wish.name,
                "image_url": self._servers.pictures.url + wish.picture,
                "price": wish.price,
                "category": wish.category,
                "version": wish.version,
                "created_at": _CREATED,
            }
        )

    def _note_rev(self, product_id: str) -> None:
        """Ties the row's rev to the reference's ticket: both move on together or not at all."""
        status = self._ledger.product_status(self.tenant, product_id)
        rev = status.rev if status else 0
        ticket = self.model.row(product_id).ticket
        before = self._revs.get(product_id, 0)
        known = self._tickets.get((product_id, before), 0)
        assert rev >= before, f"{product_id}: rev went back from {before} to {rev}"
        assert (rev > before) == (ticket > known), f"{product_id}: {rev} {before} {ticket} {known}"
        self._revs[product_id] = rev
        self._tickets[product_id, rev] = ticket

    # --- what workers do ---------------------------------------------------------------------

    def answer(self, worker: int) -> None:
        """The worker begins to answer a bell, unless it rests within an earlier answer."""
        if self.tasks[worker] is None:
            self.tasks[worker] = Task(self._bells[worker].serve)

    def advance(self, worker: int) -> bool:
        """One step of the worker; returns whether it was in an answer."""
        task = self.tasks[worker]
        if task is None:
            return False
        task.advance()
        if task.done:
            self.tasks[worker] = None
        if task.done or task.at.startswith("after"):  # since then nobody was called
            self.compare()
        return True

    def advance_to(self, worker: int, at: str) -> None:
        """On to the named checkpoint."""
        while (task := self.tasks[worker]) is not None and task.at != at:
            self.advance(worker)
        assert task is not None, f"the worker's answer ended before it was {at}"

    def finish(self, worker: int) -> None:
        while self.advance(worker):
            pass

    def stop(self, worker: int) -> None:
        """The worker dies where it rests; its leases run out later."""
        task = self.tasks[worker]
        if task is not None:
            task.stop()
            self.tasks[worker] = None
            self.compare()

    def end_leases(self) -> None:
        """All leases run out now, of workers that died and of those that are only slow."""
        for lane in Lane:
            due = f"vitrine:due:{lane}:{self.tenant}"
            for product_id in self._redis.zrange(due, 0, -1):
                if self._redis.hexists(f"vitrine:wanted:{self.tenant}:{product_id}", "lease"):
                    self._redis.zadd(due, {product_id: 0})
                    self.model.lease_lost(product_id)

    def set_flaky(self, *, broken: bool) -> None:
        """The flaky picture's server breaks or recovers."""
        self._servers.pictures.statuses[FLAKY] = 503 if broken else 200

    def settle(self) -> None:
        """Workers come to the end of their answers; then only the sweeper rings until all is done.

        At the end the counts of every job add up and no item is pending.
        """
        for worker in range(len(self.tasks)):
            self.finish(worker)
        self.bell.messages.clear()
        for _ in range(200):
            self.end_leases()
            self._sweeper.sweep()
            if not self.bell.messages:
                break
            lane = self.bell.messages.pop(0)
            worker = next(at for at, lanes in enumerate(LANES_OF_WORKERS) if lane in lanes)
            self.answer(worker)
            self.finish(worker)
        assert not self.bell.messages, "the sweeper still rings"
        assert self.model.quiet(), self.model.rows
        assert all(backlog.pending == 0 for backlog in self._ledger.backlog())
        for job_id, items in self.model.jobs.items():
            job = self._jobs.get(self.tenant, job_id)
            assert job is not None
            assert job.finished
            assert job.received == len(items) == sum(job.counts.values())
        # An overtaken change may have been written; if its successor fails, the row, which
        # follows its newest rev alone, is left with what was before both.
        for product_id in self.disagreeing():
            assert self.model.row(product_id).last_outcome is Outcome.FAILED, product_id

    # --- comparing ---------------------------------------------------------------------------

    def compare(self) -> None:
        """Rows, points and items as they are now against the reference's."""
        if self.contradictions:
            raise self.contradictions[0]
        self._compare_index()
        self._compare_rows()
        self._compare_jobs()

    def ticket(self, product_id: str, rev: int) -> int:
        return self._tickets[product_id, rev]

    def _compare_index(self) -> None:
        keys = [(self.tenant, product_id) for product_id in self.model.rows]
        stored = self._servers.qdrant.stored(keys)
        check_words(self._servers.qdrant, self.tenant, list(self.model.rows))
        for product_id, row in self.model.rows.items():
            point = stored.get((self.tenant, product_id))
            if point is None:
                assert row.content.ticket == 0, f"{product_id} vanished from the index"
                continue
            ticket = self._tickets[product_id, point.rev]
            before = row.content
            if (ticket, point.awaits_picture) != (before.ticket, before.awaits_picture):
                self._visible.setdefault(product_id, [(0, Content())])
                written = self.model.fields_written if point.awaits_picture else self.model.written
                written(product_id, ticket)
                self._visible[product_id].append((self._moment, row.content))
            content = row.content
            assert point.version == content.version, (point, content)
            assert point.is_tombstone == (content.state is State.DELETED), (point, content)
            if point.product is not None:
                self._compare_point(point.product, content)

    def told(self, aspects: Iterable[Aspect]) -> None:
        """Searches were told just now to look at these aspects anew."""
        self._moment += 1
        self._told.update(dict.fromkeys(aspects, self._moment))

    def check_told(self, product_id: str) -> None:
        """Once a change is said to have landed, no answer from before it may still be in use.

        An answer cached since an aspect was last told of holds any content seen since then.
        """
        seen = self._visible.get(product_id, [(0, Content())])
        for aspect, moment in self._told.items():
            still = [content for at, content in seen if at >= moment]
            earlier = [content for at, content in seen if at < moment]
            for content in [*earlier[-1:], *still]:
                if _facet(content, aspect) != _facet(seen[-1][1], aspect):
                    raise Contradiction(f"{product_id}: {aspect} changed, and nobody was told")

    def _compare_point(self, stored: StoredProduct, content: reference.Content) -> None:
        assert _fields(stored.product) == dict(content.fields)
        files = self._servers.pictures.files
        paths = ["/" + str(url).rsplit("/", 1)[1] for url in content.pictures]
        digests = [hashlib.sha256(files[path]).hexdigest() for path in paths]
        assert stored.image.sha256 in digests

    def _compare_rows(self) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for product_id in self.model.rows:
                pipeline.hgetall(f"vitrine:row:{self.tenant}:{product_id}")
                pipeline.exists(f"vitrine:wanted:{self.tenant}:{product_id}")
            answers = pipeline.execute()
        for at, (product_id, row) in enumerate(self.model.rows.items()):
            held, is_wanted = answers[2 * at : 2 * at + 2]
            seen = (
                held.get("state", "absent"),
                held.get("version"),
                held.get("failed"),
                bool(is_wanted),
            )
            if row.last_outcome is Outcome.FAILED:
                # A failure tells the row what its worker found in the index when it looked; an
                # overtaken write may have come or gone since.
                row.state = State(seen[0])
            version = None if row.version is None else str(row.version)
            expected = (row.state, version, row.last_error, row.wanted is not None)
            assert seen == expected, f"{product_id}: row {held}, reference {row}"

    def _compare_jobs(self) -> None:
        for job_id, expected in self.model.jobs.items():
            job = self._jobs.get(self.tenant, job_id)
            assert job is not None
            counts = {Outcome(each): count for each, count in job.counts.items() if count}
            assert counts == self.model.counts(job_id), f"job {job_id}"
            items, _ = self._jobs.items(self.tenant, job, None, None, 1000)
            seen = [(each.product_id, str(each.outcome), _final_code(each)) for each in items]
            assert seen == [(each.product_id, str(each.outcome), each.code) for each in expected]

    def disagreeing(self) -> Iterator[str]:
        """Products whose row's state is not what the index holds."""
        for product_id, row in self.model.rows.items():
            held = self._redis.hget(f"vitrine:row:{self.tenant}:{product_id}", "state")
            if (held or State.ABSENT) != row.content.state:
                yield product_id

    def stored_version(self, product_id: str) -> int | None:
        """The shop's version as the index holds it."""
        return self._servers.qdrant.stored([(self.tenant, product_id)])[
            self.tenant, product_id
        ].version

    def stored_price(self, product_id: str) -> float | None:
        """The product's price as the index holds it."""
        found = self._servers.qdrant.get_product(self.tenant, product_id)
        assert found is not None
        return found.product.price

    # --- the end state -----------------------------------------------------------------------

    def end_state(self) -> dict[str, tuple[object, ...]]:
        """Per product: what the index holds, and what the row says."""
        keys = [(self.tenant, product_id) for product_id in self.model.rows]
        stored = self._servers.qdrant.stored(keys)
        state: dict[str, tuple[object, ...]] = {}
        for product_id in self.model.rows:
            point = stored.get((self.tenant, product_id))
            product = point.product if point else None
            row = self._redis.hgetall(f"vitrine:row:{self.tenant}:{product_id}")
            state[product_id] = (
                self._tickets[product_id, point.rev] if point else None,
                (_fields(product.product), product.image.sha256) if product else None,
                row.get("state"),
                row.get("version"),
                row.get("failed"),
            )
        return state

    def outcomes(self, job_id: str | None) -> list[Outcome]:
        """Every item's outcome in order of position, `unchanged` counting as `indexed`."""
        if job_id is None:
            return []
        job = self._jobs.get(self.tenant, job_id)
        assert job is not None
        items, _ = self._jobs.items(self.tenant, job, None, None, 1000)
        found = [Outcome(each.outcome) for each in items]
        told = [each for each in items if _final_code(each)]
        assert job.with_warnings + found.count(Outcome.FAILED) == len(told)
        assert Counter(found) == Counter(
            {Outcome(each): count for each, count in job.counts.items() if count}
        )
        return [Outcome.INDEXED if each is Outcome.UNCHANGED else each for each in found]


def _final_code(item: JobItem) -> str | None:
    """What it ended with; a pending one's code says what it waits for."""
    return None if item.outcome is real.Outcome.PENDING else item.code


class WatchedLedger(Ledger):
    """The ledger itself; what workers do with it happens to the reference in the same step."""

    def __init__(self, shop: Shop, client: redis.Redis) -> None:
        super().__init__(
            client, lease_seconds=_FOR_EVER, job_retention_seconds=3600, max_pending=10**6
        )
        self._shop = shop
        self._generations = Generations(client)

    def claim(self, lanes: Sequence[Lane], limit: int) -> Claim:
        claim = super().claim(lanes, limit)
        with Collected(self._shop):
            taken = [(*self._taken(each), each.suspect) for each in claim.wanted]
            self._shop.model.claimed(claim.token, taken)
        return claim

    def refresh(self, claim: Claim, known: Sequence[real.Wanted]) -> Sequence[real.Wanted | None]:
        answers = super().refresh(claim, known)
        with Collected(self._shop):
            for before, after in zip(known, answers, strict=True):
                ticket = self._shop.ticket(before.product_id, before.rev)
                newest = None
                if after is not None:
                    _, newest_ticket, _, fields = self._taken(after)
                    newest = newest_ticket, fields
                self._shop.model.refreshed(before.product_id, ticket, claim.token, newest)
        return answers

    def stand_alone(self, claim: Claim, wanted: real.Wanted) -> bool:
        held = super().stand_alone(claim, wanted)
        with Collected(self._shop):
            self._shop.model.stood_alone(wanted.product_id, claim.token, held=held)
        return held

    def report(self, claim: Claim, reports: Sequence[Report]) -> Sequence[Lane]:
        tenant, model = self._shop.tenant, self._shop.model
        before = self._generations.current(tenant)
        wakes = super().report(claim, reports)
        after = self._generations.current(tenant)
        with Collected(self._shop):
            # Unknown until the first landing, and until then nothing is cached.
            if after is not None:
                self._shop.told(
                    aspect for aspect in Aspect if before is None or before[aspect] != after[aspect]
                )
            for report in reports:
                ticket = self._shop.ticket(report.product_id, report.rev)
                if isinstance(report.result, real.Outcome):
                    outcome = Outcome(report.result)
                    if outcome in LANDED:
                        self._shop.check_told(report.product_id)
                    code = report.code or None
                    model.reported(report.product_id, ticket, claim.token, outcome, code)
                elif report.result is not real.Verdict.SHOWN:
                    own_fault = report.result is real.Verdict.RETRY
                    model.put_off(
                        report.product_id,
                        ticket,
                        claim.token,
                        own_fault=own_fault,
                        code=report.code or None,
                    )
        return wakes

    def _taken(self, wanted: real.Wanted) -> tuple[str, int, reference.Kind, Mapping[str, object]]:
        ticket = self._shop.ticket(wanted.product_id, wanted.rev)
        if wanted.kind is real.Kind.DELETE:
            return wanted.product_id, ticket, reference.Kind.DELETE, {}
        patches = [json.loads(delta) for delta in wanted.deltas]
        if wanted.kind is real.Kind.PUT:
            fields = _fields(Product.model_validate_json(wanted.body))
            for patch in patches:
                fields = reference.merged(fields, patch)
            return wanted.product_id, ticket, reference.Kind.PUT, fields
        return wanted.product_id, ticket, reference.Kind.PATCH, reduce(reference.together, patches)


class Collected:
    """Keeps contradictions for the driver: the worker would take them for faults of a product."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, err: BaseException | None, at: object) -> bool:
        if isinstance(err, Contradiction):
            self._shop.contradictions.append(err)
            return True
        return False
