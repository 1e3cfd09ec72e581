"""Real picture files taken apart and put together again, damaged or oddly made."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image

from tests.unit.embedding.drawn import saved, scene

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
Chunk = tuple[bytes, bytes]


def png_chunk(name: bytes, body: bytes = b"", *, bad_crc: bool = False) -> bytes:
    """One chunk, its checksum right or wrong."""
    crc = zlib.crc32(name + body) ^ bad_crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """Names and bodies of a sound PNG's chunks."""
    at = len(PNG_MAGIC)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def png_of(chunks: Iterable[Chunk | bytes]) -> bytes:
    """A PNG of chunks, or of bytes that are written as they are."""
    return PNG_MAGIC + b"".join(
        part if isinstance(part, bytes) else png_chunk(*part) for part in chunks
    )


def png_with(extra: bytes, *, before: bytes = b"IDAT", picture: Image.Image | None = None) -> bytes:
    """A PNG with bytes put in before the first chunk of that name, or behind all."""
    parts: list[bytes] = []
    done = False
    for name, body in png_chunks(saved(picture or scene(), "PNG")):
        if name == before and not done:
            parts.append(extra)
            done = True
        parts.append(png_chunk(name, body))
    return png_of(parts if done else [*parts, extra])


def jpeg_segment(marker: int, body: bytes, length: int | None = None) -> bytes:
    """One segment, whose length may lie."""
    claimed = len(body) + 2 if length is None else length
    return bytes([0xFF, marker]) + struct.pack(">H", claimed) + body


def jpeg_with(
    extra: bytes, *, picture: Image.Image | None = None, at: int = 2, **options: object
) -> bytes:
    """A JPEG with bytes put in behind its start, or elsewhere."""
    data = saved(picture or scene(), "JPEG", **options)
    return data[:at] + extra + data[at:]


def exif(orientation: int, *, kind: int = 3, big: bool = False, offset: int = 8) -> bytes:
    """A TIFF block of one tag, the orientation, as SHORT (3) or another type."""
    order = ">" if big else "<"
    form = {1: "B3x", 3: "H2x", 4: "I", 8: "h2x", 9: "i"}[kind]
    return (
        (b"MM" if big else b"II")
        + struct.pack(order + "HI", 42, offset)
        + struct.pack(order + "HHHI", 1, 0x0112, kind, 1)
        + struct.pack(order + form, orientation)
        + bytes(4)
    )


def webp_chunks(data: bytes) -> Iterator[Chunk]:
    """Names and bodies of a sound WebP's chunks."""
    at = 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def webp_of(chunks: Sequence[Chunk | bytes], size: int | None = None) -> bytes:
    """A WebP of chunks, whose RIFF size may lie."""
    body = b"WEBP" + b"".join(
        part
        if isinstance(part, bytes)
        else part[0] + struct.pack("<I", len(part[1])) + part[1] + bytes(len(part[1]) % 2)
        for part in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def webp_with(
    flags: int, *extra: Chunk | bytes, first: Sequence[Chunk | bytes] = (), size: int | None = None
) -> bytes:
    """An extended WebP with chunks behind its pixels, or before them."""
    picture = scene()
    pixels = list(webp_chunks(saved(picture, "WEBP", quality=95)))
    head = bytes([flags, 0, 0, 0])
    head += (picture.width - 1).to_bytes(3, "little") + (picture.height - 1).to_bytes(3, "little")
    return webp_of([(b"VP8X", head), *first, *pixels, *extra], size)


def colours_apart(picture: Image.Image) -> bytes:
    """A sequential JPEG with a scan for each of its three colours."""
    layers = [saved(layer, "JPEG", quality=75) for layer in picture.convert("YCbCr").split()]
    frame, scan = layers[0].index(b"\xff\xc0"), layers[0].index(b"\xff\xda")
    tables = frame + 2 + int.from_bytes(layers[0][frame + 2 : frame + 4])
    size = layers[0][frame + 4 : frame + 9]
    colours = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    data = layers[0][:frame] + b"\xff\xc0\0\x11" + size + b"\3" + colours
    data += layers[0][tables:scan]
    for number, layer in enumerate(layers, 1):
        data += b"\xff\xda\0\x08\1" + bytes((number, 0)) + b"\0\x3f\0"
        data += layer[layer.index(b"\xff\xda") + 10 : -2]
    return data + b"\xff\xd9"


def avif_claiming(data: bytes, width: int, height: int) -> bytes:
    """An AVIF with another size in each of its boxes that name one; its streams stay."""
    lying, at = bytearray(data), -1
    while (at := lying.find(b"ispe", at + 1)) >= 0:
        struct.pack_into(">II", lying, at + 8, width, height)
    at = -1
    while (at := lying.find(b"tkhd", at + 1)) >= 0:
        end = at - 4 + int.from_bytes(lying[at - 4 : at])
        struct.pack_into(">II", lying, end - 8, width << 16, height << 16)
    return bytes(lying)


def avif_stream(data: bytes) -> bytes:
    """The AV1 stream of a still AVIF as libavif writes it: one item of one extent."""
    at = data.index(b"\0\1", data.index(b"iloc") + 14)
    offset, length = struct.unpack_from(">II", data, at + 2)
    return data[offset : offset + length]


def avif_grid(
    tiles: Sequence[bytes], columns: int, tile: tuple[int, int], whole: tuple[int, int]
) -> bytes:
    """An AVIF whose picture is put together from others, row by row; the sizes are claimed."""
    count, numbers = len(tiles), range(2, len(tiles) + 2)
    streams = [avif_stream(one) for one in tiles]
    grid = struct.pack(">4B2H", 0, 0, count // columns - 1, columns - 1, *whole)
    entries = ((1, b"grid"), *((number, b"av01") for number in numbers))
    infos = (_full(b"infe", 2, struct.pack(">HH4sx", one, 0, kind)) for one, kind in entries)
    sizes = (_full(b"ispe", 0, struct.pack(">2I", *size)) for size in (whole, tile))
    settings = (_inner(tiles[0], b"av1C"), _inner(tiles[0], b"pixi"))
    uses = (struct.pack(">H4B", number, 3, 2, 0x83, 4) for number in numbers)

    def meta(start: int) -> bytes:
        places = struct.pack(">4H2I", 1, 1, 0, 1, 0, len(grid))
        for number, stream in zip(numbers, streams, strict=True):
            places += struct.pack(">4H2I", number, 0, 0, 1, start, len(stream))
            start += len(stream)
        return _full(
            b"meta", 0,
            _full(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            _full(b"pitm", 0, b"\0\1"),
            _full(b"iloc", 1, b"\x44\0", struct.pack(">H", count + 1), places),
            iinf,
            _full(b"iref", 0, _box(b"dimg", struct.pack(f">2H{count}H", 1, count, *numbers))),
            iprp,
            _box(b"idat", grid),
        )  # fmt: skip

    iinf = _full(b"iinf", 0, struct.pack(">H", count + 1), *infos)
    ipma = _full(b"ipma", 0, struct.pack(">IH3B", count + 1, 1, 2, 1, 4), *uses)
    iprp = _box(b"iprp", _box(b"ipco", *sizes, *settings), ipma)
    head = _box(b"ftyp", b"avif", bytes(4), b"avifmif1miaf")
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + _box(b"mdat", *streams)


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def _full(name: bytes, version: int, *parts: bytes) -> bytes:
    return _box(name, bytes([version, 0, 0, 0]), *parts)


def _inner(data: bytes, name: bytes) -> bytes:
    at = data.index(name) - 4
    return data[at : at + int.from_bytes(data[at : at + 4])]
