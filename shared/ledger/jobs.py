"""Reading jobs: lists, counts, waiting for the end, and the items one by one."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

import redis

from shared.errors import InvalidCursor
from shared.ledger.connection import PREFIX, moment, translated
from shared.ledger.waiting import waiting_for
from shared.models.change import Outcome
from shared.models.job import Job, JobItem, JobState, Waiting

_BLOCK_SECONDS: Final = 2.0
"""One blocking read; below the socket's timeout, so that a frozen server is still noticed."""

_SCAN: Final = 1000
"""Positions looked at in one read while filtering by outcome."""

_ENDED: Final = tuple(outcome for outcome in Outcome if outcome is not Outcome.PENDING)

_LISTS: Final = ("open", "ended")
_LISTS_OF_STATE: Final[Mapping[JobState | None, Sequence[str]]] = {
    JobState.QUEUED: ("open",),
    JobState.RUNNING: ("open",),
    JobState.SUCCEEDED: ("ended",),
    JobState.PARTIALLY_FAILED: ("ended",),
    JobState.FAILED: ("ended",),
}

_SCAN_JOBS: Final = 200
"""Jobs looked at in one read while filtering by state."""

_LOOKED_AT: Final = 1000
"""Jobs looked at for one page, if a state is asked for that few have: some 50 ms of work."""

_Place = tuple[int, str]
"""A job's place in the lists: when it was created (µs since 1970), and its id."""

_NO_CURSOR: Final = "cursor is not one of this listing; take next_cursor as it was given"
_NEWEST: Final[_Place] = (2**53, "")
_CURSOR: Final = re.compile(r"([0-9]{1,16})-([0-9a-f]{1,64})")


class Jobs:
    """Jobs as their tenants may see them. Methods raise `LedgerUnavailable`."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def get(self, tenant: str, job_id: str) -> Job | None:
        """The job as it stands now; None if the tenant has no such job (any more)."""
        with translated():
            # Text, for `connect` decodes answers; redis-py's types can't know that.
            fields = cast("dict[str, str]", self._redis.hgetall(f"{PREFIX}job:{tenant}:{job_id}"))
        return _job(job_id, fields)

    def list_jobs(
        self, tenant: str, state: JobState | None, cursor: str | None, limit: int
    ) -> tuple[Sequence[Job], str | None]:
        """Up to `limit` jobs, newest first, and the cursor of the rest if there may be one.

        Looks at `_LOOKED_AT` jobs at most, so a page of a rare state may be short, even empty,
        and have a cursor all the same. Raises `InvalidCursor`.
        """
        lists = [f"{PREFIX}jobs:{name}:{tenant}" for name in _LISTS_OF_STATE.get(state, _LISTS)]
        before = _place(cursor)
        found: list[Job] = []
        looked_at = 0
        while looked_at < _LOOKED_AT:
            places = self._places(lists, before, limit + 1 if state is None else _SCAN_JOBS)
            if not places:
                return found, None
            for place, job in zip(places, self._jobs_at(tenant, places), strict=True):
                if job is not None and state in (None, job.state):
                    if len(found) == limit:
                        return found, _cursor(before)
                    found.append(job)
                before = place
            looked_at += len(places)
        return found, _cursor(before)

    def _places(self, lists: Sequence[str], before: _Place, count: int) -> Sequence[_Place]:
        """The next places in the lists together, newest first."""
        # Both lists at one moment: a job that ends goes from one to the other.
        with translated(), self._redis.pipeline(transaction=True) as pipeline:
            for key in lists:
                pipeline.zrange(
                    key,
                    before[0],
                    "-inf",
                    desc=True,
                    byscore=True,
                    offset=0,
                    num=count,
                    withscores=True,
                )
            listed = pipeline.execute()
        places = [(int(score), job_id) for part in listed for job_id, score in part]
        return sorted((place for place in places if place < before), reverse=True)[:count]

    def _jobs_at(self, tenant: str, places: Sequence[_Place]) -> Sequence[Job | None]:
        with translated(), self._redis.pipeline(transaction=False) as pipeline:
            for _, job_id in places:
                pipeline.hgetall(f"{PREFIX}job:{tenant}:{job_id}")
            answers = pipeline.execute()
        return [_job(job_id, fields) for (_, job_id), fields in zip(places, answers, strict=True)]

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
        for item in self.items_from(tenant, job, outcome, cursor):
            if len(found) == limit:
                return found, str(item.position)
            found.append(item)
        return found, None

    def items_from(
        self, tenant: str, job: Job, outcome: Outcome | None, cursor: str | None
    ) -> Iterator[JobItem]:
        """All items from the cursor on, read piece by piece. Raises `InvalidCursor` at once."""
        items = self._scan(tenant, job, _position(cursor))
        return (item for item in items if outcome is None or item.outcome is outcome)

    def item(self, tenant: str, job: Job) -> JobItem | None:
        """The only item of a job of one; None if it has expired since the job was read."""
        return next(self._scan(tenant, job, 0), None)

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
            yield from self._explained(
                tenant,
                [
                    _item(position, value)
                    for position, value in zip(part, values, strict=True)
                    if value is not None
                ],
            )

    def _explained(self, tenant: str, items: Sequence[JobItem]) -> Iterator[JobItem]:
        """The items, those that are to be tried again with the reason and the time."""
        pending = [item.product_id for item in items if item.outcome is Outcome.PENDING]
        with translated():
            reasons = waiting_for(self._redis, tenant, pending) if pending else {}
        for item in items:
            waiting = reasons.get(item.product_id) if item.outcome is Outcome.PENDING else None
            yield _waiting(item, waiting) if waiting else item


def _job(job_id: str, fields: Mapping[str, str]) -> Job | None:
    """The job, if it is there and sealed: until then it was promised to nobody."""
    if fields.get("sealed") != "1":
        return None
    received = int(fields["received"])
    counts: dict[Outcome, int] = {outcome: int(fields.get(outcome, 0)) for outcome in _ENDED}
    counts[Outcome.PENDING] = received - sum(counts.values())
    return Job(
        job_id=job_id,
        received=received,
        counts=counts,
        with_warnings=int(fields.get("with_warnings", 0)),
        created_at=moment(fields["created_at"]),
        started_at=moment(fields["started_at"]) if "started_at" in fields else None,
        finished_at=moment(fields["finished_at"]) if "finished_at" in fields else None,
    )


def _cursor(place: _Place) -> str:
    return f"{place[0]}-{place[1]}"


def _place(cursor: str | None) -> _Place:
    if cursor is None:
        return _NEWEST
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise InvalidCursor(_NO_CURSOR)
    return int(parts[1]), parts[2]


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise InvalidCursor(_NO_CURSOR)
    return int(cursor)


def _waiting(item: JobItem, waiting: Waiting) -> JobItem:
    return replace(
        item,
        code=waiting.code,
        message=waiting.message,
        attempts=waiting.attempts,
        next_try_at=waiting.next_try_at,
    )


def _item(position: int, value: str) -> JobItem:
    """Reads the scripts' lines: outcome, product, attempts, codes, retryable, text."""
    ended, product_id, *rest = value.split("\n", 5)
    outcome, attempts = Outcome(ended), int(rest[0]) if rest else 0
    if len(rest) < 4:
        return JobItem(position, product_id, outcome, attempts)
    codes, retryable, message = rest[1].split(), rest[2] == "1", rest[3]
    if outcome is Outcome.FAILED:
        return JobItem(position, product_id, outcome, attempts, codes[0], message, retryable)
    return JobItem(
        position, product_id, outcome, attempts, codes[0], message, warnings=tuple(codes)
    )
