"""Lays out search answers as a picture: a row per query with the products that came first."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from demo.client import Searched
from demo.report import price

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# All lengths in pixels of the file, which is meant to be shown at half its size.
_TILE: Final = 256
_GAP: Final = 20
_MARGIN: Final = 48
_LEFT: Final = 376
"""Width of the column that holds the queries."""
_ROW: Final = _TILE + 76
_ROW_GAP: Final = 44
_HEAD: Final = 96
_FOOT: Final = 64
_CORNER: Final = 18
_COLUMNS: Final = 5

_PAPER: Final = (255, 255, 255)
_INK: Final = (24, 28, 36)
_GREY: Final = (104, 112, 124)
_PALE: Final = (228, 231, 236)
_ACCENT: Final = (16, 122, 87)
_ACCENT_PALE: Final = (222, 243, 234)

_FONT_FILES: Final = {
    "regular": "DejaVuSans.ttf",
    "bold": "DejaVuSans-Bold.ttf",
    "narrow": "DejaVuSansCondensed-Bold.ttf",
    "mono": "DejaVuSansMono.ttf",
}


@dataclass(frozen=True)
class Row:
    """A search to be shown."""

    searched: Searched
    repeat: Searched | None
    """The same search asked again, if it was."""
    pictures: Sequence[bytes]
    """The results' pictures, as files."""


def picture_of(rows: Sequence[Row], products: int) -> Image.Image:
    """The rows on one sheet. `products`: how many were searched."""
    width = 2 * _MARGIN + _LEFT + _COLUMNS * _TILE + (_COLUMNS - 1) * _GAP
    height = _HEAD + len(rows) * _ROW + (len(rows) - 1) * _ROW_GAP + _FOOT + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, 36), "Vitrine", font=_font("bold", 34), fill=_INK)
    said = f"{products} drawn products, searched in words: the answers of one run of make demo"
    pen.text((_MARGIN + 168, 45), said, font=_font("regular", 24), fill=_GREY)
    for number, row in enumerate(rows):
        top = _HEAD + 16 + number * (_ROW + _ROW_GAP)
        if number:
            y = top - _ROW_GAP // 2 - 4
            pen.line([(_MARGIN, y), (width - _MARGIN, y)], fill=_PALE, width=2)
        _query(pen, top, row)
        for column, (result, content) in enumerate(
            zip(row.searched.results[:_COLUMNS], row.pictures, strict=False)
        ):
            left = _MARGIN + _LEFT + column * (_TILE + _GAP)
            _product(sheet, pen, (left, top), result, content)
    foot = (
        "Price and plain cosine below each picture; times as measured by the server. "
        "Model: CLIP_MODEL=demo, a tiny CLIP trained on such drawings."
    )
    pen.text((_MARGIN, height - _MARGIN - 16), foot, font=_font("regular", 22), fill=_GREY)
    # A palette of 256 colours is a third of the size, and the eye can't tell.
    return sheet.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)


def _query(pen: ImageDraw.ImageDraw, top: int, row: Row) -> None:
    """The left column: the words as in a search box, the filters, the times."""
    y = top + 4
    pen.ellipse([(_MARGIN + 2, y + 5), (_MARGIN + 22, y + 25)], outline=_GREY, width=4)
    pen.line([(_MARGIN + 19, y + 22), (_MARGIN + 29, y + 32)], fill=_GREY, width=5)
    font = _font("bold", 32)
    for text in _wrapped(str(row.searched.request["text_query"]), font, _LEFT - 96):
        pen.text((_MARGIN + 42, y - 2), text, font=font, fill=_INK)
        y += 42
    y += 10
    for text in filters(row.searched.request):
        pen.text((_MARGIN + 42, y), text, font=_font("mono", 21), fill=_GREY)
        y += 32
    y += 4
    pen.text(
        (_MARGIN + 42, y), f"{row.searched.server_ms:.1f} ms", font=_font("regular", 24), fill=_GREY
    )
    if row.repeat is not None:
        label = f"again: {row.repeat.server_ms:.1f} ms"
        label += ", cached" if row.repeat.cached else ""
        font = _font("regular", 24)
        box = (_MARGIN + 42, y + 42, _MARGIN + 42 + font.getlength(label) + 32, y + 84)
        pen.rounded_rectangle(box, radius=21, fill=_ACCENT_PALE)
        pen.text((box[0] + 16, y + 48), label, font=font, fill=_ACCENT)


def _product(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    result: Mapping[str, Any],
    content: bytes,
) -> None:
    left, top = corner
    with Image.open(io.BytesIO(content)) as drawn:
        tile = drawn.convert("RGB").resize((_TILE, _TILE), Image.Resampling.LANCZOS)
    sheet.paste(tile, corner, _rounded_mask())
    name = str(result["name"])
    font = _fitting(name, "narrow", 23, _TILE)
    pen.text((left + 2, top + _TILE + 26), name, font=font, fill=_INK, anchor="lm")
    y = top + _TILE + 58
    pen.text(
        (left + 2, y),
        price(result.get("price")),
        font=_font("regular", 22),
        fill=_GREY,
        anchor="lm",
    )
    score = f"{result['similarity_score']:.3f}"
    pen.text((left + _TILE - 2, y), score, font=_font("mono", 21), fill=_GREY, anchor="rm")


def filters(request: Mapping[str, Any]) -> list[str]:
    """The request's filters as a person would write them, one a line."""
    lines = []
    if category := request.get("category_filter"):
        lines.append(str(category))
    low, high = request.get("price_min"), request.get("price_max")
    if low is not None:
        lines.append(f"price ≥ {low:g}")
    if high is not None:
        lines.append(f"price ≤ {high:g}")
    return lines


def _rounded_mask() -> Image.Image:
    """White where a tile shows; drawn four times as large, because polygons have hard edges."""
    mask = Image.new("L", (4 * _TILE, 4 * _TILE), 0)
    box = (0, 0, 4 * _TILE - 1, 4 * _TILE - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius=4 * _CORNER, fill=255)
    return mask.resize((_TILE, _TILE), Image.Resampling.LANCZOS)


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _fitting(text: str, style: str, size: int, width: int) -> Font:
    """The font at the largest size, up to `size`, at which the text is no wider than `width`."""
    while _font(style, size).getlength(text) > width:
        size -= 1
    return _font(style, size)


def _font(style: str, size: int) -> Font:
    """DejaVu, which nearly every Linux has, else Pillow's own font, which has no accents."""
    try:
        return ImageFont.truetype(_FONT_FILES[style], size)
    except OSError:
        return ImageFont.load_default(size)
