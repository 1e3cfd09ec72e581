"""Checks a request's path and query, which are percent-encoded UTF-8, before anything reads them.

Werkzeug replaces bytes of a path that are no UTF-8 by U+FFFD, and leaves those of a query escaped.
So a client that writes Latin-1 would delete another product than it names, or search for letters
and digits.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from flask import Request

from api.responses.problems import Problem

_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LIKE_JAVASCRIPTS_ESCAPE: Final = re.compile(r"%u[0-9A-Fa-f]{4}")


def check_target(request: Request) -> None:
    """Raises a 400 problem if the path or the query can't be read as its client meant it.

    Paths name the product to change, so a `%` without two hexadecimal digits is refused there. A
    client that sends one escapes nothing: its id `50%20off` would be read as `50 off`. In a query
    such a `%` stands for itself, because browsers send it so (`?q=100% wool`).
    """
    environ = request.environ
    # The servers' own decoding keeps bytes: each character stands for one.
    path: bytes = environ["PATH_INFO"].encode("latin-1")
    query: str = environ["QUERY_STRING"]
    as_sent = str(environ.get("RAW_URI", "")).partition("?")[0]
    if not (_is_utf8(path) and _is_utf8(unquote_to_bytes(query.encode("latin-1")))):
        raise Problem(
            400, "malformed", "the URL is not UTF-8; percent-encode its text as UTF-8 (é is %C3%A9)"
        )
    if "#" in as_sent:  # the server would drop it, and what stands behind it
        raise Problem(400, "malformed", "the URL holds a #; percent-encode it as %23")
    if _BROKEN.search(as_sent) or _LIKE_JAVASCRIPTS_ESCAPE.search(query):
        raise Problem(
            400,
            "malformed",
            "the URL holds a % that is followed by no two hexadecimal digits; percent-encode its "
            "text as UTF-8 (% is %25, é is %C3%A9)",
        )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
