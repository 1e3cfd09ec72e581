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
        (gzip.compress(b"picture" * 9, mtime=0)[:-9], ["gzip"], ItemCode.IMAGE_CORRUPT),
        (b"not gzip at all", ["gzip"], ItemCode.IMAGE_CORRUPT),
        (b"picture", ["gzip"] * 9, ItemCode.IMAGE_CORRUPT),
        (b"", ["gzip"], ItemCode.IMAGE_CORRUPT),
    ],
)
def test_a_bad_body_is_a_named_fault(body: bytes, codings: Sequence[str], code: ItemCode) -> None:
    with pytest.raises(ItemPermanent) as refused:
        read_body([body] if body else [], codings, 2_000)
    assert refused.value.code == code
