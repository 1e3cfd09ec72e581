"""The answer to one product's change: how it ended, if the caller waits, or that it is queued."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Response, g

from api.access.slots import Slots
from api.openapi.describe import Json, accepted, json_answer
from api.responses.answers import json_response
from api.responses.changes import LandedAnswer, QueuedAnswer, accepted_response, status_url
from api.responses.problems import Problem
from api.responses.products import WaitingAnswer
from shared.errors import TransientError
from shared.ledger import Jobs
from shared.models.change import Outcome
from shared.models.job import JobItem

ONE_CHANGE: Final[Mapping[int, Json]] = {
    200: json_answer("With `wait`: the change has ended.", LandedAnswer),
    202: accepted(QueuedAnswer),
}
"""The answers of `Landing`."""


class Landing:
    """Waits for the ends of jobs of one change."""

    def __init__(self, jobs: Jobs, waiting: Slots) -> None:
        """`waiting`: slots for requests that wait."""
        self._jobs = jobs
        self._waiting = waiting

    def response(self, product_id: str, job_id: str, seconds: float | None) -> Response:
        """200 once the change has ended well, within the time; else 202.

        Raises a 422 problem with the item's code if the change failed.
        """
        item = self._item(job_id, seconds) if seconds else None
        if item and item.outcome is not Outcome.PENDING:
            return _landed(job_id, item)
        answer = QueuedAnswer(
            status="queued", product_id=product_id, job_id=job_id, status_url=status_url(job_id)
        )
        if item and item.code and item.message and item.next_try_at:
            answer["waiting"] = WaitingAnswer(
                code=item.code,
                message=item.message,
                attempts=item.attempts,
                next_try_at=item.next_try_at,
            )
        return accepted_response(answer)

    def _item(self, job_id: str, seconds: float) -> JobItem | None:
        """The job's item at its end, or when the time is up; None if it can't be told."""
        with self._waiting.slot() as allowed:
            if not allowed:
                return None
            try:
                job = self._jobs.wait(g.tenant, job_id, seconds)
                return self._jobs.item(g.tenant, job) if job else None
            except TransientError:
                # The change is accepted; that the ledger can't be asked now takes nothing back.
                return None


def _landed(job_id: str, item: JobItem) -> Response:
    if item.outcome is Outcome.FAILED:
        extensions: dict[str, Any] = {
            "product_id": item.product_id,
            "job_id": job_id,
            "retryable": item.retryable,
        }
        raise Problem(422, item.code or "internal_error", item.message or "failed", extensions)
    answer = LandedAnswer(
        status="success", product_id=item.product_id, job_id=job_id, outcome=item.outcome
    )
    if item.warnings:
        answer["warnings"] = list(item.warnings)
    return json_response(answer)
