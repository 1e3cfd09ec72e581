"""Takes a PNG apart: header, palette, transparency, pixels and frames stay, the rest goes."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.embedding.decoding.faults import too_many_parts
from shared.embedding.decoding.files.exif import orientation
from shared.embedding.decoding.files.parts import MAX_PROFILE_BYTES, FileParts, is_profile
from shared.embedding.decoding.files.profiles import of_code_points, of_gamma
from shared.embedding.decoding.formats import OpenedFormat
from shared.embedding.decoding.structure import MAX_SEGMENTS

_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_BLOCK: Final = 1 << 20
_PASSES: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Of an interlaced PNG: first column and row, and steps."""

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS: Final = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
"""Bits of a sample by the kind of colour."""
_TRANSPARENT_BYTES: Final = {0: 2, 2: 6}
_COLOURED: Final = frozenset({b"\2", b"\6"})
"""Kinds of colour that take six or eight bytes a pixel with 16 bits. A filter takes 5 ns a byte."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    name: bytes
    body: memoryview
    sound: bool
    """Whether its checksum is right; of pixels it isn't looked at, as Pillow doesn't."""


@dataclass(slots=True)
class _Found:
    header: _Chunk | None = None
    palette: _Chunk | None = None
    transparency: bytes | None = None
    pixels: list[memoryview] = field(default_factory=list)
    animation: list[_Chunk] = field(default_factory=list)
    frames_before_pixels: int = 0
    about: dict[bytes, bytes] = field(default_factory=dict)


def parts(data: bytes) -> FileParts:
    """The file with the chunks that pixels need. All of its pixels are in one chunk, and its frames
    as they are. Raises `ItemPermanent` with `image_corrupt` for far too many chunks.
    """
    found = _Found()
    for chunk in _chunks(data):
        _sort(found, chunk)
    form = "a PNG of Apple's own kind" if data[12:16] == b"CgBI" else None
    if found.header is None:
        return FileParts(data, form=form)
    head = bytes(found.header.body)
    pieces: list[bytes | memoryview] = [_MAGIC, _written(found.header)]
    animation = found.animation if _is_animated(found.animation, head) else []
    before = found.frames_before_pixels if animation else 0
    if before == 1:
        # The still picture is for programs without animations; browsers show the first frame.
        animation, before, found.pixels = [], 0, _first_frame(animation, head) or found.pixels
    if animation:
        pieces += map(_written, animation[:before])
    if found.palette is not None:
        pieces.append(_written(found.palette))
    elif head[9:10] == b"\3":
        return FileParts(b"".join(pieces), form=form)
    if (transparency := _transparency(head, found.transparency)) is not None:
        pieces.append(_chunk(b"tRNS", transparency))
    # Nobody looks at the checksum of pixels: it would take longer than all the rest here.
    length = sum(map(len, found.pixels))
    pieces += [struct.pack(">I", length), b"IDAT", *found.pixels, bytes(4)]
    if animation:
        pieces += map(_written, animation[before:])
    pieces.append(_chunk(b"IEND", b""))
    turn = orientation(found.about.get(b"eXIf", b""))
    weight = 2 if head[8:9] == b"\x10" and head[9:10] in _COLOURED else 1
    return FileParts(b"".join(pieces), turn, _profile(found.about), form, weight=weight)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """All chunks up to the end or to bytes that are none; the last one may be cut short."""
    view, at = memoryview(data), len(_MAGIC)
    for _ in range(MAX_SEGMENTS):
        length, name = int.from_bytes(view[at : at + 4]), bytes(view[at + 4 : at + 8])
        if len(name) < 4 or not name.isalpha() or name == b"IEND":
            return
        end = at + 8 + length
        body, crc = view[at + 8 : end], view[end : end + 4]
        # Nobody needs to know it of pixels, nor of chunks that aren't used.
        looked_at = name in _LOOKED_AT
        sound = not looked_at or zlib.crc32(body, zlib.crc32(name)) == int.from_bytes(crc)
        yield _Chunk(name, body, sound and (name == b"IDAT" or len(body) == length))
        at = end + 4
    raise too_many_parts("parts", OpenedFormat.PNG)


_COLOURS: Final = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP")
_ANIMATION: Final = (b"acTL", b"fcTL", b"fdAT")
_LOOKED_AT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", *_COLOURS, *_ANIMATION})


def _sort(found: _Found, chunk: _Chunk) -> None:
    """The first of two chunks of a name counts, as in browsers; behind the pixels none does."""
    name = chunk.name
    if name == b"IHDR":
        found.header = found.header or chunk
    elif name == b"PLTE":
        found.palette = found.palette or chunk
    elif name == b"IDAT":
        if not found.pixels:
            found.frames_before_pixels = len(found.animation)
        found.pixels.append(chunk.body)
    elif name in _ANIMATION:
        found.animation.append(chunk)
    elif chunk.sound and not found.pixels:
        if name == b"tRNS":
            found.transparency = found.transparency or bytes(chunk.body)
        elif name in _LOOKED_AT:
            found.about.setdefault(name, bytes(chunk.body))


def _transparency(head: bytes, body: bytes | None) -> bytes | None:
    """The chunk as far as it belongs to a picture of this kind; else there is none."""
    if body is None or len(head) < 13:
        return None
    kind = head[9]
    if kind == 3:
        return body[:256] or None
    size = _TRANSPARENT_BYTES.get(kind)
    return body[:size] if size and len(body) >= size else None


def _is_animated(animation: list[_Chunk], head: bytes) -> bool:
    """Whether frames are numbered and sized as they must be: else the still picture is shown."""
    if len(animation) < 3 or animation[0].name != b"acTL" or len(animation[0].body) < 8:
        return False
    if not 0 < int.from_bytes(animation[0].body[:4]) <= 1 << 31:
        return False
    numbered = animation[1:]
    return numbered[0].name == b"fcTL" and all(
        chunk.sound
        and chunk.name != b"acTL"
        and len(chunk.body) >= (26 if chunk.name == b"fcTL" else 5)
        and int.from_bytes(chunk.body[:4]) == number
        and (chunk.name != b"fcTL" or _lies_within(chunk.body, head))
        for number, chunk in enumerate(numbered)
    )


def _lies_within(frame: memoryview, head: bytes) -> bool:
    """Whether a frame, by its chunk, reaches over no edge of the canvas."""
    width, height, left, top = (int.from_bytes(frame[at : at + 4]) for at in range(4, 20, 4))
    return left + width <= int.from_bytes(head[:4]) and top + height <= int.from_bytes(head[4:8])


def _first_frame(animation: list[_Chunk], head: bytes) -> list[memoryview]:
    """The pixels of the first frame, if it fills the canvas; of an animation that begins behind the
    still picture.
    """
    if bytes(animation[1].body[4:12]) != head[:8] or any(animation[1].body[12:20]):
        return []
    pixels = []
    for chunk in animation[2:]:
        if chunk.name != b"fdAT":
            break
        pixels.append(chunk.body[4:])
    return pixels


def _profile(about: dict[bytes, bytes]) -> bytes | None:
    """The colours' profile. If several chunks tell it, browsers' choice among them counts."""
    code = about.get(b"cICP", b"")
    if len(code) == 4 and code[2:] == b"\0\1":  # RGB of full range
        return of_code_points(code[0], code[1])
    if (profile := _unpacked(about.get(b"iCCP", b""))) is not None:
        return profile
    if b"sRGB" in about or len(about.get(b"gAMA", b"")) != 4:
        return None
    primaries = about.get(b"cHRM", b"")
    numbers = struct.unpack(">8I", primaries) if len(primaries) == 32 else None
    return of_gamma(int.from_bytes(about[b"gAMA"]), numbers)


def _unpacked(body: bytes) -> bytes | None:
    """The profile in a chunk; None if it is broken or larger than any in use."""
    _, _, rest = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof and is_profile(profile) else None


def cut_behind_its_pixels(data: bytes) -> bytes | None:
    """`data`, as `parts` returns it, without whatever stands behind the last pixel in its packed
    stream: a wrong checksum, say. None if a pixel is missing, or if the header is not sound.

    Block by block: not more than 1 MiB of pixels is held at once. It unpacks as much as the header
    claims, so that must be known to be little enough.
    """
    chunks: dict[bytes, bytes] = {}
    for chunk in _chunks(data):
        if not chunk.sound:
            return None
        chunks[chunk.name] = bytes(chunk.body)
    left = _pixel_bytes(chunks.get(b"IHDR", b""))
    packed = chunks.get(b"IDAT", b"")
    if left is None:
        return None
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    rest = packed[2:]
    while left:
        try:
            block = unpacker.decompress(rest, min(left, _BLOCK))
        except zlib.error:
            return None
        if not block:
            return None
        rest = unpacker.unconsumed_tail
        left -= len(block)
    chunks[b"IDAT"] = packed[: len(packed) - len(rest) - len(unpacker.unused_data)]
    still = (_chunk(name, body) for name, body in chunks.items() if name not in _ANIMATION)
    return b"".join((_MAGIC, *still, _chunk(b"IEND", b"")))


def _pixel_bytes(head: bytes) -> int | None:
    """Bytes of all rows with their filters' numbers, unpacked; None for no sound header."""
    if len(head) != 13:
        return None
    width, height, depth, kind, packing, filters, interlace = struct.unpack(">IIBBBBB", head)
    if depth not in _DEPTHS.get(kind, ()) or packing or filters or interlace > 1:
        return None
    bits = depth * _CHANNELS[kind]
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    total = 0
    for column, row, across, down in passes:
        wide, high = -((column - width) // across), -((row - height) // down)
        if wide > 0 and high > 0:
            total += high * (1 + -(-wide * bits // 8))
    return total


def _written(chunk: _Chunk) -> bytes:
    """As it was: a header or palette with a wrong checksum stays wrong, and is refused."""
    if chunk.sound:
        return _chunk(chunk.name, chunk.body)
    return struct.pack(">I", len(chunk.body)) + chunk.name + bytes(chunk.body) + b"\0\0\0\0"


def _chunk(name: bytes, body: bytes | memoryview) -> bytes:
    crc = zlib.crc32(body, zlib.crc32(name))
    return b"".join((struct.pack(">I", len(body)), name, body, struct.pack(">I", crc)))
