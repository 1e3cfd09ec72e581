"""What a request's target says, before anything is looked up by it: UTF-8, percent-encoded.

Werkzeug puts U+FFFD for what is no UTF-8 in a path, and leaves it escaped in a query: so a client
that writes Latin-1 would delete another product than it names, or search for letters and digits.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from flask import Request

from api.responses.problems import Problem

_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LIKE_JAVASCRIPTS_ESCAPE: Final = re.compile(r"%u[0-9A-Fa-f]{4}")


def check_target(request: Request) -> None:
    """Raises a 400 problem for a path or a query that can't be read as it was meant.

    A `%` that escapes nothing is refused in paths, which name what is to be changed: whoever does
    not escape it escapes nothing, and `50%20off` would be read as another id. In queries it stands
    for itself, as browsers send it (`?q=100% wool`).
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
