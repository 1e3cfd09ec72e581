"""Reading `multipart/form-data`: text fields and files of a body that is in memory already."""

import io
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

from flask import Request
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.formparser import MultiPartParser

from api.requests.parameters import check_once
from api.responses.problems import Problem

MULTIPART: Final = "multipart/form-data"

_MAX_PARTS: Final = 256
"""More than a search has fields, and members of its lists."""

_MAX_TEXT_BYTES: Final = 256 * 2**10
"""Of each text field; the parser, which reads 64 KiB at a time, needs some room besides."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields by name: files once, texts once or as often as a list has members."""

    texts: MultiDict[str, str]
    files: Mapping[str, bytes]


def parse_form(request: Request, body: bytes, lists: Set[str] = frozenset()) -> Form:
    """The form in the request's body. `lists`: the fields that may be given several times.

    Raises problems: 400 if it is none, 413 beyond the bounds, 422 for another field given twice.
    """
    parser = _Parts(
        # Werkzeug's own writes large files to the disk. These are bounded by the body.
        stream_factory=lambda **_: io.BytesIO(),
        max_form_memory_size=_MAX_TEXT_BYTES,
        max_form_parts=_MAX_PARTS,
        cls=list,
    )
    try:
        boundary = request.mimetype_params["boundary"].encode("ascii")
        # Of class `list`, and so in the order of their parts.
        parsed: Any = parser.parse(io.BytesIO(body), boundary, len(body))
        pairs, files = parsed
    except (KeyError, ValueError) as err:
        raise Problem(400, "malformed", "the body is not the form that its header says") from err
    if any(name is None for name, _ in [*pairs, *files]):
        raise Problem(400, "malformed", "every part of the form needs a name")
    check_once(MultiDict(pairs), MultiDict(files), except_for=lists)
    return Form(
        MultiDict(
            (name, _decoded(name, text, charset))
            for (name, text), charset in zip(pairs, parser.charsets, strict=True)
        ),
        # Browsers send a file without a name if nobody chose one.
        {name: data for name, file in files if (data := file.read()) or file.filename},
    )


class _Parts(MultiPartParser):
    """Leaves the bytes of texts as they are: werkzeug puts U+FFFD for unreadable bytes."""

    def __init__(self, **bounds: Any) -> None:
        super().__init__(**bounds)
        self.charsets: list[str] = []
        """Of the texts, in their order."""

    def get_part_charset(self, headers: Headers) -> str:
        self.charsets.append(super().get_part_charset(headers))
        return "latin-1"


def _decoded(name: str, text: str, charset: str) -> str:
    try:
        return text.encode("latin-1").decode(charset).removeprefix("\ufeff")
    except UnicodeDecodeError as err:
        raise Problem(400, "malformed", f"the form's field {name[:200]} is not in UTF-8") from err
