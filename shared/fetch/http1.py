"""Reads answers of HTTP/1.1 as browsers do: a line that is malformed costs that line.

A connection serves another picture only if its answer left no doubt about its end. An answer that
is odd but can be read closes its connection, or else the next product might get this picture.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from shared.fetch.connections import Connection
from shared.fetch.faults import AnswerFault, AnswerTooLong, bad_answer

MAX_HEAD_BYTES: Final = 256 * 1024
MAX_HEAD_LINES: Final = 500
"""Both bound all heads of an answer together: its own and the interim ones before it."""

MAX_CHUNKS: Final = 100_000
"""A chunk costs 3 µs, however small it is."""

_MAX_CHUNK_LINE: Final = 64 * 1024

_STATUS: Final = re.compile(rb".{0,4}?(HTTP(?:/1\.1)?|ICY)\S*(?:\s+([0-9]+))?", re.IGNORECASE)
"""A few bytes of slop before it, no number behind it: browsers take that for 200."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH: Final = re.compile(r"\+?([0-9]{1,18})(?![0-9])")
_PLAIN_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,64})[ \t]*(?:;.*)?", re.DOTALL)
"""Some servers fill the number up with zeros. One that is too large ends with the answer's
bound."""
_HARMLESS_INTERIM: Final = frozenset({100, 102, 103})
_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


@dataclass(frozen=True, slots=True)
class Head:
    """An answer's status and fields, by lower-case names; `exact`: nothing in it was odd."""

    status: int
    fields: Mapping[str, Sequence[str]]
    exact: bool = True

    def get(self, name: str) -> str | None:
        """The first field of this name, as Latin-1."""
        return next(iter(self.fields.get(name, ())), None)

    def tokens(self, name: str) -> Sequence[str]:
        """The elements of a list, over all fields of this name, in lower case."""
        parts = (part for value in self.fields.get(name, ()) for part in value.split(","))
        return [token for part in parts if (token := part.strip().lower())]


class Answer:
    """A final answer on its connection: its head, and its body to be read once."""

    def __init__(self, connection: Connection) -> None:
        """Reads the head, and reads over interim ones. Raises item faults and AnswerTooLong."""
        self._connection = connection
        self.head = _final_head(connection)
        self.chunked = "chunked" in self.head.tokens("transfer-encoding")
        self.length = _length(self.head) if not self.chunked else None
        """The body's length in bytes; None if only its end tells."""
        self._ended = self.length == 0

    @property
    def may_be_kept(self) -> bool:
        """Whether the connection may serve another picture, now that this one has been read."""
        closing = "close" in self.head.tokens("connection")
        return self._ended and not closing and _is_plain(self.head)

    def body(self) -> Iterator[bytes]:
        """The body's bytes, without HTTP/1.1's wrapping. Raises as the head."""
        if self.chunked:
            yield from self._chunks()
        elif self.length is None:
            while data := self._connection.some(_MAX_CHUNK_LINE):
                yield data
            return
        else:
            yield from self._exactly(self.length)
        self._ended = True

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            data = self._connection.exactly(size)
            size -= len(data)
            yield data

    def _chunks(self) -> Iterator[bytes]:
        chunks = 0
        while size := self._chunk_size():
            chunks += 1
            if chunks > MAX_CHUNKS:
                raise bad_answer("The picture server's answer comes in too many chunks.")
            yield from self._exactly(size)
            if self._connection.line(_MAX_CHUNK_LINE):
                raise _bad_chunk()
        for _ in range(MAX_HEAD_LINES):
            if not self._connection.line(_MAX_CHUNK_LINE):
                return
        raise AnswerTooLong

    def _chunk_size(self) -> int:
        found = _CHUNK.fullmatch(self._connection.line(_MAX_CHUNK_LINE))
        if not found:
            raise _bad_chunk()
        return int(found[1], 16)


class _Lines:
    """The lines of an answer's heads, which share one bound of bytes and one of lines."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bytes, self._lines = MAX_HEAD_BYTES, MAX_HEAD_LINES

    def next(self) -> bytes:
        """Raises the fault of an answer with too many lines, or with a line too long."""
        line = self._connection.line(self._bytes)
        self._bytes -= len(line)
        # Browsers take a lone CR for the end of a line, too.
        self._lines -= 1 + line.count(b"\r")
        if self._lines < 0:
            raise bad_answer("The picture server's answer has too many header lines.")
        return line


def _final_head(connection: Connection) -> Head:
    lines, exact = _Lines(connection), True
    while True:
        head = _head(lines)
        if head.status >= HTTPStatus.OK:
            return replace(head, exact=head.exact and exact)
        if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise bad_answer("The picture server switched to a protocol that was not asked for.")
        framed = head.fields.keys() & {"content-length", "transfer-encoding", "connection"}
        exact = exact and head.exact and head.status in _HARMLESS_INTERIM and not framed


def _head(lines: _Lines) -> Head:
    status, exact = _status(lines)
    fields: dict[str, list[str]] = {}
    values: list[str] | None = None  # those of the last field; None if it was dropped
    while line := lines.next():
        if b"\r" in line or b"\0" in line:
            exact = False
            line = line.replace(b"\0", b"")
        for part in line.split(b"\r"):
            if part[:1] in (b" ", b"\t"):  # the line before goes on
                exact = False
                if values:
                    values[-1] += " " + part.decode("latin-1").strip(" \t")
                continue
            name, colon, value = part.partition(b":")
            stripped = name.rstrip(b" \t")
            if not colon or not _TOKEN.fullmatch(stripped):
                exact, values = False, None
                continue
            exact = exact and name == stripped
            values = fields.setdefault(stripped.decode("ascii").lower(), [])
            values.append(value.decode("latin-1").strip(" \t"))
    return Head(status, fields, exact)


def _status(lines: _Lines) -> tuple[int, bool]:
    exact = True
    line = lines.next()
    if not line:  # an empty line of the answer before it
        line, exact = lines.next(), False
    found = _STATUS.match(line)
    status = int(found[2] or b"200") if found and len(found[2] or b"200") == 3 else 0
    if not found or status < HTTPStatus.CONTINUE:
        raise bad_answer("The picture server's answer is no HTTP.")
    return status, exact and found[2] is not None and line.startswith(b"HTTP/1.1 ")


def _length(head: Head) -> int | None:
    """The body's length by the head; a number with something behind it counts as that number."""
    if head.status in _WITHOUT_BODY:
        return 0
    lengths = set(head.tokens("content-length"))
    if len(lengths) > 1:
        raise bad_answer("The picture server's answer gives two lengths.")
    found = _LENGTH.match(lengths.pop()) if lengths else None
    return int(found[1]) if found else None


def _is_plain(head: Head) -> bool:
    """Whether nobody could read the end of the answer otherwise than we do."""
    lengths = head.fields.get("content-length", ())
    codings = head.fields.get("transfer-encoding", ())
    if not head.exact or any(not _PLAIN_LENGTH.fullmatch(length) for length in lengths):
        return False
    if head.status in _WITHOUT_BODY:
        return head.status == HTTPStatus.NOT_MODIFIED and not codings
    if codings:
        return not lengths and [coding.lower() for coding in codings] == ["chunked"]
    return len(lengths) == 1


def _bad_chunk() -> AnswerFault:
    return bad_answer("The picture server's answer comes in chunks that can't be read.")
