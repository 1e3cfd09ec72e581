"""Reads request bodies, bounded in bytes whatever the transfer, and in the cost of their JSON."""

import codecs
import contextlib
import gc
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from flask import Request
from gunicorn.http.errors import ParseException
from pydantic_core import from_json

from api.responses.problems import Problem

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
MERGE_PATCH: Final = "application/merge-patch+json"

MALFORMED: Final = "malformed"
"""The code of a body that its Content-Type doesn't fit."""

MAX_BATCH_BYTES: Final = 32 * 2**20
MAX_PRODUCT_BYTES: Final = 2**20
MAX_SEARCH_BYTES: Final = 256 * 2**10
MAX_PICTURE_SEARCH_BYTES: Final = 15 * 2**20
"""10 MiB in base64 take 13.4; some writers of JSON escape each `+` or `/` besides."""

_CHUNK: Final = 64 * 2**10
_COLLECTOR: Final = threading.Lock()

_MAX_CONTAINERS: Final = 1_000_000
"""Brackets in a body. An empty JSON list takes 2 bytes to send and some 100 to hold, so bytes alone
do not bound memory; 10,000 products with 64 lists each stay below this."""

_MAX_KEYS: Final = 1_000_000
_MAX_VALUES: Final = 4_000_000
"""Colons and commas in one document, those of texts too. Reading JSON holds the interpreter to the
end: three million names in one object kept all other requests waiting for seconds. 10,000 products
with 64 attributes each have 740,000 names. Lines are read one by one, and need no such bound."""

_ADVICE: Final = {
    "hex escape": ". An escape such as \\ud83d is half of a character, most often of an emoji that "
    "was cut in two: shorten texts by whole characters",
    "unicode code point": ". This byte is no UTF-8: send the whole body in UTF-8, not in Latin-1 "
    "or another encoding (é is the two bytes C3 A9)",
    "control character": ". Write a line break in a text as \\n, a tab as \\t",
}
"""By words of the JSON reader's message."""

_MAX_MEMBERS: Final = 1000
"""Gzip streams one after the other in one body. Each costs a decompressor however short it is."""

# A client that still sends would not read an answer to a closed connection. So the rest of the body
# is thrown away first, within these bounds.
_DISCARD_BYTES: Final = 64 * 2**20
DISCARD_SECONDS: Final = 5.0


def content_type(request: Request, *accepted: str) -> str:
    """The body's media type, one of `accepted`. Raises a 415 problem."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in accepted or charset not in ("utf-8", "utf8"):
        raise Problem(
            415,
            "unsupported_media_type",
            f"Content-Type must be {' or '.join(accepted)} in UTF-8",
            headers={"Accept": ", ".join(accepted)},
        )
    return request.mimetype


def read_body(
    request: Request,
    limit: int,
    *,
    free: int | None = None,
    admit: Callable[[], None] | None = None,
) -> bytes:
    """The body, unpacked. Raises problems: 413 beyond `limit` bytes, 415, 400.

    `admit` is called once before more than `free` bytes are held, and may raise, because a large
    body needs a slot.
    """
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise Problem(
            415,
            "unsupported_content_encoding",
            "Content-Encoding must be gzip or absent",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    # Packed data may be a little longer than what it holds, never twice as long.
    if (request.content_length or 0) > limit * (1 if coding == "identity" else 2):
        discard(request)
        raise too_large(limit)
    chunks = _chunks(request.stream)
    if coding != "identity":
        chunks = _unpacked(chunks, limit)
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            discard(request)
            raise too_large(limit)
        if admit is not None and free is not None and size > free:
            _admit(admit, request)
            admit = None
        parts.append(chunk)
    return b"".join(parts)


def parse_json(body: bytes, *, share: float = 1.0) -> Any:
    """The JSON document. Raises a 400 problem; NaN, infinities and 200 levels are no JSON here,
    and a 413 problem beyond a `share` of the cost that a batch of products may have.
    """
    body = utf8(body)
    check_cost(body)
    names, values = int(_MAX_KEYS * share), int(_MAX_VALUES * share)
    if body.count(b":") > names or body.count(b",") > values:
        raise Problem(
            413,
            "too_many_values",
            f"the body holds more than {names:,} colons or {values:,} commas, those of texts "
            "included; send it in parts",
        )
    try:
        with _collector_at_rest() if len(body) > _CHUNK else contextlib.nullcontext():
            return from_json(body, allow_inf_nan=False)
    except ValueError as err:
        raise Problem(400, MALFORMED, f"the body is not JSON: {json_fault(err)}") from err


def json_fault(err: ValueError) -> str:
    """The reader's words and, for faults that many meet, advice."""
    advice = next((advice for words, advice in _ADVICE.items() if words in str(err)), "")
    return f"{err}{advice}"


def utf8(body: bytes) -> bytes:
    """The body without a byte order mark. Raises a 400 problem for one in UTF-16 or UTF-32."""
    # No JSON holds a NUL; these encodings have one in every ASCII character.
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in body[:4]:
        raise Problem(400, MALFORMED, "the body is in UTF-16 or UTF-32; send it in UTF-8")
    return body.removeprefix(codecs.BOM_UTF8)


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """A million lists set off the collector again and again, in the heap of a whole model (1.7 s).

    With the model's objects frozen (`gc.freeze`) they still took four times as long as this way.
    A body that is read holds no cycles. One at a time: nobody wakes it while another one reads, and
    reading holds the interpreter anyway.
    """
    with _COLLECTOR:
        gc.disable()
        try:
            yield
        finally:
            gc.enable()


def check_cost(body: bytes) -> None:
    """Raises a 413 problem for a body that would take far more memory than its bytes."""
    if body.count(b"{") + body.count(b"[") > _MAX_CONTAINERS:
        raise Problem(
            413, "too_many_items", f"the body holds more than {_MAX_CONTAINERS:,} brackets"
        )


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    try:
        while chunk := stream.read(_CHUNK):
            yield chunk
    except (OSError, ParseException) as err:
        # The connection broke, or the chunks of the transfer are none.
        raise Problem(400, "malformed", "the body could not be read to its end") from err


def _admit(admit: Callable[[], None], request: Request) -> None:
    try:
        admit()
    except Exception:
        discard(request)
        raise


def _unpacked(packed: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Unpacks gzip in pieces of bounded size, so that a bomb is noticed before it goes off."""
    unpacker, members, taken, started = _unpacker(), 1, 0, False
    try:
        for chunk in packed:
            taken += len(chunk)
            if taken > 2 * limit:
                raise too_large(limit)
            data = chunk
            while data:
                if unpacker.eof:
                    members += 1
                    if members > _MAX_MEMBERS:
                        raise Problem(400, "malformed", "the body has too many gzip members")
                    unpacker = _unpacker()
                started = True
                yield unpacker.decompress(data, _CHUNK)
                data = unpacker.unused_data or unpacker.unconsumed_tail
        while started and not unpacker.eof:
            rest = unpacker.decompress(unpacker.unconsumed_tail, _CHUNK)
            if not rest:
                raise Problem(400, "malformed", "the gzip body is cut short")
            yield rest
    except zlib.error as err:
        raise Problem(400, "malformed", "the body is not gzip, whatever its header says") from err


def _unpacker() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def discard(request: Request, seconds: float = DISCARD_SECONDS) -> None:
    """Throws away the rest of the body, within bounds."""
    deadline, size = time.monotonic() + seconds, 0
    # The client learns why its body was refused, not how its sending ended.
    with contextlib.suppress(Problem):
        for chunk in _chunks(request.stream):
            size += len(chunk)
            if size > _DISCARD_BYTES or time.monotonic() > deadline:
                return


def too_large(limit: int) -> Problem:
    """413: the body is longer than `limit` bytes."""
    return Problem(413, "body_too_large", f"the body must have at most {limit:,} bytes, unpacked")
