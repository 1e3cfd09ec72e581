"""Colours and woven patterns of garments."""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[float, float, float]
"""Red, green and blue, each 0 … 1."""

_SHADES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-7, 5), (0.80, 0.95), (0.72, 0.90)),
    "orange": ((22, 31), (0.85, 1.00), (0.93, 1.00)),
    "yellow": ((48, 56), (0.70, 0.95), (0.94, 1.00)),
    "green": ((105, 150), (0.55, 0.85), (0.42, 0.66)),
    "blue": ((208, 228), (0.65, 0.92), (0.55, 0.88)),
    "purple": ((268, 286), (0.50, 0.75), (0.45, 0.68)),
    "pink": ((328, 346), (0.30, 0.52), (0.95, 1.00)),
    "brown": ((18, 30), (0.50, 0.70), (0.33, 0.48)),
    "black": ((0, 360), (0.00, 0.15), (0.07, 0.16)),
    "white": ((0, 360), (0.00, 0.03), (0.95, 1.00)),
}
"""Hue in degrees, saturation and value as (low, high): the shades that still bear the colour's
name. The ranges leave gaps, so that a person would name every shade the same way."""
_LIGHT_COLOURS = frozenset({"white", "yellow", "pink"})


@dataclass(frozen=True)
class Dye:
    """The colours of one garment."""

    base: Rgb
    accent: Rgb
    """The pattern's second colour: pale on strong colours, dark on light ones."""
    trim: Rgb
    """Collars, cuffs and bands: the base, a little darker (or lighter on black)."""
    line: Rgb
    """Outlines and seams."""
    inside: Rgb
    """The garment's shadowed inside, buttons and belts."""


def mix_dye(colour: str, rng: np.random.Generator) -> Dye:
    """A shade of the colour at random, with the other colours that go with it."""
    hue, saturation, value = (float(rng.uniform(low, high)) for low, high in _SHADES[colour])
    base = colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
    if colour in _LIGHT_COLOURS:
        accent = _scaled((0.22, 0.24, 0.32), float(rng.uniform(0.8, 1.3)))
    else:
        accent = _scaled((0.97, 0.96, 0.93), float(rng.uniform(0.95, 1.0)))
    if colour == "black":
        return Dye(base, accent, _lifted(base, 0.10), _lifted(base, 0.32), _lifted(base, 0.2))
    return Dye(base, accent, _scaled(base, 0.86), _scaled(base, 0.55), _scaled(base, 0.62))


def _scaled(rgb: Rgb, factor: float) -> Rgb:
    red, green, blue = (min(1.0, channel * factor) for channel in rgb)
    return red, green, blue


def _lifted(rgb: Rgb, step: float) -> Rgb:
    red, green, blue = (min(1.0, channel + step) for channel in rgb)
    return red, green, blue


def weave(
    pattern: str, dye: Dye, size: int, unit: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Fabric as an RGB picture, shape (size, size, 3), values 0 … 1.

    `unit` is the garment's extent in pixels; the pattern's period is a share of it. The accent
    covers less than half of the cloth, so that the base colour stays the garment's colour.
    """
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    turn = np.radians(rng.uniform(-12, 12))
    across = (columns * np.cos(turn) + rows * np.sin(turn)) / unit
    down = (rows * np.cos(turn) - columns * np.sin(turn)) / unit
    period = float(rng.uniform(0.085, 0.125))
    u = across / period + rng.uniform()
    v = down / period + rng.uniform()
    cover = _PATTERNS[pattern]
    share = cover(u, v, period * unit, rng) if cover else np.zeros_like(u)
    base, accent = (np.array(rgb, dtype=np.float32) for rgb in (dye.base, dye.accent))
    folds = 1 + 0.05 * np.sin(across * rng.uniform(5, 9) + rng.uniform(0, 6.3))[..., None]
    cloth: NDArray[np.float32] = np.clip((base + (accent - base) * share[..., None]) * folds, 0, 1)
    return cloth.astype(np.float32)


Grid = NDArray[np.float32]


def _inside(distance: Grid, edge: float) -> Grid:
    """Coverage 0 … 1 from a signed distance in periods (negative inside), one pixel soft."""
    soft: Grid = np.clip(0.5 - distance * edge, 0, 1)
    return soft


def _band(u: Grid, width: float, edge: float) -> Grid:
    """Stripes of `width` periods, one per period."""
    return _inside(np.abs(u - np.floor(u) - 0.5) - width / 2, edge)


def _striped(u: Grid, v: Grid, edge: float, rng: np.random.Generator) -> Grid:
    """Mostly across, sometimes down the garment."""
    return _band(v if rng.random() < 0.7 else u, float(rng.uniform(0.30, 0.42)), edge)


def _dotted(u: Grid, v: Grid, edge: float, rng: np.random.Generator) -> Grid:
    """Round dots in rows, every second row shifted by half a period."""
    shifted = u + 0.5 * (np.floor(v) % 2)
    distance = np.hypot(shifted - np.floor(shifted) - 0.5, v - np.floor(v) - 0.5)
    return _inside(distance - float(rng.uniform(0.23, 0.30)), edge)


def _checked(u: Grid, v: Grid, edge: float, rng: np.random.Generator) -> Grid:
    """Gingham: two sets of half-transparent bands that are strongest where they cross."""
    # The bands are wider apart than stripes, or a check shrinks to an even mesh at 96 pixels.
    width = float(rng.uniform(0.36, 0.46))
    across, down = _band(u * 0.7, width, edge / 0.7), _band(v * 0.7, width, edge / 0.7)
    checks: Grid = 0.55 * across + 0.55 * down - 0.1 * across * down
    return checks


_Cover = Callable[[Grid, Grid, float, np.random.Generator], Grid]

_PATTERNS: dict[str, _Cover | None] = {
    "plain": None,
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
}
"""For each pattern, how much of the accent covers the base at (u, v), given in periods."""
