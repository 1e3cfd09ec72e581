"""The one table from errors to HTTP, row by row."""

from http import HTTPStatus

import pytest
from flask import Flask, abort
from werkzeug.exceptions import HTTPException

from api.requests.validation import Fault
from api.responses.problems import Problem, invalid, problem_document, problem_of, register_problems
from shared import errors
from shared.doorbell import DoorbellFailed

ROWS = [
    (errors.QdrantUnavailable("at 10.0.0.1"), 503, "qdrant_unavailable", "1"),
    (errors.QdrantUnavailable("", retry_after=2.2), 503, "qdrant_unavailable", "3"),
    (errors.LedgerUnavailable("at 10.0.0.1", 5), 503, "ledger_unavailable", "5"),
    (errors.LedgerFull("wait", 0.1), 503, "ledger_full", "1"),
    (errors.EncoderBusy("busy"), 503, "encoder_busy", "1"),
    (errors.SearchTimeout("slow"), 503, "search_timeout", "1"),
    (DoorbellFailed("no bell"), 503, "doorbell_failed", "1"),
    (errors.IdempotencyConflict("other body"), 409, "idempotency_conflict", None),
    (errors.NothingToRetry("nothing"), 409, "nothing_to_retry", None),
    (errors.InvalidCursor("not ours"), 422, "invalid_cursor", None),
    (errors.SourcesCancelOut("nothing"), 422, "sources_cancel_out", None),
    (errors.CatalogueTooLarge("too large"), 422, "catalogue_too_large", None),
    (errors.RangeNotIndexed("too many"), 422, "range_not_indexed", None),
    (errors.ProductNotFound("none"), 404, "product_not_found", None),
    (
        errors.QueryPictureFault(
            "image_url", errors.ItemPermanent(errors.ItemCode.NOT_AN_IMAGE, "no")
        ),
        422,
        "not_an_image",
        None,
    ),
    (
        errors.QueryPictureFault(
            "image_url", errors.ItemTransient(errors.ItemCode.IMAGE_TIMEOUT, "slow", 9)
        ),
        422,
        "image_timeout",
        None,
    ),
    (errors.QdrantRejected("secret"), 500, "internal_error", None),
    (errors.ModelUnavailable("secret"), 500, "internal_error", None),
    (
        errors.ItemPermanent(errors.ItemCode.EMBEDDING_FAILED, "secret"),
        500,
        "internal_error",
        None,
    ),
    (ZeroDivisionError("secret"), 500, "internal_error", None),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"), ROWS, ids=[type(row[0]).__name__ for row in ROWS]
)
def test_an_error_has_its_row(
    error: Exception, status: int, code: str, retry_after: str | None
) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.code) == (status, code)
    assert (problem.headers or {}).get("Retry-After") == retry_after
    assert "secret" not in problem.detail
    assert "10.0.0.1" not in problem.detail


def test_a_cursor_is_named_as_the_faulty_field() -> None:
    problem = problem_of(errors.InvalidCursor("not ours"))
    assert problem.extensions == {
        "errors": [{"field": "cursor", "code": "invalid_cursor", "message": "not ours"}]
    }


def test_a_querys_picture_is_named_by_its_field_and_whether_it_may_do_later() -> None:
    gone = errors.ItemTransient(errors.ItemCode.IMAGE_UNREACHABLE, "gone")
    assert problem_of(errors.QueryPictureFault("image_url", gone)).extensions == {
        "errors": [{"field": "image_url", "code": "image_unreachable", "message": "gone"}],
        "retryable": True,
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "malformed"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (406, "not_acceptable"),
        (408, "request_timeout"),
        (409, "conflict"),
        (411, "length_required"),
        (413, "body_too_large"),
        (414, "uri_too_long"),
        (415, "unsupported_media_type"),
        (417, "expectation_failed"),
        (418, "im_a_teapot"),
        (422, "validation_failed"),
        (429, "too_many_requests"),
        (431, "headers_too_large"),
        (500, "internal_error"),
        (501, "not_implemented"),
        (503, "unavailable"),
    ],
)
def test_https_own_errors_have_stable_codes(status: int, code: str) -> None:
    with pytest.raises(HTTPException) as caught:
        abort(status)
    assert (problem_of(caught.value).status, problem_of(caught.value).code) == (status, code)


def test_every_fault_goes_into_the_answer() -> None:
    faults = [Fault(field="", code="a", message="b"), Fault(field="price", code="c", message="d")]
    problem = invalid(faults)
    assert (problem.status, problem.extensions) == (422, {"errors": faults})
    assert problem.detail == "not acceptable: body, price"
    many = [Fault(field=f"f{number}", code="c", message="m") for number in range(7)]
    assert invalid(many).detail == "not acceptable: f0, f1, f2, f3, f4 and 2 more"


def test_a_document_names_type_title_and_status_first() -> None:
    document = problem_document(404, "not_found", "there is none", {"pending": True})
    assert list(document) == ["type", "title", "status", "code", "detail", "pending"]
    assert document["title"] == HTTPStatus.NOT_FOUND.phrase


@pytest.mark.parametrize("testing", [True, False])
def test_an_app_answers_problems_only(testing: bool) -> None:
    app = Flask("test")
    app.testing = testing
    register_problems(app)

    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError("secret")

    @app.get("/refused")
    def refused() -> str:
        raise Problem(429, "too_many_requests", "slower", headers={"Retry-After": "7"})

    client = app.test_client()
    for path, status in (("/broken", 500), ("/refused", 429), ("/nowhere", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.content_type == "application/problem+json"
        assert "secret" not in answer.text
    assert client.get("/refused").headers["Retry-After"] == "7"
