"""Answers in JSON."""

from collections.abc import Mapping
from typing import Any, Final

from flask import Response
from pydantic_core import to_json

PREFIX: Final = "/api/v1"


def json_response(
    value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The value as a JSON response."""
    return Response(
        json_line(value), status, headers=dict(headers or {}), content_type="application/json"
    )


def json_line(value: Mapping[str, Any]) -> bytes:
    """The value as JSON with a line's end, after which a terminal begins a new line."""
    return to_json(value) + b"\n"
