"""A profile costs what its bytes cost, whatever it makes LittleCMS build."""

import struct
import time
import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from shared.embedding.decoding.colours import conversion
from shared.embedding.decoding.pictures import decode_picture
from shared.embedding.decoding.profile_tags import necessary

_MATRIX = b"matf" + bytes(4) + struct.pack(">HH", 3, 3) + struct.pack(">12f", *[0.3] * 12)
_TABLE = b"clut" + bytes(4) + struct.pack(">HH", 3, 3) + bytes([12, 12, 12, *[0] * 13])
_TABLE += bytes(4 * 3 * 12**3)


def _pipeline(element: bytes, times: int) -> bytes:
    """One element, named as often as is said in eight bytes each."""
    head = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, times)
    place = struct.pack(">II", len(head) + 8 * times, len(element))
    return head + place * times + element


def _profile(*more: tuple[bytes, bytes]) -> bytes:
    """A display's matrices and curves, which aren't sRGB's, and more tags."""
    gamma = b"para" + bytes(4) + struct.pack(">Hxxi", 0, int(1.8 * 65536))
    tags = [(b"wtpt", (0.9642, 1, 0.8249)), (b"rXYZ", (0.798, 0.288, 0))]
    tags += [(b"gXYZ", (0.135, 0.712, 0)), (b"bXYZ", (0.031, 0, 0.825))]
    written = [
        (tag, b"XYZ " + bytes(4) + struct.pack(">3i", *[int(v * 65536) for v in xyz]))
        for tag, xyz in tags
    ]
    written += [(tag, gamma) for tag in (b"rTRC", b"gTRC", b"bTRC")] + list(more)
    table, body, at = b"", b"", 132 + 12 * len(written)
    for tag, data in written:
        table += struct.pack(">4sII", tag, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    light = struct.pack(">3i", 63190, 65536, 54061)
    names = b"\x04\x40\0\0" + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28) + light
    head = (struct.pack(">I4x", at + len(body)) + names).ljust(128, b"\0")
    return head + struct.pack(">I", len(written)) + table + body


HOSTILE = {
    "one matrix 400,000 times": _profile((b"D2B0", _pipeline(_MATRIX, 400_000))),
    "one table 1,500 times": _profile((b"D2B0", _pipeline(_TABLE, 1_500))),
    "a pipeline for another intent": _profile((b"D2B1", _pipeline(_MATRIX, 400_000))),
    "a pipeline under a table's name": _profile((b"A2B0", _pipeline(_MATRIX, 400_000))),
    "a hundred pipelines": _profile(*[(b"D2B0", _pipeline(_MATRIX, 9_000))] * 90),
}


@pytest.mark.parametrize("profile", HOSTILE.values(), ids=HOSTILE)
def test_a_profile_that_names_one_element_again_and_again_costs_next_to_nothing(
    profile: bytes,
) -> None:
    started = time.thread_time()
    assert conversion(profile) is not None
    assert time.thread_time() - started < 0.5
    assert len(necessary(profile) or b"") < 1_000


def test_its_matrices_and_curves_count_all_the_same() -> None:
    wide = _profile()
    picture = BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(picture, "PNG")
    data = picture.getvalue()
    packed = zlib.compress(HOSTILE["one matrix 400,000 times"])
    body = b"iCCP" + b"x\0\0" + packed
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    turned = decode_picture(data[:33] + chunk + data[33:], 10**6)
    expected = conversion(wide)
    assert expected is not None
    assert turned.getpixel((0, 0)) == expected(Image.open(BytesIO(data))).getpixel((0, 0))


@pytest.mark.parametrize("space", ["sRGB", "LAB"])
def test_what_is_left_is_a_profile_that_littlecms_takes(space: str) -> None:
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    left = necessary(whole)
    assert left is not None
    assert len(left) <= len(whole)
    ImageCms.ImageCmsProfile(BytesIO(left))


@pytest.mark.parametrize("cut", [0, 100, 131, 140])
def test_a_table_that_is_cut_is_no_profile(cut: int) -> None:
    assert necessary(_profile()[:cut]) is None
