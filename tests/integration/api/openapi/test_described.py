"""Requests made up from the API's own description, good and bad: it answers as it says.

`--hypothesis-profile=long` makes up many more.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import described_app
from api.openapi.document import document
from tests.integration.api.gunicorn_process import serving
from tests.servers import EmbeddedQdrantProcess, RedisServer

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in document(described_app(), keys_needed=False)["paths"].items()
    for method, operation in methods.items()
]
EXAMPLES = 3000 if settings.get_current_profile_name() == "long" else 15


@pytest.fixture(scope="module")
def description(
    ledger_server: RedisServer, cache_server: RedisServer, qdrant_server: EmbeddedQdrantProcess
) -> Iterator[schemathesis.BaseSchema]:
    with serving(
        REDIS_URL=ledger_server.url,
        REDIS_CACHE_URL=cache_server.url,
        QDRANT_URL=qdrant_server.url,
        SEARCH_TIMEOUT_SECONDS="2",
    ) as port:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_answers_as_described(
    description: schemathesis.BaseSchema,
    path: str,
    method: str,
    operation: dict[str, Any],
    mode: GenerationMode,
) -> None:
    described = description[path][method.upper()]
    if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation):
        return

    @given(case=described.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    def answers(case: Case) -> None:
        if case.query and "wait" in case.query:
            case.query["wait"] = 0
        response = case.call(timeout=60)
        # gunicorn's own answer, whatever the operation is: a line so long reaches none.
        if response.status_code != HTTPStatus.REQUEST_URI_TOO_LONG:
            case.validate_response(response, checks=CHECKS)

    answers()


def _can_be_wrong(operation: dict[str, Any]) -> bool:
    places = {parameter["in"] for parameter in operation["parameters"]}
    return "query" in places or "requestBody" in operation
