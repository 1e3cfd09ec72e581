"""A job: the items of one accepted request and how far they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.models.change import Lane, Outcome


class JobState(StrEnum):
    """Where a job stands, derived from its counts."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIALLY_FAILED = "partially_failed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as reported. The counts but `received` always add up to `received`."""

    job_id: str
    received: int
    counts: Mapping[Outcome, int]
    with_warnings: int
    """Items that landed with a warning. Those with a code of `REMARKS` have landed whole; with any
    other, the new picture was bad, and the earlier one stays."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether every item has its outcome."""
        return self.finished_at is not None

    @property
    def state(self) -> JobState:
        """Queued until the first item is taken; failed only if every item did."""
        if not self.finished:
            return JobState.QUEUED if self.started_at is None else JobState.RUNNING
        failed = self.counts[Outcome.FAILED]
        if failed == 0:
            return JobState.SUCCEEDED
        return JobState.FAILED if failed == self.received else JobState.PARTIALLY_FAILED

    @property
    def progress(self) -> float:
        """Share of the items that have ended, 0 to 1."""
        return 1 - self.counts[Outcome.PENDING] / self.received


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a product's change has not ended yet: what its last attempt failed of."""

    code: str
    message: str
    next_try_at: datetime
    attempts: int
    """Attempts that have failed so far."""


@dataclass(frozen=True, slots=True)
class JobItem:
    """One item of a job. `code` and `message` are set if it failed, landed with a warning, or is to
    be tried again. `next_try_at` tells when.
    """

    position: int
    product_id: str
    outcome: Outcome
    attempts: int = 0
    code: str | None = None
    message: str | None = None
    retryable: bool = False
    """Whether it has failed of what may pass, so that a retry takes it."""
    next_try_at: datetime | None = None
    warnings: Sequence[str] = ()
    """All codes that it landed with, `code` first."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job of accepted changes. `wakes`: the lane to ring for, if none is on
    its way already."""

    job_id: str
    wakes: Lane | None


@dataclass(frozen=True, slots=True)
class Retried:
    """A job of failures wanted again: how many, and the lanes in which they wait."""

    job_id: str
    accepted: int
    lanes: Sequence[Lane]


@dataclass(frozen=True, slots=True)
class ProductStatus:
    """The ledger's facts about a product, beside those of the index."""

    rev: int
    state: str
    pending: bool
    last_error: Mapping[str, str] | None
    waiting: Waiting | None = None
