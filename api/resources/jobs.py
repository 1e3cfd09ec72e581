"""`/jobs`: how far jobs are, their items, and retrying what failed."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final
from urllib.parse import urlencode

from flask import Blueprint, Response, g, request
from pydantic_core import to_json

from api.access.slots import WaitingRoom
from api.intake import Intake
from api.requests.bodies import JSON, NDJSON
from api.requests.parameters import (
    ItemsParameters,
    JobsParameters,
    NoParameters,
    WaitParameters,
    read_parameters,
)
from api.responses.answers import (
    RetryQueuedAnswer,
    accepted_response,
    item_answer,
    job_answer,
    json_response,
    status_url,
)
from api.responses.problems import Problem
from shared.ledger import Jobs
from shared.models.change import Outcome
from shared.models.job import Job, JobItem, Retried

_PAGE: Final = 100
"""Items in a page whose size nobody asked for."""

_LINES_AT_ONCE: Final = 500
"""Some 100 KB: few writes, and a job of 10,000 items is never in memory as a whole."""


class JobResource:
    """Jobs as their tenant sees them."""

    def __init__(self, jobs: Jobs, intake: Intake, waiting: WaitingRoom) -> None:
        self._jobs = jobs
        self._intake = intake
        self._waiting = waiting

    def blueprint(self) -> Blueprint:
        """The routes."""
        blueprint = Blueprint("jobs", __name__)
        blueprint.get("/jobs")(self.list_jobs)
        blueprint.get("/jobs/<job_id>")(self.get_job)
        blueprint.get("/jobs/<job_id>/items")(self.list_items)
        blueprint.post("/jobs/<job_id>/retry")(self.retry)
        return blueprint

    def list_jobs(self) -> Response:
        """A page of the tenant's jobs, newest first."""
        asked = read_parameters(JobsParameters, request)
        page, next_cursor = self._jobs.list_jobs(g.tenant, asked.state, asked.cursor, asked.limit)
        answers = [job_answer(job) for job in page]
        return json_response({"jobs": answers, "next_cursor": next_cursor})

    def get_job(self, job_id: str) -> Response:
        """The job as it stands; with `wait`, once it has ended or the time is up."""
        seconds = read_parameters(WaitParameters, request).wait
        if not seconds:
            return json_response(job_answer(self._job(job_id)))
        with self._waiting.place() as allowed:
            if not allowed:
                return json_response(job_answer(self._job(job_id)))
            job = self._jobs.wait(g.tenant, job_id, seconds)
        return json_response(job_answer(_found(job)))

    def list_items(self, job_id: str) -> Response:
        """A page of the job's items; for who accepts NDJSON, lines: all, if no limit is given."""
        asked = read_parameters(ItemsParameters, request)
        job = self._job(job_id)
        as_lines = request.accept_mimetypes.best_match([JSON, NDJSON]) == NDJSON
        if as_lines and asked.limit is None:
            items = self._jobs.items_from(g.tenant, job, asked.status, asked.cursor)
            return Response(_lines(items), content_type=NDJSON)
        page, next_cursor = self._jobs.items(
            g.tenant, job, asked.status, asked.cursor, asked.limit or _PAGE
        )
        if as_lines:
            headers = _next_link(asked, next_cursor) if next_cursor else {}
            return Response(_lines(iter(page)), headers=headers, content_type=NDJSON)
        answers = [item_answer(item) for item in page]
        return json_response({"items": answers, "next_cursor": next_cursor})

    def retry(self, job_id: str) -> Response:
        """A new job of what failed in this one and may succeed when tried again."""
        read_parameters(NoParameters, request)
        # First, for the job that was retried may have expired before the one that retries it.
        retried = self._intake.retried_before(request) or self._retry(job_id)
        answer = RetryQueuedAnswer(
            status="queued",
            job_id=retried.job_id,
            status_url=status_url(retried.job_id),
            accepted=retried.accepted,
        )
        return accepted_response(answer)

    def _retry(self, job_id: str) -> Retried:
        job = self._job(job_id)
        if not job.finished:
            raise Problem(
                409,
                "job_not_finished",
                "this job still has items to try; retry what failed once it has ended",
            )
        failed = self._jobs.items_from(g.tenant, job, Outcome.FAILED, None)
        # Deduplicated, for several changes may have become one, and failed as one.
        products = list(dict.fromkeys(item.product_id for item in failed if item.retryable))
        return self._intake.retry(request, job_id, products)

    def _job(self, job_id: str) -> Job:
        return _found(self._jobs.get(g.tenant, job_id))


def _found(job: Job | None) -> Job:
    if job is None:
        raise Problem(404, "job_not_found", "there is no such job (any more)")
    return job


def _lines(items: Iterator[JobItem]) -> Iterator[bytes]:
    """The items as JSON lines, many at once. Reads the first part before any is sent, so that a
    ledger that doesn't answer is still a problem document."""

    def parts() -> Iterator[bytes]:
        while part := list(islice(items, _LINES_AT_ONCE)):
            yield b"".join(to_json(item_answer(item)) + b"\n" for item in part)

    rest = parts()
    return chain([next(rest, b"")], rest)


def _next_link(asked: ItemsParameters, cursor: str) -> dict[str, str]:
    """The next page's place as a header, for lines have no room for it."""
    query = {"limit": str(asked.limit), "cursor": cursor}
    if asked.status is not None:
        query["status"] = asked.status.value
    return {"Link": f'<{request.path}?{urlencode(query)}>; rel="next"'}
