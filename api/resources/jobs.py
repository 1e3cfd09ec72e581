"""`/jobs`: their states, their items, and retrying failed ones."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final
from urllib.parse import urlencode

from flask import Response, g, request

from api.access.slots import Slots
from api.intake import Intake
from api.openapi.describe import LINES, Operation, accepted, json_answer
from api.requests.bodies import JSON, NDJSON
from api.requests.parameters import (
    ItemsParameters,
    JobsParameters,
    NoParameters,
    WaitParameters,
    read_parameters,
)
from api.responses.answers import json_line, json_response
from api.responses.changes import RetryQueuedAnswer, accepted_response, status_url
from api.responses.jobs import JobAnswer, JobItemsAnswer, JobsAnswer, item_answer, job_answer
from api.responses.problems import Problem
from shared.ledger import Jobs
from shared.models.change import Outcome
from shared.models.job import Job, JobItem, Retried

_PAGE: Final = 100
"""Items in a page without a `limit`."""

_LINES_AT_ONCE: Final = 500
"""Some 100 KB: few writes, and a job of 10,000 items is never in memory as a whole."""


_JOB_ID: Final = {"job_id": {"description": "The `job_id` of the answer to a change."}}


class JobsResource:
    """Jobs as their tenant sees them."""

    def __init__(self, jobs: Jobs, intake: Intake, waiting: Slots) -> None:
        """`waiting`: slots for requests that wait."""
        self._jobs = jobs
        self._intake = intake
        self._waiting = waiting

    @Operation("GET", "/jobs", {200: json_answer("A page of jobs.", JobsAnswer)}, JobsParameters)
    def list_jobs(self) -> Response:
        """List jobs, newest first.

        With `state` a page may be short, even empty, while `next_cursor` goes on.
        """
        parameters = read_parameters(JobsParameters, request)
        page, next_cursor = self._jobs.list_jobs(
            g.tenant, parameters.state, parameters.cursor, parameters.limit
        )
        answers = [job_answer(job) for job in page]
        return json_response({"jobs": answers, "next_cursor": next_cursor})

    @Operation(
        "GET",
        "/jobs/<job_id>",
        {200: json_answer("The job.", JobAnswer)},
        WaitParameters,
        _JOB_ID,
        problems=(404,),
    )
    def get_job(self, job_id: str) -> Response:
        """Read how far a job is, or wait for its end.

        With `wait` the answer comes once the job has ended or the time is up.
        """
        seconds = read_parameters(WaitParameters, request).wait
        if not seconds:
            return json_response(job_answer(self._job(job_id)))
        with self._waiting.slot() as allowed:
            if not allowed:
                return json_response(job_answer(self._job(job_id)))
            job = self._jobs.wait(g.tenant, job_id, seconds)
        return json_response(job_answer(_found(job)))

    @Operation(
        "GET",
        "/jobs/<job_id>/items",
        {
            200: {
                "description": "A page of items, or all as lines.",
                "content": {JSON: {"schema": JobItemsAnswer}, **LINES},
            }
        },
        ItemsParameters,
        _JOB_ID,
        problems=(404,),
    )
    def list_job_items(self, job_id: str) -> Response:
        """List a job's items, for example the failed ones.

        With `Accept: application/x-ndjson` each line is one item: all items, or with `limit` a
        page, and the next page's path in the `Link` header.
        """
        parameters = read_parameters(ItemsParameters, request)
        job = self._job(job_id)
        as_lines = request.accept_mimetypes.best_match([JSON, NDJSON]) == NDJSON
        if as_lines and parameters.limit is None:
            items = self._jobs.items_from(g.tenant, job, parameters.status, parameters.cursor)
            return Response(_lines(items), content_type=NDJSON)
        page, next_cursor = self._jobs.items(
            g.tenant, job, parameters.status, parameters.cursor, parameters.limit or _PAGE
        )
        if as_lines:
            headers = _next_link(parameters, next_cursor) if next_cursor else {}
            return Response(_lines(iter(page)), headers=headers, content_type=NDJSON)
        answers = [item_answer(item) for item in page]
        return json_response({"items": answers, "next_cursor": next_cursor})

    @Operation(
        "POST",
        "/jobs/<job_id>/retry",
        {202: accepted(RetryQueuedAnswer)},
        in_path=_JOB_ID,
        problems=(404,),
        is_write=True,
    )
    def retry_job(self, job_id: str) -> Response:
        """Try again what failed in an ended job.

        A new job takes the failed items that are `retryable`, unless something newer was sent for
        their products since.
        """
        read_parameters(NoParameters, request)
        # First, because the job that was retried may have expired before the one that retries it.
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
        # Each once, because several changes may have become one, and failed as one.
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
            yield b"".join(json_line(item_answer(item)) for item in part)

    rest = parts()
    return chain([next(rest, b"")], rest)


def _next_link(parameters: ItemsParameters, cursor: str) -> dict[str, str]:
    """The next page's path as a header, because lines have none for it."""
    query = {"limit": str(parameters.limit), "cursor": cursor}
    if parameters.status is not None:
        query["status"] = parameters.status.value
    return {"Link": f'<{request.path}?{urlencode(query)}>; rel="next"'}
