"""Reading `multipart/form-data`: text fields and files of a body that is in memory already."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import Request
from werkzeug.formparser import FormDataParser

from api.parameters import check_once
from api.problems import Problem

MULTIPART: Final = "multipart/form-data"

_MAX_PARTS: Final = 32
"""More than a search has fields."""

_MAX_TEXT_BYTES: Final = 256 * 2**10
"""Of each text field; the parser, which reads 64 KiB at a time, needs some room besides."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields by name, each given once."""

    texts: Mapping[str, str]
    files: Mapping[str, bytes]


def parse_form(request: Request, body: bytes) -> Form:
    """The form in the request's body.

    Raises problems: 400 where it is none, 413 beyond the bounds, 422 for a field given twice.
    """
    parser = FormDataParser(
        # Werkzeug's own writes large files to the disk. These are bounded by the body.
        stream_factory=lambda **_: io.BytesIO(),  # type: ignore[arg-type]
        max_form_memory_size=_MAX_TEXT_BYTES,
        max_form_parts=_MAX_PARTS,
        silent=False,
    )
    try:
        _, texts, files = parser.parse(
            io.BytesIO(body), MULTIPART, len(body), request.mimetype_params
        )
    except ValueError as err:
        raise Problem(400, "malformed", "the body is not the form that its header says") from err
    if None in texts or None in files:  # a part without a name, whatever the parser's types say
        raise Problem(400, "malformed", "every part of the form needs a name")
    check_once(texts, files)
    return Form(texts.to_dict(), {name: file.read() for name, file in files.items()})
