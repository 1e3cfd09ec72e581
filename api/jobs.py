"""`/jobs/{job_id}`: how far a job is, and its items."""

from urllib.parse import urlencode

from flask import Blueprint, Response, g, request
from pydantic_core import to_json

from api.answers import item_answer, job_answer, json_response
from api.bodies import JSON, NDJSON
from api.parameters import ItemsParameters, WaitParameters, read_parameters
from api.problems import Problem
from api.waiting import WaitingRoom
from shared.ledger import Jobs
from shared.models.job import Job


class JobReading:
    """Jobs as their tenant sees them."""

    def __init__(self, jobs: Jobs, waiting: WaitingRoom) -> None:
        self._jobs = jobs
        self._waiting = waiting

    def blueprint(self) -> Blueprint:
        """The routes."""
        blueprint = Blueprint("jobs", __name__)
        blueprint.get("/jobs/<job_id>")(self.get_job)
        blueprint.get("/jobs/<job_id>/items")(self.list_items)
        return blueprint

    def get_job(self, job_id: str) -> Response:
        """The job as it stands; with `wait`, once it has ended or the time is up."""
        seconds = read_parameters(WaitParameters, request).wait
        if seconds is None:
            return json_response(job_answer(self._job(job_id)))
        with self._waiting.place() as allowed:
            if not allowed:
                return json_response(job_answer(self._job(job_id)))
            job = self._jobs.wait(g.tenant, job_id, seconds)
        return json_response(job_answer(_found(job)))

    def list_items(self, job_id: str) -> Response:
        """A page of the job's items; as lines for who accepts NDJSON."""
        asked = read_parameters(ItemsParameters, request)
        job = self._job(job_id)
        items, next_cursor = self._jobs.items(
            g.tenant, job, asked.status, asked.cursor, asked.limit
        )
        answers = [item_answer(item) for item in items]
        if request.accept_mimetypes.best_match([JSON, NDJSON]) == NDJSON:
            lines = b"".join(to_json(answer) + b"\n" for answer in answers)
            headers = _next_link(asked, next_cursor) if next_cursor else {}
            return Response(lines, headers=headers, content_type=NDJSON)
        return json_response({"items": answers, "next_cursor": next_cursor})

    def _job(self, job_id: str) -> Job:
        return _found(self._jobs.get(g.tenant, job_id))


def _found(job: Job | None) -> Job:
    if job is None:
        raise Problem(404, "job_not_found", "there is no such job (any more)")
    return job


def _next_link(asked: ItemsParameters, cursor: str) -> dict[str, str]:
    """The next page's place as a header, for lines have no room for it."""
    query = {"limit": str(asked.limit), "cursor": cursor}
    if asked.status is not None:
        query["status"] = asked.status.value
    return {"Link": f'<{request.path}?{urlencode(query)}>; rel="next"'}
