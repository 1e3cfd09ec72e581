"""The ledger's changes, each one Lua script and so one step that happens whole or not at all.

How the rows, leases and revs work together: docs/decisions/0002-ledger.md.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from shared.errors import IdempotencyConflict, LedgerFull, NothingToRetry, ProductNotFound
from shared.ledger.arguments import change_arguments, refreshed, report_arguments, wanted_in
from shared.ledger.connection import PREFIX, RETRY_AFTER_SECONDS, translated
from shared.ledger.idempotency import Idempotency
from shared.ledger.scripts import script_source
from shared.ledger.waiting import waiting_for
from shared.models.change import Aspect, Change, Claim, Lane, Report, Wanted
from shared.models.job import Accepted, ProductStatus, Retried
from shared.wording import counted

ACCEPT_AT_ONCE: Final = 250
"""Changes per script: 10,000 in one would keep all others from Redis for a quarter second."""

MEMORY_SHARE: Final = 0.75
"""Beyond this share of Redis' memory nothing new is accepted, so that what waits can drain."""

_GIVE_UP_AT_ONCE: Final = 1000
_GIVE_UP_ROUNDS: Final = 10
"""10,000 a second, about 10 MB: room is made faster than it is asked for, in steps of some 5 ms."""

_TAKING_SCRIPTS: Final = ("accept", "retry")
_WORKING_SCRIPTS: Final = (
    "claim",
    "renew",
    "refresh",
    "stand_alone",
    "report",
    "backlog",
    "purge",
    "take_turn",
    "give_up_kept",
)


@dataclass(frozen=True, slots=True)
class LaneBacklog:
    """The backlog of one lane. `oldest_due` is in seconds since 1970, None if nothing waits."""

    lane: Lane
    pending: int
    due: int
    oldest_due: float | None


class Ledger:
    """Wanted states: accepted for a shop, claimed by a worker, settled by its report.

    All methods raise `LedgerUnavailable` if Redis doesn't answer.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        lease_seconds: float,
        job_retention_seconds: int,
        max_pending: int,
    ) -> None:
        self._redis = client
        self._lease_us = int(lease_seconds * 1e6)
        self._retention = job_retention_seconds
        self._max_pending = max_pending
        self._capacity_checked = float("-inf")
        self._scripts = {name: client.register_script(source) for name, source in _script_sources()}

    # Accepting

    def check_capacity(self) -> None:
        """Raises `LedgerFull` if memory or backlog leave no room; looks once a second.

        States kept for retries give way, the oldest first, before a change is refused.
        """
        now = time.monotonic()
        if now - self._capacity_checked < 1.0:
            return
        self._run("give_up_kept", self._max_pending, _GIVE_UP_AT_ONCE)
        used = self._memory_used()
        for _ in range(_GIVE_UP_ROUNDS):
            if used <= MEMORY_SHARE or not self._run("give_up_kept", 0, _GIVE_UP_AT_ONCE):
                break
            used = self._memory_used()
        if used > MEMORY_SHARE:
            raise LedgerFull(
                f"{used:.0%} of the ledger's memory is used; "
                "send again when the workers have caught up",
                RETRY_AFTER_SECONDS,
            )
        self._check_backlog()
        self._capacity_checked = now

    def _memory_used(self) -> float:
        """The share of Redis' memory that is in use; 0 if it has no limit."""
        with translated():
            memory = self._redis.info("memory")
        limit, used = int(memory["maxmemory"]), int(memory["used_memory"])
        return used / limit if limit else 0.0

    def _check_backlog(self) -> None:
        pending = sum(backlog.pending for backlog in self.backlog())
        if pending >= self._max_pending:
            raise LedgerFull(
                f"the queue holds {counted(pending, 'product')} already; send again when the "
                "workers have caught up",
                RETRY_AFTER_SECONDS,
            )

    def accept(
        self,
        tenant: str,
        lane: Lane,
        changes: Sequence[Change],
        *,
        request_id: str = "",
        idempotency: Idempotency | None = None,
    ) -> Accepted:
        """Makes the changes their products' wanted states, in their order.

        With an `Idempotency` that was seen before, returns that job, and completes it if its
        acceptance was cut short. Raises `IdempotencyConflict`, `LedgerFull` and, for the patch of a
        product that isn't there, `ProductNotFound`. A patch comes alone.
        """
        shortage = _raised_by(self.check_capacity)
        opening = self._opening(tenant, len(changes), request_id, idempotency, shortage)
        job_id, wakes = "", None
        for start in range(0, len(changes), ACCEPT_AT_ONCE):
            part = changes[start : start + ACCEPT_AT_ONCE]
            seal = int(start + ACCEPT_AT_ONCE >= len(changes))
            arguments = (lane, seal, *change_arguments(part))
            job_id, state, rung = self._run("accept", *opening, *arguments)
            _raise_refusal(state, shortage)
            if state == "sealed":  # it was accepted before
                break
            wakes = Lane(rung) if rung else wakes
        return Accepted(job_id, wakes)

    def retry(
        self,
        tenant: str,
        failed_job: str,
        products: Sequence[str],
        *,
        request_id: str = "",
        idempotency: Idempotency | None = None,
    ) -> Retried:
        """Wants again, in a new job, what failed of these products in an ended job.

        Left out are products for which anything newer was accepted since, those that have been
        retried already, and those without a kept state. `idempotency` as for `accept`.
        Raises `NothingToRetry`, `IdempotencyConflict` and `LedgerFull`.
        """
        # The backlog alone: memory is not asked for, it is held already.
        shortage = _raised_by(self._check_backlog)
        # How many items there will be shows only as they are taken; the last script counts them.
        opening = self._opening(tenant, 0, request_id, idempotency, shortage)
        job_id, accepted, lanes = "", 0, set()
        for start in range(0, max(1, len(products)), ACCEPT_AT_ONCE):
            part = products[start : start + ACCEPT_AT_ONCE]
            seal = int(start + ACCEPT_AT_ONCE >= len(products))
            job_id, state, accepted, *rung = self._run("retry", *opening, failed_job, seal, *part)
            _raise_refusal(state, shortage)
            if state == "sealed":
                break
            lanes.update(rung)
        if not accepted:
            raise NothingToRetry(
                "nothing of this job can be retried: what failed will fail again, has been "
                "retried already, was replaced by newer changes, or is no longer kept; once its "
                "cause is mended, send the product again"
            )
        return Retried(job_id, accepted, sorted(map(Lane, lanes)))

    def retried_before(self, tenant: str, idempotency: Idempotency) -> Retried | None:
        """The job of a retry that was promised under this key, though what it retries is gone.

        Raises `IdempotencyConflict` if the key stands for another request.
        """
        with translated():
            held = self._redis.get(f"{PREFIX}idempotency:{tenant}:{idempotency.key}")
            if held is None:
                return None
            job_id, _, fingerprint = str(held).partition(" ")
            job = self._redis.hgetall(f"{PREFIX}job:{tenant}:{job_id}")
        if not job:  # expired
            return None
        if fingerprint != idempotency.fingerprint:
            _raise_refusal("conflict", None)
        return Retried(job_id, int(job["received"]), []) if job["sealed"] == "1" else None

    def _opening(
        self,
        tenant: str,
        received: int,
        request_id: str,
        idempotency: Idempotency | None,
        shortage: LedgerFull | None,
    ) -> tuple[str | int, ...]:
        """The arguments that open a job, the same for all scripts of one request.

        If memory is short, they still answer the repeat of a request that was accepted.
        """
        return (
            tenant,
            secrets.token_hex(12),
            received,
            request_id,
            self._retention,
            idempotency.key if idempotency else "",
            idempotency.fingerprint if idempotency else "",
            int(shortage is None),
        )

    # Working

    def claim(self, lanes: Sequence[Lane], limit: int) -> Claim:
        """Leases up to `limit` due products, from the first lane on."""
        token = secrets.token_hex(8)
        more, *fields = self._run("claim", token, limit, self._lease_us, *lanes)
        return Claim(token, wanted_in(fields), bool(more))

    def renew(self, claim: Claim) -> None:
        """Puts off the end of the claim's leases by a full term, for those still held."""
        names = [name for wanted in claim.wanted for name in (wanted.tenant, wanted.product_id)]
        self._run("renew", claim.token, self._lease_us, *names)

    def refresh(self, claim: Claim, known: Sequence[Wanted]) -> Sequence[Wanted | None]:
        """These wanted states of the claim as they are by now, because they may have been patched.

        None stands in the place of each that the claim holds no more: its product has been put or
        deleted anew, or its lease was lost to another task.
        """
        names = [field for each in known for field in (each.tenant, each.product_id, each.rev)]
        answers = self._run("refresh", claim.token, *names)
        return list(map(refreshed, known, answers[::2], answers[1::2]))

    def stand_alone(self, claim: Claim, wanted: Wanted) -> bool:
        """Notes that the claim's task does now with this product what may kill its process, and
        nothing of the kind with others: if the lease is lost by that, it counts as an attempt.

        The note holds until the product is reported. False if the claim holds it no more.
        """
        return bool(self._run("stand_alone", claim.token, wanted.tenant, wanted.product_id))

    def report(self, claim: Claim, reports: Sequence[Report]) -> Sequence[Lane]:
        """Settles or puts off what was claimed. Repeating it, or reporting late, is harmless.

        Returns the lanes to ring for: a product that was patched while it was in work is due
        there again.
        """
        if not reports:
            return []
        arguments = [field for report in reports for field in report_arguments(report)]
        aspects = " ".join(Aspect)
        wakes = self._run("report", claim.token, self._retention, aspects, *arguments)
        return [Lane(lane) for lane in wakes]

    # Watching

    def backlog(self) -> list[LaneBacklog]:
        """The backlog of each lane."""
        fields = self._run("backlog", *Lane)
        return [
            LaneBacklog(lane, pending, due, float(oldest) / 1e6 if oldest else None)
            for lane, pending, due, oldest in zip(
                Lane, fields[0::3], fields[1::3], fields[2::3], strict=True
            )
        ]

    def product_status(self, tenant: str, product_id: str) -> ProductStatus | None:
        """The facts about one product beside the index; None if there are none."""
        with translated(), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(f"{PREFIX}row:{tenant}:{product_id}")
            pipeline.exists(f"{PREFIX}wanted:{tenant}:{product_id}")
            row, pending = pipeline.execute()
            waiting = waiting_for(self._redis, tenant, [product_id]) if pending else {}
        if not row:
            return None
        error = {"code": row["failed"], "message": row["message"]} if "failed" in row else None
        return ProductStatus(
            int(row["rev"]), row["state"], bool(pending), error, waiting.get(product_id)
        )

    def purge_deleted(self, before_rev: int, limit: int = 1000) -> int:
        """Forgets up to `limit` products that were deleted before `before_rev`."""
        return int(self._run("purge", before_rev, limit))

    def take_purging_turn(self, collection: str, seconds: int) -> bool:
        """Whether the caller is to purge: of all that ask, the first one in so long."""
        return bool(self._run("take_turn", f"purge:{collection}", seconds))

    def ping(self) -> None:
        """Raises `LedgerUnavailable` if Redis doesn't answer."""
        with translated():
            self._redis.ping()

    def _run(self, name: str, *arguments: Any) -> Any:
        with translated():
            return self._scripts[name](args=[PREFIX, *arguments])


def _script_sources() -> Iterator[tuple[str, str]]:
    """Those that free memory run when it is short."""
    for name in _TAKING_SCRIPTS:
        yield name, script_source(name)
    for name in _WORKING_SCRIPTS:
        yield name, script_source(name, when_memory_is_short=True)


def _raised_by(check: Callable[[], None]) -> LedgerFull | None:
    try:
        check()
    except LedgerFull as err:
        return err
    return None


def _raise_refusal(state: str, shortage: LedgerFull | None) -> None:
    """Raises the refusal of a script that takes changes, if it refused."""
    if state == "full" and shortage:
        raise shortage
    if state == "conflict":
        raise IdempotencyConflict(
            "this Idempotency-Key was used for another request; take a new key for a new one"
        )
    if state == "absent":
        raise ProductNotFound("there is no such product to change; send it whole to /index-product")
    if state == "too_many_patches":
        raise LedgerFull(
            "too many patches of this product wait; send again when they have landed",
            RETRY_AFTER_SECONDS,
        )
