"""Draws a garment in a colour and a pattern: the demo's product pictures and training data."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from demo.model.combinations import COLOURS, GARMENTS, PATTERNS
from demo.model.fabric import Dye, Rgb, mix_dye, weave
from demo.model.silhouettes import SILHOUETTES
from demo.model.silhouettes.sketch import Jitter, Part, Points, Sketch, Stroke

_METAL: Rgb = (0.90, 0.87, 0.80)
_SUPERSAMPLING = 2
"""Pictures are painted this much larger and reduced, because Pillow's polygons have hard edges."""


def draw(garment: str, colour: str, pattern: str, seed: int, size: int = 384) -> Image.Image:
    """Draw one garment: a square RGB picture of `size` pixels.

    The same arguments always give the same picture; another seed gives another cut, shade,
    pattern size, position, turn and background. Raises ValueError for an unknown word.
    """
    _require(garment, GARMENTS)
    _require(colour, COLOURS)
    _require(pattern, PATTERNS)
    rng = np.random.default_rng(
        (seed, GARMENTS.index(garment), COLOURS.index(colour), PATTERNS.index(pattern))
    )
    canvas_size = size * _SUPERSAMPLING
    sketch = SILHOUETTES[garment](Jitter(rng))
    if rng.random() < 0.5:
        sketch = _transformed(sketch, np.diag([-1.0, 1.0]), np.zeros(2))
    sketch, unit = _placed(sketch, canvas_size, rng)
    dye = mix_dye(colour, rng)
    cloth = _as_image(weave(pattern, dye, canvas_size, unit, rng))
    canvas = _backdrop(canvas_size, colour, rng)
    _paint(canvas, sketch, dye, cloth, unit)
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def _require(word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ValueError(f"cannot draw {word!r}; known: {', '.join(known)}")


def _transformed(
    sketch: Sketch, matrix: NDArray[np.float64], offset: NDArray[np.float64]
) -> Sketch:
    """Apply x ↦ x·matrixᵀ + offset to every point; stroke widths grow with the mean scale."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix))))

    def moved(points: Points) -> Points:
        result: Points = points @ matrix.T + offset
        return result

    def strokes(old: list[Stroke]) -> list[Stroke]:
        return [Stroke(moved(stroke.points), stroke.width * scale) for stroke in old]

    parts = [Part(moved(part.points), part.fill) for part in sketch.parts]
    return Sketch(parts, strokes(sketch.behind), strokes(sketch.seams))


def _placed(sketch: Sketch, size: int, rng: np.random.Generator) -> tuple[Sketch, float]:
    """Turn, stretch and scale the sketch so that it fills the frame.

    Returns it with its extent, the length of its longer side in pixels.
    """
    turn = np.radians(rng.uniform(-9, 9))
    stretch = np.exp(rng.uniform(-0.06, 0.06))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    sketch = _transformed(sketch, rotation @ np.diag([stretch, 1 / stretch]), np.zeros(2))
    points = np.concatenate(
        [part.points for part in sketch.parts] + [stroke.points for stroke in sketch.behind]
    )
    low, high = points.min(axis=0), points.max(axis=0)
    unit = float(rng.uniform(0.78, 0.93)) * size
    scale = unit / float((high - low).max())
    spare = size - (high - low) * scale
    # The longer side may wander anywhere in its margin, the shorter one stays nearer the middle.
    shift = np.minimum(spare, 0.2 * size) * rng.uniform(-0.3, 0.3, size=2)
    offset = size / 2 - (low + high) / 2 * scale + shift
    return _transformed(sketch, np.diag([scale, scale]), offset), unit


def _as_image(pixels: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))


def _backdrop(size: int, colour: str, rng: np.random.Generator) -> Image.Image:
    """A pale studio background that darkens a little downwards."""
    # White garments need a background that they stand out from.
    brightest = 0.86 if colour == "white" else 0.98
    light = float(rng.uniform(brightest - 0.10, brightest))
    tint = light * (1 - rng.uniform(0, 0.05, size=3))
    fall = 1 - np.linspace(0, rng.uniform(0, 0.10), size)[:, None, None]
    column = np.broadcast_to(tint * fall, (size, size, 3))
    return _as_image(np.ascontiguousarray(column, dtype=np.float32))


def _rgb(colour: Rgb) -> tuple[int, int, int]:
    red, green, blue = (round(255 * channel) for channel in colour)
    return red, green, blue


def _paint(canvas: Image.Image, sketch: Sketch, dye: Dye, cloth: Image.Image, unit: float) -> None:
    """Paint strokes behind, then the parts with their outlines, then the seams."""
    pen = ImageDraw.Draw(canvas)
    thin = max(1, round(unit * 0.009))
    for stroke in sketch.behind:
        width = round(stroke.width)
        _line(pen, stroke.points, dye.line, width + 2 * thin)
        _line(pen, stroke.points, dye.trim, width)
    fills = {"trim": dye.trim, "inside": dye.inside, "metal": _METAL}
    for part in sketch.parts:
        corners = [(float(x), float(y)) for x, y in part.points]
        if part.fill == "fabric":
            mask = Image.new("L", canvas.size, 0)
            ImageDraw.Draw(mask).polygon(corners, fill=255)
            canvas.paste(cloth, mask=mask)
        else:
            pen.polygon(corners, fill=_rgb(fills[part.fill]))
        _line(pen, np.concatenate([part.points, part.points[:1]]), dye.line, thin)
    for stroke in sketch.seams:
        if stroke.width:
            _line(pen, stroke.points, _METAL, round(stroke.width))
        else:
            _line(pen, stroke.points, dye.line, max(1, thin * 2 // 3))


def _line(pen: ImageDraw.ImageDraw, points: Points, colour: Rgb, width: int) -> None:
    pen.line(
        [(float(x), float(y)) for x, y in points], fill=_rgb(colour), width=width, joint="curve"
    )
