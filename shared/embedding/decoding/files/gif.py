"""Ends a GIF before the first frame that would enlarge its canvas.

Pillow enlarges the canvas for each frame that it comes to, and sets aside a frame's memory when the
file is opened: how large they are must be known before.
"""

import struct

from shared.embedding.decoding.faults import too_many_parts
from shared.embedding.decoding.files.parts import FileParts
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.structure import MAX_FRAMES, MAX_READS

_IMAGE, _EXTENSION, _TRAILER, _COMMENT = 0x2C, 0x21, 0x3B, 0xFE
_SCREEN_BYTES, _BOX_BYTES = 13, 9


def parts(data: bytes) -> FileParts:
    """The file as far as its canvas stays as the first frame makes it, and that canvas.

    Blocks are found as Pillow finds them, which reads over any bytes between two. Raises
    `ItemPermanent` with `image_corrupt` for far too many blocks before the first frame's end.
    """
    if len(data) < _SCREEN_BYTES:
        return FileParts(data)
    canvas: tuple[int, int] = struct.unpack_from("<2H", data, 6)
    at, whole, frames, steps = _SCREEN_BYTES + _table_bytes(data[10]), 0, 0, 0
    while at < len(data) and data[at] != _TRAILER:
        mark, start = data[at], at
        at += 1
        if mark == _IMAGE and at + _BOX_BYTES <= len(data):
            left, top, width, height, flags = struct.unpack_from("<4HB", data, at)
            reached = max(canvas[0], left + width), max(canvas[1], top + height)
            if whole and reached != canvas:
                return FileParts(data[:start] + b";", canvas=canvas)
            canvas = reached
            at += _BOX_BYTES + _table_bytes(flags) + 1
        elif mark == _EXTENSION and at + 1 < len(data):
            # But for comments, Pillow looks for the end behind the first block, an empty one too.
            at += 1 if data[at] == _COMMENT else 2 + data[at + 1]
        while mark in {_IMAGE, _EXTENSION} and at < len(data) and data[at] and steps <= MAX_READS:
            at += 1 + data[at]
            steps += 1
        at += mark in {_IMAGE, _EXTENSION}
        steps += 1
        if steps > MAX_READS:
            if not whole:
                raise too_many_parts("parts", OpenedFormat.GIF)
            return FileParts(data[:whole] + b";", canvas=canvas)
        if mark == _IMAGE:
            whole, frames = at, frames + 1
            if frames == MAX_FRAMES:
                break
    return FileParts(data, canvas=canvas)


def _table_bytes(flags: int) -> int:
    """Of the palette that follows a head with these flags."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
