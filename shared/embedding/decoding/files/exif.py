"""The orientation in an EXIF block, as browsers read it: nothing else of it is used."""

from collections.abc import Mapping
from typing import Final, Literal

_ORDERS: Final[Mapping[bytes, Literal["little", "big"]]] = {b"II*\0": "little", b"MM\0*": "big"}
_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_ENTRY_BYTES: Final = 12


def orientation(tiff: bytes) -> int:
    """1 … 8 of a block that begins with its byte order; 1 if it is broken or says nothing.

    Like Chromium it takes one unsigned SHORT of the first directory, and no other type.
    """
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    start = number(4, 4)
    for entry in range(number(start, 2)):
        at = start + 2 + entry * _ENTRY_BYTES
        if at + _ENTRY_BYTES > len(tiff):
            return 1
        if (number(at, 2), number(at + 2, 2), number(at + 4, 4)) == (_ORIENTATION, _SHORT, 1):
            value = number(at + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
