"""`POST /search` and `GET /search`."""

import contextlib
import math
from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, Response, g, request

from api.answers import json_response, search_answer
from api.bodies import JSON, MAX_SEARCH_BYTES, content_type, parse_json, read_body
from api.parameters import NoParameters, read_parameters
from api.problems import invalid
from api.validation import Fault, Invalid, validated
from shared.models.search import SearchRequest
from shared.search.service import SearchService

_TEXT_PARAMETER: Final = "q"


def _number(text: str) -> int | float:
    """As JSON would have it: a whole number stays one, so that both forms share a cached answer."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON knows no such number")
    return number


_NUMBERS: Final[dict[str, Callable[[str], int | float]]] = {
    "top_k": int,
    "price_min": _number,
    "price_max": _number,
}


class Searching:
    """Products found by words."""

    def __init__(self, search: SearchService) -> None:
        self._search = search

    def blueprint(self) -> Blueprint:
        """The routes."""
        blueprint = Blueprint("search", __name__)
        blueprint.post("/search")(self.post_search)
        blueprint.get("/search")(self.get_search)
        return blueprint

    def post_search(self) -> Response:
        """A search as a JSON document."""
        read_parameters(NoParameters, request)
        content_type(request, JSON)
        data = parse_json(read_body(request, MAX_SEARCH_BYTES))
        try:
            asked = validated(SearchRequest, data)
        except Invalid as err:
            raise invalid(err.faults) from err
        return self._answer(asked)

    def get_search(self) -> Response:
        """The same search in a URL, its text as `q`."""
        try:
            asked = validated(SearchRequest, _from_query())
        except Invalid as err:
            raise invalid([_in_url(fault) for fault in err.faults]) from err
        return self._answer(asked)

    def _answer(self, asked: SearchRequest) -> Response:
        return json_response(search_answer(self._search.search(g.tenant, asked)))


def _from_query() -> dict[str, Any]:
    """The parameters as a POST would have them; what is no number is left for the model."""
    data: dict[str, Any] = {}
    repeated = []
    for name, values in request.args.lists():
        if len(values) > 1:
            repeated.append(Fault(field=name, code="repeated", message="must be given once"))
        data[name] = values[0]
        if convert := _NUMBERS.get(name):
            with contextlib.suppress(ValueError):
                data[name] = convert(values[0])
    if repeated:
        raise invalid(repeated)
    # The body's name for the text is no parameter's name.
    text = data.pop(_TEXT_PARAMETER, None)
    if "text_query" in data:
        message = f"is called {_TEXT_PARAMETER} in a URL"
        raise invalid([Fault(field="text_query", code="extra_forbidden", message=message)])
    if text is not None:
        data["text_query"] = text
    return data


def _in_url(fault: Fault) -> Fault:
    return {**fault, "field": _TEXT_PARAMETER} if fault["field"] == "text_query" else fault
