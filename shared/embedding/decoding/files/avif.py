"""Hides an AVIF's EXIF from its decoder, and finds what memory its frames take.

Browsers turn an AVIF by its own boxes alone. The sizes in these boxes bind no decoder, so the
streams are found, and their headers say how large their frames are.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from typing import Final

from shared.embedding.decoding.faults import corrupt, too_many_parts
from shared.embedding.decoding.files.av1 import Frames, decoded
from shared.embedding.decoding.files.boxes import Box, Reader
from shared.embedding.decoding.files.parts import FileParts
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.structure import MAX_FRAMES

_TO_THE_TABLES: Final = frozenset({b"mdia", b"minf", b"stbl"})
_TABLES: Final = frozenset({b"stsz", b"stsc", b"stco", b"co64"})

_Places = tuple[tuple[int, int], ...]
"""Offsets in the file, and lengths in bytes."""


def parts(data: bytes) -> FileParts:
    """The file with its EXIF marked as something else; all lengths stay.

    The decoder reads the orientation from the file's own boxes (`irot`, `imir`). Raises
    `ItemPermanent` with `image_corrupt` if no frame is found, or far too many parts.
    """
    file = _File(data)
    still: list[Frames] = []
    tracks: list[Sequence[Frames]] = []
    exif: list[int] = []
    for box in file.boxes(0, len(data)):
        if box.name == b"meta":
            items, types = file.items(box)
            still += map(file.still, items)
            exif += types
        elif box.name == b"moov":
            inside = file.boxes(box.start, box.end)
            tracks += [file.moving(track) for track in inside if track.name == b"trak"]
    shown = [[one for one in frames if one] for frames in zip_longest(*tracks)] or [[]]
    taken = [sum(one.memory for one in frames) for frames in shown]
    taken[0] = max(taken[0], sum(one.memory for one in still))
    if not taken[0]:
        raise corrupt(OpenedFormat.AVIF)
    pixels = max(one.pixels for frames in (still, *tracks) for one in frames)
    if exif:
        hidden = bytearray(data)
        for at in exif:
            hidden[at : at + 4] = b"free"
        data = bytes(hidden)
    return FileParts(data, None, frame_bytes=taken, frame_pixels=pixels)


class _File(Reader):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        # A still picture may be the first frame of a track, too.
        self._unread = 2 * len(data)
        self._known: dict[_Places, Frames] = {}

    def items(self, meta: Box) -> tuple[Sequence[_Places], Sequence[int]]:
        """The places of the AV1 items, and of the types of EXIF items."""
        inside = {box.name: box for box in self.boxes(meta.start + 4, meta.end)}
        coded: set[int] = set()
        exif: list[int] = []
        if (infos := inside.get(b"iinf")) is not None:
            head = 8 if self.number(infos.start, 1) else 6
            for info in self.boxes(infos.start + head, infos.end):
                size = 4 if self.number(info.start, 1) > 2 else 2
                at = info.start + 4 + size + 2
                kind = self.data[at : at + 4]
                if kind == b"av01":
                    coded.add(self.number(info.start + 4, size))
                elif kind == b"Exif":
                    exif.append(at)
        place, own = inside.get(b"iloc"), inside.get(b"idat")
        if place is None:
            return (), exif
        located = self._located(place, own.start if own else 0)
        return [places for item, places in located if item in coded], exif

    def _located(self, box: Box, own: int) -> Iterator[tuple[int, _Places]]:
        """All items and their places; `own` is the begin of the box's own data."""
        version, at = self.number(box.start, 1), box.start + 4

        def number(size: int) -> int:
            nonlocal at
            at += size
            return self.number(at - size, size)

        sizes = number(2)
        offset_size, length_size = sizes >> 12, sizes >> 8 & 15
        base_size, index_size = sizes >> 4 & 15, sizes & 15 if version else 0
        id_size = 4 if version > 1 else 2
        for _ in range(number(id_size)):
            self.step()
            item = number(id_size)
            inside = version > 0 and number(2) & 15 == 1
            number(2)
            base = number(base_size) + (own if inside else 0)
            places = []
            for _ in range(number(2)):
                self.step()
                number(index_size)
                places.append((base + number(offset_size), number(length_size)))
            yield item, tuple(places)

    def still(self, places: _Places) -> Frames:
        """The decoded size of a still picture's item. Several items may lie at the same places."""
        if places not in self._known:
            (self._known[places],) = decoded([self._bytes(places)], self.step)
        return self._known[places]

    def moving(self, track: Box) -> Sequence[Frames]:
        """The decoded sizes of a track's first samples."""
        places = islice(self._samples(list(self._tables(track))), MAX_FRAMES)
        return list(decoded((self._bytes((place,)) for place in places), self.step))

    def _tables(self, box: Box) -> Iterator[tuple[bytes, int]]:
        """The tables of the samples' places: their names, and the begin of their numbers."""
        for inner in self.boxes(box.start, box.end):
            if inner.name in _TO_THE_TABLES:
                yield from self._tables(inner)
            elif inner.name in _TABLES:
                yield inner.name, inner.start + 4

    def _samples(self, found: Sequence[tuple[bytes, int]]) -> Iterator[tuple[int, int]]:
        """Places of the samples; none if a table is missing, or is there twice."""
        tables = dict(found)
        sizes, runs = tables.get(b"stsz"), tables.get(b"stsc")
        chunks = tables.get(b"co64", tables.get(b"stco"))
        if sizes is None or runs is None or chunks is None or len(found) != 3:
            return
        size = 8 if b"co64" in tables else 4
        common, place = self.number(sizes, 4), sizes + 8
        run, in_chunk = -1, 0
        for chunk in range(self.number(chunks, 4)):
            self.step()
            at = self.number(chunks + 4 + size * chunk, size)
            while run + 1 < self.number(runs, 4):
                first = self.number(runs + 4 + 12 * (run + 1), 4)
                if first > chunk + 1:
                    break
                self.step()
                run += 1
                in_chunk = self.number(runs + 8 + 12 * run, 4)
            for _ in range(in_chunk):
                length = common or self.number(place, 4)
                yield at, length
                at, place = at + length, place + 4

    def _bytes(self, places: _Places) -> bytes:
        end = len(self.data)
        self._unread -= sum(min(length, max(0, end - at)) for at, length in places)
        if self._unread < 0:
            raise too_many_parts("parts", OpenedFormat.AVIF)
        return b"".join(self.data[at : at + length] for at, length in places)
