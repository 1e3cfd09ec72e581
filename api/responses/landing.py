"""The answer to one product's change: how it ended, for those who wait, or that it is queued."""

from typing import Any

from flask import Response, g

from api.access.slots import WaitingRoom
from api.responses.answers import LandedAnswer, json_response, queued
from api.responses.problems import Problem
from shared.errors import TransientError
from shared.ledger import Jobs
from shared.models.change import Outcome
from shared.models.job import Job, JobItem


class Landing:
    """Waits for the ends of jobs of one change."""

    def __init__(self, jobs: Jobs, waiting: WaitingRoom) -> None:
        """`waiting`: places for those who wait."""
        self._jobs = jobs
        self._waiting = waiting

    def answer(self, product_id: str, job_id: str, seconds: float | None) -> Response:
        """200 once the change has ended well, within the time; else 202.

        Raises a 422 problem with the item's code where it failed.
        """
        ended = self._ended(job_id, seconds) if seconds else None
        return _landed(*ended) if ended else queued(product_id, job_id)

    def _ended(self, job_id: str, seconds: float) -> tuple[Job, JobItem] | None:
        """The ended job and its item; None where its end can't be told within the time."""
        with self._waiting.place() as allowed:
            if not allowed:
                return None
            try:
                job = self._jobs.wait(g.tenant, job_id, seconds)
                if job is None or not job.finished:
                    return None
                item = self._jobs.item(g.tenant, job)
            except TransientError:
                # The change is accepted; that the ledger can't be asked now takes nothing back.
                return None
        return None if item is None else (job, item)


def _landed(job: Job, item: JobItem) -> Response:
    if item.outcome is Outcome.FAILED:
        extensions: dict[str, Any] = {
            "product_id": item.product_id,
            "job_id": job.job_id,
            "retryable": item.retryable,
        }
        raise Problem(422, item.code or "internal_error", item.message or "failed", extensions)
    answer = LandedAnswer(
        status="success", product_id=item.product_id, job_id=job.job_id, outcome=item.outcome
    )
    if item.code:
        answer["warnings"] = [item.code]
    return json_response(answer)
