"""Reading jobs: counts, waiting for the end, and the items one by one."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, cast

import redis

from shared.errors import InvalidCursor
from shared.ledger.connection import PREFIX, translated
from shared.models.change import Outcome
from shared.models.job import Job, JobItem

_BLOCK_SECONDS: Final = 2.0
"""One blocking read; below the socket's timeout, so that a frozen server is still noticed."""

_SCAN: Final = 1000
"""Positions looked at in one read while filtering by outcome."""

_ENDED: Final = tuple(outcome for outcome in Outcome if outcome is not Outcome.PENDING)


class Jobs:
    """Jobs as their tenants may see them. Methods raise `LedgerUnavailable`."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def get(self, tenant: str, job_id: str) -> Job | None:
        """The job as it stands now; None where the tenant has no such job (any more)."""
        with translated():
            # Text, for `connect` decodes answers; redis-py's types can't know that.
            fields = cast("dict[str, str]", self._redis.hgetall(f"{PREFIX}job:{tenant}:{job_id}"))
        if not fields:
            return None
        received = int(fields["received"])
        counts: dict[Outcome, int] = {outcome: int(fields.get(outcome, 0)) for outcome in _ENDED}
        counts[Outcome.PENDING] = received - sum(counts.values())
        return Job(
            job_id=job_id,
            received=received,
            counts=counts,
            created_at=_moment(fields["created_at"]),
            started_at=_moment(fields["started_at"]) if "started_at" in fields else None,
            finished_at=_moment(fields["finished_at"]) if "finished_at" in fields else None,
        )

    def wait(self, tenant: str, job_id: str, seconds: float) -> Job | None:
        """The job once it has ended, or as it stands after `seconds`."""
        deadline = time.monotonic() + seconds
        job = self.get(tenant, job_id)
        while job and not job.finished and (left := deadline - time.monotonic()) > 0:
            with translated():
                # The report script adds one entry to this stream when the job ends; whoever comes
                # later finds it there, so no wake-up can be missed.
                self._redis.xread(
                    {f"{PREFIX}end:{tenant}:{job_id}": "0"},
                    block=max(1, int(min(left, _BLOCK_SECONDS) * 1000)),
                )
            job = self.get(tenant, job_id)
        return job

    def items(
        self, tenant: str, job: Job, outcome: Outcome | None, cursor: str | None, limit: int
    ) -> tuple[Sequence[JobItem], str | None]:
        """Up to `limit` items in order of position, and the cursor of the rest if there is one.

        Raises `InvalidCursor`.
        """
        found: list[JobItem] = []
        for item in self._scan(tenant, job, _position(cursor)):
            if outcome is None or item.outcome is outcome:
                if len(found) == limit:
                    return found, str(item.position)
                found.append(item)
        return found, None

    def item(self, tenant: str, job: Job) -> JobItem:
        """The only item of a job of one."""
        return next(self._scan(tenant, job, 0))

    def _scan(self, tenant: str, job: Job, start: int) -> Iterator[JobItem]:
        """The job's items from a position on. Rejected items leave gaps in the positions."""
        key = f"{PREFIX}items:{tenant}:{job.job_id}"
        with translated():
            positions = sorted(int(position) for position in self._redis.hkeys(key))
        positions = [position for position in positions if position >= start]
        for first in range(0, len(positions), _SCAN):
            part = positions[first : first + _SCAN]
            with translated():
                held = self._redis.hmget(key, [str(position) for position in part])
                values = cast("list[str | None]", held)
            for position, value in zip(part, values, strict=True):
                if value is not None:
                    yield _item(position, value)


def _moment(microseconds: str) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1e6, UTC)


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise InvalidCursor("cursor is not one of this listing; take next_cursor as it was given")
    return int(cursor)


def _item(position: int, value: str) -> JobItem:
    """Reads the lines that the scripts write: outcome, product, attempts, code, retryable, text."""
    outcome, product_id, *rest = value.split("\n", 5)
    attempts = int(rest[0]) if rest else 0
    if len(rest) < 4:
        return JobItem(position, product_id, Outcome(outcome), attempts)
    code, retryable, message = rest[1:]
    return JobItem(
        position, product_id, Outcome(outcome), attempts, code, message, retryable == "1"
    )
