"""Bodies are unpacked piece by piece, never beyond the limit."""

import gzip
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator, Sequence

import pytest

from shared.errors import ItemCode, ItemPermanent
from shared.fetch.unpacking import unpacked


def read_body(chunks: Iterable[bytes], codings: Sequence[str], max_bytes: int) -> bytes:
    return b"".join(unpacked(chunks, codings, max_bytes))


def test_a_body_of_exactly_the_limit_is_taken_whole() -> None:
    assert read_body([b"ab", b"cd"], [], 4) == b"abcd"


def test_a_body_beyond_the_limit_is_not_read_further() -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"x" * 10

    with pytest.raises(ItemPermanent) as refused:
        read_body(endless(), [], 95)
    assert refused.value.code == ItemCode.IMAGE_TOO_LARGE
    assert len(taken) == 10


def test_a_body_that_is_packed_a_thousandfold_is_unpacked_bit_by_bit() -> None:
    packed = gzip.compress(bytes(100_000_000), mtime=0)
    tracemalloc.start()
    try:
        assert sum(map(len, unpacked([packed], ["gzip"], 10**9))) == 100_000_000
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _gzip(flags: int = 0, fields: bytes = b"", end: bytes = b"") -> bytes:
    """A head of gzip with these fields, the picture, and anything for its checksum and length."""
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\x02\x03"
    return head + fields + _raw_deflate(b"picture") + end


SOUND_END = gzip.compress(b"picture", mtime=0)[-8:]


@pytest.mark.parametrize(
    ("coding", "packed"),
    {
        "wrong checksum": ("gzip", _gzip(end=bytes(4) + SOUND_END[4:])),
        "wrong length": ("gzip", _gzip(end=SOUND_END[:4] + bytes(4))),
        "no end": ("gzip", _gzip()),
        "half an end": ("gzip", _gzip(end=SOUND_END[:3])),
        "more behind the end": ("gzip", _gzip(end=SOUND_END + b"\0\r\nmore")),
        "another member behind the end": ("gzip", _gzip(end=SOUND_END) + _gzip(end=SOUND_END)),
        "name": ("gzip", _gzip(8, b"a.jpg\0")),
        "all fields": ("gzip", _gzip(31, b"\3\0abca.jpg\0comment\0\0\0")),
        "zlib as gzip": ("gzip", zlib.compress(b"picture")),
        "gzip as deflate": ("deflate", gzip.compress(b"picture", mtime=0)),
        "zlib, wrong checksum": ("deflate", zlib.compress(b"picture")[:-4] + b"abcd"),
        "zlib, no checksum": ("deflate", zlib.compress(b"picture")[:-4]),
        "zlib, half a checksum": ("deflate", zlib.compress(b"picture")[:-2]),
        "zlib, more behind the end": ("deflate", zlib.compress(b"picture") + b"more"),
        "raw, more behind the end": ("deflate", _raw_deflate(b"picture") + b"more"),
        "raw, without its last block": ("deflate", _raw_deflate(b"picture")[:-1]),
    }.values(),
)
@pytest.mark.parametrize("at_once", [1, 5, 100])
def test_what_stands_around_the_packed_bytes_is_not_looked_at(
    coding: str, packed: bytes, at_once: int
) -> None:
    pieces = [packed[at : at + at_once] for at in range(0, len(packed), at_once)]
    assert read_body(pieces, [coding], 1_000) == b"picture"


def test_a_packed_body_that_is_cut_is_unpacked_as_far_as_it_goes() -> None:
    whole = bytes(range(256)) * 40
    packed = gzip.compress(whole, mtime=0)
    found = read_body([packed[: len(packed) // 2]], ["gzip"], 100_000)
    assert 0 < len(found) < len(whole)
    assert whole.startswith(found)


@pytest.mark.parametrize(
    ("codings", "packed"),
    [
        (["gzip"], gzip.compress(b"picture", mtime=0)),
        (["x-gzip"], gzip.compress(b"picture", mtime=0)),
        (["deflate"], zlib.compress(b"picture")),
        (["deflate"], _raw_deflate(b"picture")),
        (["gzip", "gzip"], gzip.compress(gzip.compress(b"picture", mtime=0), mtime=0)),
        (["deflate", "gzip"], gzip.compress(zlib.compress(b"picture"), mtime=0)),
        (["gzip", "aws-chunked"], gzip.compress(b"picture", mtime=0)),
        (["aws-chunked", "gzip"], gzip.compress(b"picture", mtime=0)),
        (["identity"], b"picture"),
        (["utf-8"], b"picture"),
        (["br"], b"picture"),
        (["\xff"], b"picture"),
        ([], b"picture"),
    ],
)
def test_what_is_packed_is_unpacked_and_other_names_change_nothing(
    codings: Sequence[str], packed: bytes
) -> None:
    assert read_body([packed[:5], packed[5:]], codings, 100) == b"picture"
    assert read_body([b"", packed], codings, 100) == b"picture"


@pytest.mark.parametrize(
    ("body", "codings", "code"),
    [
        (gzip.compress(bytes(1_000_000), mtime=0), ["gzip"], ItemCode.IMAGE_TOO_LARGE),
        (
            gzip.compress(gzip.compress(bytes(50_000_000), mtime=0), mtime=0),
            ["gzip", "gzip"],
            ItemCode.IMAGE_TOO_LARGE,
        ),
        (b"\x1f\x8b\x08\x08" + b"x" * 1_000, ["gzip"], ItemCode.IMAGE_CORRUPT),
        (b"\x1f\x8b", ["gzip"], ItemCode.IMAGE_CORRUPT),
        (_gzip()[:10] + b"\xff\xff", ["gzip"], ItemCode.IMAGE_CORRUPT),
        (b"not gzip at all", ["gzip"], ItemCode.IMAGE_CORRUPT),
        (b"picture", ["gzip"] * 9, ItemCode.IMAGE_CORRUPT),
        (b"", ["gzip"], ItemCode.IMAGE_CORRUPT),
    ],
)
def test_a_bad_body_is_a_named_fault(body: bytes, codings: Sequence[str], code: ItemCode) -> None:
    with pytest.raises(ItemPermanent) as refused:
        read_body([body] if body else [], codings, 2_000)
    assert refused.value.code == code
