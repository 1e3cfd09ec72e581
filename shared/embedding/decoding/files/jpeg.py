"""Takes a JPEG apart up to its pixels: tables and frame stay, metadata goes.

Segments are found as libjpeg finds them: bytes between two markers are skipped, and a segment with
a wrong length costs no more than itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.embedding.decoding.faults import too_many_parts
from shared.embedding.decoding.files.exif import orientation
from shared.embedding.decoding.files.parts import MAX_PROFILE_BYTES, FileParts
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.structure import (
    MAX_SCANS,
    MAX_SEGMENTS,
    SCANS_OF_THE_LARGEST,
)

_SOI, _EOI, _SOS, _DHT, _DAC, _DQT, _DRI = 0xD8, 0xD9, 0xDA, 0xC4, 0xCC, 0xDB, 0xDD
_APP0, _APP1, _APP2, _ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
_JFIF_BYTES, _ADOBE_BYTES = 14, 12  # Shorter ones libjpeg takes for something else.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, _DAC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_TABLES: Final = frozenset({_DHT, _DAC, _DQT, _DRI})
_WITHOUT_LENGTH: Final = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})
_ICC: Final = b"ICC_PROFILE\0"

# In a scan's data 0xFF is followed by 0, and restart markers belong to it.
_MARKER: Final = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_MARKER_IN_SCAN: Final = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_RESTARTS: Final = tuple(bytes((0xFF, number)) for number in range(0xD0, 0xD8))

_FORMS: Final = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "a lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA), "a JPEG with arithmetic coding"),
    0xF7: "a JPEG-LS",
}
_READ: Final = frozenset({_APP0, _APP1, _APP2, _ADOBE, *_FRAMES, *_FORMS})


class _Header:
    """The facts that stand before the first scan."""

    __slots__ = ("form", "kept", "orientation", "profile", "profile_parts")

    def __init__(self) -> None:
        self.kept: list[bytes | memoryview] = [b"\xff\xd8"]
        self.orientation: int | None = None
        self.profile: dict[int, bytes] = {}
        self.profile_parts = 0
        self.form: str | None = None


def parts(data: bytes) -> FileParts:
    """The file with its tables, its frame and all from the first scan on."""
    header, at, view = _Header(), 2, memoryview(data)
    search = _MARKER.search
    for _ in range(MAX_SEGMENTS):
        found = search(data, at)
        if found is None:
            break
        start, at = found.span()
        marker = data[at - 1]
        if marker == _SOS:
            header.kept.append(view[start:])
            profile = _profile(header) if header.profile else None
            return FileParts(b"".join(header.kept), header.orientation or 1, profile, header.form)
        if marker == _EOI:
            break
        if marker in _WITHOUT_LENGTH:
            continue
        at += max(2, data[at] << 8 | data[at + 1]) if at + 2 <= len(data) else 2
        if marker in _TABLES:
            header.kept.append(view[start:at])
        elif marker in _READ:
            _read(header, marker, data[start:at])
    else:
        raise too_many_parts("parts", OpenedFormat.JPEG)
    return FileParts(b"".join(header.kept), form=header.form)


def _read(header: _Header, marker: int, segment: bytes) -> None:
    body = segment[4:]
    if (marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= _JFIF_BYTES) or (
        marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= _ADOBE_BYTES
    ):
        header.kept.append(segment)
    elif marker in _FRAMES or marker in _FORMS:
        header.kept.append(segment)
        header.form = _form(marker, body)
    elif marker == _APP1 and body.startswith(b"Exif\0") and header.orientation is None:
        # The sixth byte is padding, and not always 0.
        header.orientation = orientation(body[6:])
    elif marker == _APP2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
        number, header.profile_parts = body[12], body[13]
        header.profile[number] = body[14:]


def _form(marker: int, frame: bytes) -> str | None:
    if marker in _FORMS:
        return _FORMS[marker]
    if frame and frame[0] != 8:
        return f"a JPEG of {frame[0]} bits a sample"
    if len(frame) > 5 and frame[5] not in {1, 3, 4}:
        return f"a JPEG of {frame[5]} colour channels"
    return None


def _profile(header: _Header) -> bytes | None:
    """The profile from its parts in their order; None if one is missing."""
    numbers = range(1, header.profile_parts + 1)
    if any(number not in header.profile for number in numbers):
        return None
    profile = b"".join(header.profile[number] for number in numbers)
    return profile if len(profile) <= MAX_PROFILE_BYTES else None


def scans(data: bytes) -> Iterator[tuple[int, int]]:
    """Start of each scan's marker and of the marker behind its data; the latter is the file's
    length for one that is cut short.

    Tables between scans are no scans, even if they hold such markers. Raises `ItemPermanent` with
    `image_corrupt` for far too many markers.
    """
    at = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER_IN_SCAN.search(data, at)
        if found is None or found[1][0] == _EOI:
            return
        marker, at = found[1][0], found.end()
        if marker not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2])
        if marker == _SOS:
            behind = _MARKER_IN_SCAN.search(data, at)
            yield found.start(), behind.start() if behind else len(data)
    raise too_many_parts("parts", OpenedFormat.JPEG)


def check_scans(data: bytes, pixels: int, max_pixels: int) -> None:
    """Raises `ItemPermanent` with `image_corrupt` for a JPEG of too many scans.

    A picture of `max_pixels` may have `SCANS_OF_THE_LARGEST`. A smaller one may have more, as long
    as its scans go over no more `pixels` in all, but never more than `MAX_SCANS`.
    """
    most = min(MAX_SCANS, SCANS_OF_THE_LARGEST * max_pixels // max(1, pixels))
    # In some files these two bytes stand behind the end or in tables, too: only if there are many
    # of them is it worth finding out what they are.
    if data.count(b"\xff\xda") <= most:
        return
    for number, _ in enumerate(scans(data), 1):
        if number > most:
            raise too_many_parts("scans", OpenedFormat.JPEG)


def held_bytes(data: bytes) -> int:
    """Memory of a picture's coefficients if the decoder holds them all in spite of its scaling: the
    file is progressive, or its first scan has not all of the colours. Else 0.

    `data` is as `parts` returns it.
    """
    frame, _ = _frame(data)
    scan = next(scans(data), None)
    if frame is None or scan is None:
        return 0
    one_pass = data[scan[0] + 4 : scan[0] + 5] == bytes([len(frame.components)])
    return frame.coefficient_bytes() if frame.progressive or not one_pass else 0


def lacks_only_its_end(data: bytes) -> bool:
    """Whether the file has no end, but all of its scans, begun at least.

    `data` is as `parts` returns it. Whether the last scan is whole its decoder must tell.
    """
    frame, interval = _frame(data)
    if frame is None:
        return False
    missing = {component: set(range(64)) for component in frame.components}
    last = None
    for start, end in scans(data):
        if _ended(data, end):
            return False
        last = start, end
        header = data[start + 4 : start + 4 + int.from_bytes(data[start + 2 : start + 4]) - 2]
        count = header[0] if header else 0
        if len(header) < 4 + 2 * count:
            return False
        first, final, low = header[1 + 2 * count], header[2 + 2 * count], header[3 + 2 * count] & 15
        for place in range(count):
            if low == 0 and (known := missing.get(header[1 + 2 * place])) is not None:
                known.difference_update(range(first, final + 1))
    if last is None or any(missing.values()):
        return False
    return not interval or _restarts(data, last) + 1 >= frame.intervals(data, last[0], interval)


def _ended(data: bytes, at: int) -> bool:
    return data[at : at + 2] == b"\xff\xd9"


def _restarts(data: bytes, scan: tuple[int, int]) -> int:
    return sum(data.count(marker, *scan) for marker in _RESTARTS)


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    progressive: bool
    components: dict[int, tuple[int, int]]
    """Horizontal and vertical sampling of each component by its id."""

    def coefficient_bytes(self) -> int:
        """Two for each of a block's 64 coefficients; blocks fill up the largest sampling's."""
        across = max(h for h, _ in self.components.values())
        down = max(v for _, v in self.components.values())
        blocks = sum(h * v for h, v in self.components.values())
        return _ceil(self.width, 8 * across) * _ceil(self.height, 8 * down) * blocks * 128

    def intervals(self, data: bytes, scan: int, interval: int) -> int:
        """Restart intervals in a scan: an interleaved one counts blocks of all its components."""
        across = max(h for h, _ in self.components.values())
        down = max(v for _, v in self.components.values())
        if data[scan + 4] > 1:
            wide, high = _ceil(self.width, 8 * across), _ceil(self.height, 8 * down)
        else:
            h, v = self.components.get(data[scan + 5], (1, 1))
            wide = _ceil(_ceil(self.width * h, across), 8)
            high = _ceil(_ceil(self.height * v, down), 8)
        return _ceil(wide * high, interval)


def _ceil(whole: int, part: int) -> int:
    return (whole + part - 1) // part


def _frame(data: bytes) -> tuple[_Frame | None, int]:
    """The frame's header and the restart interval, 0 for none."""
    frame, interval, at = None, 0, 2
    while (found := _MARKER.search(data, at)) is not None and found[1][0] != _SOS:
        marker, at = found[1][0], found.end()
        length = int.from_bytes(data[at : at + 2])
        body = data[at + 2 : at + length]
        if marker == _DRI and len(body) >= 2:
            interval = int.from_bytes(body[:2])
        elif marker in _FRAMES and len(body) >= 6 and len(body) >= 6 + 3 * body[5]:
            layers = (body[6 + 3 * place : 9 + 3 * place] for place in range(body[5]))
            sampling = {one[0]: (max(1, one[1] >> 4), max(1, one[1] & 15)) for one in layers}
            if sampling:
                width, height = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
                frame = _Frame(width, height, marker in _PROGRESSIVE, sampling)
        at += length
    return frame, interval
