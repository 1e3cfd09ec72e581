"""The members of a problem document, for the API's description."""

from typing import NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from api.requests.batch import Rejected
from api.requests.validation import Fault
from api.responses.products import LastError, WaitingAnswer


@with_config(use_attribute_docstrings=True)
class ProblemAnswer(TypedDict):
    """An error (RFC 9457)."""

    type: str
    """Always `about:blank`: `code` tells errors apart."""
    title: str
    """The status in words."""
    status: int
    """The HTTP status."""
    code: str
    """A stable name of the error, for programs."""
    detail: str
    """A sentence for people, which may change."""
    request_id: NotRequired[str]
    """The name of this request in the service's log."""
    errors: NotRequired[list[Fault]]
    """Each faulty field."""
    rejected: NotRequired[list[Rejected]]
    """Each item of a batch that can't be taken."""
    job_id: NotRequired[str]
    """The job whose change failed while the caller waited."""
    product_id: NotRequired[str]
    """The product whose change failed while the caller waited."""
    retryable: NotRequired[bool]
    """Whether the same request may succeed later."""
    accepted: NotRequired[int]
    """Items of a batch that were taken."""
    pending: NotRequired[bool]
    """Whether a change of the missing product waits."""
    last_error: NotRequired[LastError | None]
    """Why the missing product's last change failed, if it did."""
    waiting: NotRequired[WaitingAnswer | None]
    """The reason why the missing product's change waits, if it does."""
    failing: NotRequired[list[str]]
    """The parts of the service that are not ready."""
    checks: NotRequired[dict[str, str]]
    """By part: `ok`, `timeout` or the fault's code."""
