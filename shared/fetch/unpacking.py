"""Undoes content codings, piece by piece. Unpacked bytes are bounded like those that are sent.

Deflate is unpacked bare, as browsers do: nobody looks at the checksums and lengths behind it. Some
servers write them for another body, or cut them off. A picture's decoder tells whether all of it
came.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.faults import too_large

_UNPACKED_AT_ONCE: Final = 256 * 2**10
_KNOWN: Final = frozenset({"gzip", "x-gzip", "deflate"})
_MOST_CODINGS: Final = 8

_GZIP: Final = b"\x1f\x8b"
_MAX_HEAD_BYTES: Final = 8 * 2**10
_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
"""Flags of gzip's head: which fields it has (RFC 1952)."""


def unpacked(chunks: Iterable[bytes], codings: Sequence[str], max_bytes: int) -> Iterator[bytes]:
    """A body's pieces with its codings undone, the last one first. Codings other than gzip and
    deflate change nothing, because stores send names that are no codings (`aws-chunked`).

    We ask for none, but some stores keep pictures gzipped and send them so in any case.
    Neither the bytes as sent nor those between two codings may be more than `max_bytes`. A packed
    body that is cut short is unpacked as far as it goes.

    Raises `ItemPermanent`: `image_too_large`, and `image_corrupt` if it can't be unpacked.
    """
    pieces = _bounded(chunks, max_bytes)
    known = [coding for coding in codings if coding in _KNOWN]
    if len(known) > _MOST_CODINGS:
        raise _corrupt("can't be unpacked")
    for coding in reversed(known):
        pieces = _bounded(_inflated(pieces, raw_too=coding == "deflate"), max_bytes)
    return pieces


def _bounded(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise too_large(max_bytes)
        yield chunk


def _inflated(chunks: Iterable[bytes], raw_too: bool) -> Iterator[bytes]:
    """`raw_too`: some servers send deflate without any head."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    packed, begun = b"", False
    try:
        for chunk in chunks:
            packed += chunk
            if not begun:
                head = _head_bytes(packed, raw_too)
                if head is None:
                    continue
                packed, begun = packed[head:], True
            while packed and not unpacker.eof:
                yield unpacker.decompress(packed, _UNPACKED_AT_ONCE)
                packed = unpacker.unconsumed_tail
            packed = b""
        yield unpacker.flush()
    except zlib.error:
        raise _corrupt("can't be unpacked") from None
    if not begun:
        raise _corrupt("the end of it is missing")


def _head_bytes(data: bytes, raw_too: bool) -> int | None:
    """Bytes of the head before the deflated ones, which is gzip's, zlib's or empty; None if more of
    `data` must be known. Raises `ItemPermanent` with `image_corrupt` if the head is of no kind.
    """
    if len(data) < 2:
        return None
    if data.startswith(_GZIP):
        return _gzip_head_bytes(data)
    if data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0:
        return 2
    if raw_too:
        return 0
    raise _corrupt("can't be unpacked")


def _gzip_head_bytes(data: bytes) -> int | None:
    flags, at = int.from_bytes(data[3:4]), 10
    if flags & _EXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for field in (_NAME, _COMMENT):
        if flags & field:
            end = data.find(b"\0", at)
            at = end + 1 if end >= 0 else len(data) + 1
    if flags & _CHECKSUM:
        at += 2
    if at <= len(data):
        return at
    if len(data) > _MAX_HEAD_BYTES:
        raise _corrupt("can't be unpacked")
    return None


def _corrupt(what: str) -> ItemPermanent:
    return ItemPermanent(ItemCode.IMAGE_CORRUPT, f"The picture was sent gzipped, but {what}.")
