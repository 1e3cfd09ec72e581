"""`POST /search`, `GET /search` and `GET /similar`."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from flask import Blueprint, Response, g, request
from pydantic_core import from_json

from api.access.slots import WaitingRoom
from api.requests.bodies import (
    JSON,
    MAX_PICTURE_SEARCH_BYTES,
    MAX_SEARCH_BYTES,
    content_type,
    parse_json,
    read_body,
    too_large,
)
from api.requests.forms import MULTIPART, parse_form
from api.requests.parameters import NoParameters, check_once, read_parameters, without_empty
from api.requests.validation import MAX_FAULTS, Fault, Invalid, unknown_field, validated
from api.responses.answers import json_response, search_answer
from api.responses.problems import invalid
from shared.errors import EncoderBusy, QueryPictureFault
from shared.models.search import Ranking, SearchAnswer, SearchRequest, SimilarRequest, Text
from shared.search.service import SearchService

R = TypeVar("R", bound=Ranking)

_TEXT_PARAMETER: Final = "q"
_FILE_FIELD: Final = "image"

# What a field is called outside of a JSON document.
_NAMES_IN_URL: Final = {"text_query": _TEXT_PARAMETER}
_NAMES_IN_FORM: Final = {"image_base64": _FILE_FIELD}

_READING_SHARE: Final = 0.05
"""Of what a batch may cost to read: a search has few fields, however large its picture."""

_RANKING_FIELDS: Final = frozenset(Ranking.model_fields)
_IN_URL: Final = _RANKING_FIELDS | {_TEXT_PARAMETER}
_IN_SIMILAR: Final = _RANKING_FIELDS | {"product_id"}
_IN_FORM: Final = _RANKING_FIELDS | {"text_query", "image_url", "product_id"}


class WordSearch(SearchRequest):
    """A search by words alone."""

    text_query: Text


def _number(text: str) -> int | float:
    """As JSON would have it."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON knows no such number")
    return number


_READERS: Final[dict[str, Callable[[str], object]]] = {
    "top_k": int,
    "offset": int,
    "price_min": _number,
    "price_max": _number,
    "min_score": _number,
    "attributes": lambda text: from_json(text, allow_inf_nan=False),
}


class Searching:
    """Products found by words, by pictures and by other products."""

    def __init__(self, search: SearchService, pictures: WaitingRoom) -> None:
        """`pictures` bounds the searches by picture at one time, and so their memory."""
        self._search = search
        self._pictures = pictures

    def blueprint(self) -> Blueprint:
        """The routes."""
        blueprint = Blueprint("search", __name__)
        blueprint.post("/search")(self.post_search)
        blueprint.get("/search")(self.get_search)
        blueprint.get("/similar")(self.get_similar)
        return blueprint

    def post_search(self) -> Response:
        """A search as a JSON document, or as a form with a picture's file."""
        read_parameters(NoParameters, request)
        is_form = content_type(request, JSON, MULTIPART) == MULTIPART
        with self._picture_place() as take_place:
            body = read_body(
                request, MAX_PICTURE_SEARCH_BYTES, free=MAX_SEARCH_BYTES, admit=take_place
            )
            asked = _from_form(body) if is_form else _from_document(body)
            del body  # a picture is held once, not twice, while it is searched by
            if asked.has_picture:
                take_place()
            return self._answer(lambda: self._search.search(g.tenant, asked), is_form=is_form)

    def get_search(self) -> Response:
        """A search by words in a URL, its text as `q`."""
        check_once(request.args)
        data = _read(request.args, _IN_URL, _NAMES_IN_URL)
        if _TEXT_PARAMETER in data:
            data["text_query"] = data.pop(_TEXT_PARAMETER)
        asked = _valid(WordSearch, data, _NAMES_IN_URL)
        return self._answer(lambda: self._search.search(g.tenant, asked))

    def get_similar(self) -> Response:
        """What looks like a product."""
        check_once(request.args)
        asked = _valid(SimilarRequest, _read(request.args, _IN_SIMILAR, {}), {})
        return self._answer(lambda: self._search.similar(g.tenant, asked))

    def _answer(self, search: Callable[[], SearchAnswer], *, is_form: bool = False) -> Response:
        try:
            return json_response(search_answer(search()))
        except QueryPictureFault as err:
            if is_form and err.field in _NAMES_IN_FORM:
                raise QueryPictureFault(_NAMES_IN_FORM[err.field], err.fault) from err
            raise

    @contextlib.contextmanager
    def _picture_place(self) -> Iterator[Callable[[], None]]:
        """What takes a place for a picture when called, once, and keeps it to the end.

        It raises EncoderBusy where all are taken: waiting would keep threads from other searches.
        """
        with contextlib.ExitStack() as held:
            taken = False

            def take() -> None:
                nonlocal taken
                if not taken and not held.enter_context(self._pictures.place()):
                    raise EncoderBusy("too many searches by picture at once", 1.0)
                taken = True

            yield take


def _from_document(body: bytes) -> SearchRequest:
    if len(body) > MAX_SEARCH_BYTES and b"image_base64" not in body:
        raise too_large(MAX_SEARCH_BYTES)
    return _valid(SearchRequest, parse_json(body, share=_READING_SHARE), {})


def _from_form(body: bytes) -> SearchRequest:
    form = parse_form(request, body)
    unknown = [name for name in form.files if name != _FILE_FIELD]
    if unknown:
        raise invalid([_unknown(name, (_FILE_FIELD,), _NAMES_IN_FORM) for name in unknown])
    if _FILE_FIELD in form.texts:
        message = "must be a file, with a file name"
        raise invalid([Fault(field=_FILE_FIELD, code="file_missing", message=message)])
    data = _read(form.texts, _IN_FORM, _NAMES_IN_FORM)
    if _FILE_FIELD in form.files:
        data["image_base64"] = form.files[_FILE_FIELD]
    return _valid(SearchRequest, data, _NAMES_IN_FORM)


def _read(
    texts: Mapping[str, str], known: frozenset[str], names: Mapping[str, str]
) -> dict[str, Any]:
    """The fields as a JSON document would have them, so that all forms share cached answers.

    What can't be read so is left for the model to refuse. Raises a 422 problem for unknown names.
    """
    unknown = [name for name in texts if name not in known]
    if unknown:
        raise invalid([_unknown(name, known, names) for name in unknown[:MAX_FAULTS]])
    data: dict[str, Any] = {}
    for name, text in without_empty(texts, known).items():
        data[name] = text
        if read := _READERS.get(name):
            with contextlib.suppress(ValueError):
                data[name] = read(text)
    return data


def _unknown(name: str, known: Iterable[str], names: Mapping[str, str]) -> Fault:
    message = f"is called {names[name]} here" if name in names else unknown_field(name, known)
    return Fault(field=name[:200], code="extra_forbidden", message=message)


def _valid(model: type[R], data: object, names: Mapping[str, str]) -> R:
    """The data as a model. `names`: what fields are called where the data comes from."""
    try:
        return validated(model, data)
    except Invalid as err:
        faults = err.faults
        raise invalid(
            [{**fault, "field": names.get(fault["field"], fault["field"])} for fault in faults]
        ) from err
