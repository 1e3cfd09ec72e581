"""ICC profiles for pictures that name their colours by numbers instead, as PNG may."""

import struct
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SRGB_GAMMA: Final = range(44_000, 47_001)  # 1/2.2 in units of 1/100,000, and how it is rounded.
_SRGB_PRIMARIES: Final = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
_P3_PRIMARIES: Final = (31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000)
_2020_PRIMARIES: Final = (31_270, 32_900, 70_800, 29_200, 17_000, 79_700, 13_100, 4_600)
_PRIMARIES_TOLERANCE: Final = 200

_D50: Final = np.array((0.9642, 1.0, 0.8249))
_BRADFORD: Final = np.array(
    ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
)
# Powers with a line near black, as ICC writes them.
_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE: Final = (2.4,)  # a display's reading of BT.709, by BT.1886
_CURVES: Final[Mapping[int, Sequence[float]]] = {
    **dict.fromkeys((1, 6, 14, 15), _VIDEO_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    13: _SRGB_CURVE,
}
"""By their numbers in ITU-T H.273. Those for high dynamic range are left out."""

_PRIMARIES: Final[Mapping[int, Sequence[int]]] = {
    1: _SRGB_PRIMARIES,
    9: _2020_PRIMARIES,
    12: _P3_PRIMARIES,
}


def of_gamma(gamma: int, primaries: Sequence[int] | None) -> bytes | None:
    """The profile of a PNG's gAMA (encoding exponent × 100,000) and its cHRM, white first.

    None if they say sRGB, or something that can't be.
    """
    usual = primaries is None or all(
        abs(one - other) <= _PRIMARIES_TOLERANCE
        for one, other in zip(primaries, _SRGB_PRIMARIES, strict=True)
    )
    if not 10_000 <= gamma <= 1_000_000 or (usual and gamma in _SRGB_GAMMA):
        return None
    return _profile(primaries or _SRGB_PRIMARIES, (100_000 / gamma,))


def of_code_points(primaries: int, transfer: int) -> bytes | None:
    """The profile of a PNG's cICP, by H.273's numbers; None for sRGB, and for unknown ones."""
    known, curve = _PRIMARIES.get(primaries), _CURVES.get(transfer)
    if known is None or curve is None or (known is _SRGB_PRIMARIES and curve is _SRGB_CURVE):
        return None
    return _profile(known, curve)


def _profile(primaries: Sequence[int], curve: Sequence[float]) -> bytes | None:
    """A display profile: three colourants, and one curve for all (ICC.1:2010, §8.3, §10.16)."""
    colourants = _colourants(primaries)
    if colourants is None:
        return None
    bodies = {
        b"wtpt": _xyz(_D50),
        **{
            name: _xyz(colourants[:, place])
            for place, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
        },
    }
    kind = 0 if len(curve) == 1 else 3
    bodies[b"rTRC"] = struct.pack(">4s4xHxx", b"para", kind) + b"".join(map(_fixed, curve))
    bodies[b"gTRC"] = bodies[b"bTRC"] = bodies[b"rTRC"]
    start = 128 + 4 + 12 * len(bodies)
    table, data = b"", b""
    for name, body in bodies.items():
        table += struct.pack(">4sII", name, start + len(data), len(body))
        data += body
    head = struct.pack(
        ">I4x4s4s4s4s12x4s28x12s48x",
        start + len(data), b"\x04\x20\0\0", b"mntr", b"RGB ", b"XYZ ", b"acsp",
        b"".join(map(_fixed, _D50)),
    )  # fmt: skip
    return head + struct.pack(">I", len(bodies)) + table + data


def _colourants(primaries: Sequence[int]) -> NDArray[np.float64] | None:
    """XYZ of red, green and blue as columns, seen under D50; None if they span no colours."""
    x, y = np.array(primaries, dtype=float).reshape(4, 2).T / 100_000
    if (y <= 0).any():
        return None
    white, *rest = (np.array((a / b, 1, (1 - a - b) / b)) for a, b in zip(x, y, strict=True))
    matrix = np.stack(rest, axis=1)
    try:
        matrix = matrix * np.linalg.solve(matrix, white)
        cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        colourants = np.linalg.solve(_BRADFORD, cones[:, None] * (_BRADFORD @ matrix))
    except np.linalg.LinAlgError:
        return None
    return colourants if np.isfinite(colourants).all() and np.abs(colourants).max() < 4 else None


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65_536))
