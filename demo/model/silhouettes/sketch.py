"""The parts of a garment's sketch, in free units (x to the right, y down)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""Float array of shape (n, 2)."""

Fill = Literal["fabric", "trim", "inside", "metal"]


@dataclass(frozen=True)
class Part:
    """A closed outline: filled with the fabric, its trim, the garment's dark inside, or metal."""

    points: Points
    fill: Fill = "fabric"


@dataclass(frozen=True)
class Stroke:
    """An open line: a seam, a strap, a fold. The width is in the sketch's units; 0 means a seam."""

    points: Points
    width: float = 0.0


@dataclass(frozen=True)
class Sketch:
    """Strokes behind the garment, parts in painting order, seams on top."""

    parts: list[Part]
    behind: list[Stroke] = field(default_factory=list)
    seams: list[Stroke] = field(default_factory=list)


class Jitter:
    """Draws proportions around the values a garment is designed with."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, value: float, spread: float) -> float:
        return value + spread * float(self._rng.uniform(-1, 1))

    def chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)


def points(*corners: tuple[float, float]) -> Points:
    """Corners as an array."""
    return np.array(corners, dtype=np.float64)


def bend(
    start: tuple[float, float], control: tuple[float, float], end: tuple[float, float], n: int = 14
) -> list[tuple[float, float]]:
    """Points of a quadratic Bézier curve, both ends included."""
    t = np.linspace(0, 1, n)[:, None]
    curve = (
        (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(control) + t**2 * np.array(end)
    )
    return [(float(x), float(y)) for x, y in curve]


def arc(
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    start: float = 0,
    end: float = 360,
    n: int = 48,
) -> Points:
    """Points of an ellipse's arc; angles in degrees, clockwise from the right (y points down)."""
    angle = np.radians(np.linspace(start, end, n))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ellipse: Points = np.array(centre) + np.array(radii) * circle
    return ellipse


def mirrored(half: Iterable[tuple[float, float]]) -> Points:
    """Close the right half of an outline, given from top to bottom, with its mirror image."""
    right = np.array(list(half), dtype=np.float64)
    return np.concatenate([right, right[::-1] * (-1, 1)])


def band(half_width: float, *, top: float, height: float, growth: float = 0.0) -> Points:
    """A belt or cuff across the middle, at its lower edge wider by `growth` on each side."""
    low, wide = top + height, half_width + growth
    return points((-half_width, top), (half_width, top), (wide, low), (-wide, low))


def buttons(x: float, *, top: float, bottom: float, count: int, radius: float) -> list[Part]:
    """A column of round buttons."""
    return [
        Part(arc((x, y), (radius, radius), n=16), "inside")
        for y in np.linspace(top, bottom, count).tolist()
    ]
