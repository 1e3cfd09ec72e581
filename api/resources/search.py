"""`POST /search`, `GET /search` and `GET /similar`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Final

from flask import Response, g, request
from pydantic import Field

from api.access.slots import Slots
from api.openapi.describe import Json, Operation, json_answer
from api.openapi.document import text_fields
from api.openapi.examples import LEFT_EMPTY, SEARCHES
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
from api.requests.parameters import NoParameters, lists, read_parameters, read_texts
from api.requests.validation import Fault, Invalid, unknown_field, validated
from api.responses.answers import json_response
from api.responses.problems import invalid
from api.responses.searches import SearchResultsAnswer, search_answer
from shared.errors import EncoderBusy, QueryPictureFault
from shared.models.search.answers import SearchAnswer
from shared.models.search.requests import Matching, Ranking, SearchRequest, SimilarRequest, Text
from shared.search.service import SearchService

_READING_SHARE: Final = 0.05
"""Share of the cost that a batch may have: a search has few fields, however large its picture."""

_PICTURE: Final = "image_base64"
_PICTURE_FILE: Final = "image"
"""In a form, a picture's file in the place of `_PICTURE`."""

_ANSWERS: Final[Mapping[int, Json]] = {
    200: json_answer("A page of the products.", SearchResultsAnswer)
}
_FORM: Final[Json] = {
    "schema": {
        "type": "object",
        "description": "The fields of the JSON document, `attributes` as JSON. A picture comes as "
        "the file `image` in the place of `image_base64`. An empty field is an absent one.",
        "properties": {
            _PICTURE_FILE: {
                "type": "string",
                "contentMediaType": "application/octet-stream",
                "description": "A picture's file of at most 10 MiB.",
            },
            **{
                name: {**schema, "examples": LEFT_EMPTY}
                for name, schema in text_fields(SearchRequest).items()
                if name != _PICTURE
            },
        },
        "additionalProperties": False,
    }
}


class WordSearch(Ranking):
    """A search by words in a URL, or browsing."""

    q: Annotated[Text | None, Field(examples=["red shirt"])] = None
    """The words: `text_query` of the POST. Without them, all products that meet the filters."""
    match: Matching = "auto"

    def as_request(self) -> SearchRequest:
        """The same search as a document would have it, so that both share cached answers. Raises
        `Invalid`."""
        ranking = {name: value for name, value in self if name != "q"}
        return validated(SearchRequest, {"text_query": self.q, **ranking})


class SearchResource:
    """Products found by words, by pictures and by other products."""

    def __init__(self, search: SearchService, pictures: Slots) -> None:
        """`pictures` bounds the searches by picture at one time, and so their memory."""
        self._search = search
        self._pictures = pictures

    @Operation(
        "POST",
        "/search",
        _ANSWERS,
        body={JSON: {"schema": SearchRequest, "examples": SEARCHES}, MULTIPART: _FORM},
        problems=(404,),
    )
    def search(self) -> Response:
        """Search by words, by a picture, by a product, or by a mix of them; or browse.

        Give `text_query`, `image_url`, `image_base64`, `product_id`, or several of them; several
        are mixed. Without any of them, all products that meet the filters are results. A form sends
        a picture as a file.
        """
        read_parameters(NoParameters, request)
        is_form = content_type(request, JSON, MULTIPART) == MULTIPART
        with self._picture_slot() as take_slot:
            body = read_body(
                request, MAX_PICTURE_SEARCH_BYTES, free=MAX_SEARCH_BYTES, admit=take_slot
            )
            query = _from_form(body) if is_form else _from_document(body)
            del body  # a picture is held once, not twice, while it is searched by
            if query.has_picture:
                take_slot()
            try:
                return _answer(self._search.search(g.tenant, query))
            except QueryPictureFault as err:
                if is_form and err.field == _PICTURE:
                    raise QueryPictureFault(_PICTURE_FILE, err.fault) from err
                raise

    @Operation("GET", "/search", _ANSWERS, WordSearch)
    def search_by_url(self) -> Response:
        """Search by words, in a URL, or browse.

        Answers as the POST does. An empty parameter is an absent one, and a list is a parameter
        that is given several times.
        """
        asked = read_parameters(WordSearch, request)
        try:
            query = asked.as_request()
        except Invalid as err:
            raise invalid(err.faults) from err
        return _answer(self._search.search(g.tenant, query))

    @Operation("GET", "/similar", _ANSWERS, SimilarRequest, problems=(404,))
    def find_similar(self) -> Response:
        """Find what looks like a product.

        The product itself and its group are left out.
        """
        query = read_parameters(SimilarRequest, request)
        return _answer(self._search.similar(g.tenant, query))

    @contextlib.contextmanager
    def _picture_slot(self) -> Iterator[Callable[[], None]]:
        """A call that takes a slot for a picture, once, and keeps it to the end.

        It raises `EncoderBusy` if all are taken: waiting would keep threads from other searches.
        """
        with contextlib.ExitStack() as held:
            taken = False

            def take() -> None:
                nonlocal taken
                if not taken and not held.enter_context(self._pictures.slot()):
                    raise EncoderBusy("too many searches by picture at once", 1.0)
                taken = True

            yield take


def _answer(found: SearchAnswer) -> Response:
    return json_response(search_answer(found))


def _from_document(body: bytes) -> SearchRequest:
    if len(body) > MAX_SEARCH_BYTES and _PICTURE.encode() not in body:
        raise too_large(MAX_SEARCH_BYTES)
    try:
        return validated(SearchRequest, parse_json(body, share=_READING_SHARE))
    except Invalid as err:
        raise invalid(err.faults) from err


def _from_form(body: bytes) -> SearchRequest:
    form = parse_form(request, body, lists(SearchRequest))
    if _PICTURE_FILE in form.texts:
        message = "must be a file, with a file name"
        raise invalid([Fault(field=_PICTURE_FILE, code="file_missing", message=message)])
    unknown = [name for name in form.files if name != _PICTURE_FILE]
    if _PICTURE in form.texts:
        unknown.append(_PICTURE)
    if unknown:
        raise invalid([unknown_field(name, (_PICTURE_FILE,)) for name in unknown])
    data = read_texts(SearchRequest, form.texts)
    if _PICTURE_FILE in form.files:
        data[_PICTURE] = form.files[_PICTURE_FILE]
    try:
        return validated(SearchRequest, data)
    except Invalid as err:
        for fault in err.faults:
            if fault["field"] == _PICTURE:
                fault["field"] = _PICTURE_FILE
        raise invalid(err.faults) from err
