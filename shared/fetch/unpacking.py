"""Undoes content codings, piece by piece: what is unpacked is bounded like what is sent."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.faults import too_large

_UNPACKED_AT_ONCE: Final = 256 * 2**10
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32  # zlib's own sign for "find out which of the two"
_KNOWN: Final = frozenset({"gzip", "x-gzip", "deflate"})
_MOST_CODINGS: Final = 8


def unpacked(chunks: Iterable[bytes], codings: Sequence[str], max_bytes: int) -> Iterator[bytes]:
    """A body's pieces with its codings undone, the last one first; others than gzip and deflate
    change nothing, because stores send names there that are no codings (`aws-chunked`).

    We ask for none, but some stores keep pictures gzipped and send them so whatever is asked.
    Neither the bytes as sent nor those between two codings may be more than `max_bytes`.

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
    """`raw_too`: some send deflate without zlib's head, which begins with a byte of ?8."""
    unpacker = None
    try:
        for chunk in filter(None, chunks):
            if unpacker is None:
                raw = raw_too and chunk[0] & 0x0F != zlib.DEFLATED
                unpacker = zlib.decompressobj(-zlib.MAX_WBITS if raw else _GZIP_OR_ZLIB)
            packed = b"" if unpacker.eof else chunk
            while packed:
                yield unpacker.decompress(packed, _UNPACKED_AT_ONCE)
                packed = unpacker.unconsumed_tail
        if unpacker is not None:
            yield unpacker.flush()
    except zlib.error:
        raise _corrupt("can't be unpacked") from None
    if unpacker is None or not unpacker.eof:
        raise _corrupt("the end of it is missing")


def _corrupt(what: str) -> ItemPermanent:
    return ItemPermanent(ItemCode.IMAGE_CORRUPT, f"The picture was sent gzipped, but {what}.")
