"""Takes a WebP apart: pixels, transparency and frames stay, metadata goes."""

import struct
from typing import Final

from shared.embedding.decoding.faults import too_many_parts
from shared.embedding.decoding.files.parts import MAX_PROFILE_BYTES, FileParts
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.structure import MAX_SEGMENTS

_EXTENDED: Final = b"VP8X"
_STILL: Final = frozenset({b"VP8 ", b"VP8L"})
_PIXELS: Final = _STILL | {b"ALPH", b"ANIM", b"ANMF"}
_METADATA_FLAGS: Final = 0x20 | 0x08 | 0x04  # profile, EXIF, XMP


def parts(data: bytes) -> FileParts:
    """The file with the chunks that pixels need, its sizes as they are.

    Browsers turn no WebP by its EXIF. Raises `ItemPermanent` with `image_corrupt` for far too many
    chunks.
    """
    view, at = memoryview(data), 12
    kept: list[bytes | memoryview] = []
    profile: bytes | None = None
    extended = False
    for _ in range(MAX_SEGMENTS):
        name, length = bytes(view[at : at + 4]), int.from_bytes(view[at + 4 : at + 8], "little")
        body = view[at + 8 : at + 8 + length]
        if len(name) < 4:
            break
        if name == _EXTENDED and not kept:
            extended = len(body) >= 10
            head = bytes([body[0] & ~_METADATA_FLAGS]) + bytes(body[1:10]) if extended else body
            kept += [name, struct.pack("<I", len(head)), head, bytes(len(head) % 2)]
        elif name in _PIXELS:
            # A length that reaches beyond the file stays: its pixels are cut short.
            kept += [view[at : at + 8], body, bytes(length % 2)]
            if name in _STILL and not extended:
                break
        elif name == b"ICCP" and profile is None and length <= MAX_PROFILE_BYTES:
            profile = bytes(body)
        at += 8 + length + length % 2
    else:
        raise too_many_parts("parts", OpenedFormat.WEBP)
    size = 4 + sum(map(len, kept))
    return FileParts(b"".join((b"RIFF", struct.pack("<I", size), b"WEBP", *kept)), 1, profile)
