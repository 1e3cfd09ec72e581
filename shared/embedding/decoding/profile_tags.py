"""An ICC profile with the tags alone that a conversion from it to sRGB reads. Pure.

A profile of three kilobytes may name one element of a pipeline (`mpet`) or one table of colours
hundreds of thousands of times, and LittleCMS builds each. So it gets the tags alone that matrices,
curves and one table need, each of a type with a size that follows from its bytes.
"""

import struct
from typing import Final

_HEADER: Final = 128
_MAX_TAGS: Final = 100

_CURVES: Final = frozenset({b"curv", b"para"})
_TYPES: Final = {
    b"A2B0": frozenset({b"mft1", b"mft2", b"mAB "}),
    **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC", b"kTRC"), _CURVES),
    **dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), frozenset({b"XYZ "})),
    b"chad": frozenset({b"sf32"}),
}
"""By tag, the types of data that it may have (ICC.1:2022, chapters 9 and 10)."""


def necessary(profile: bytes) -> bytes | None:
    """The profile with these tags alone. None if its table of tags can't be read."""
    if len(profile) < _HEADER + 4:
        return None
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    if count > _MAX_TAGS or len(profile) < _HEADER + 4 + 12 * count:
        return None
    kept: dict[bytes, bytes] = {}
    for at in range(_HEADER + 4, _HEADER + 4 + 12 * count, 12):
        tag, offset, size = struct.unpack_from(">4sII", profile, at)
        data = profile[offset : offset + size]
        if tag in _TYPES and tag not in kept and len(data) == size and data[:4] in _TYPES[tag]:
            kept[tag] = data
    return _written(profile[:_HEADER], kept)


def _written(header: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body, at = b"", b"", _HEADER + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    # Without the digest of the whole, which fits no more.
    head = struct.pack(">I", at + len(body)) + header[4:84] + bytes(16) + header[100:]
    return head + struct.pack(">I", len(tags)) + table + body
