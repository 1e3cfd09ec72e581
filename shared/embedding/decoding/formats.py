"""Tells the format of a file by its first bytes alone.

A server's Content-Type and a file's ending say little: shops serve HTML as image/jpeg and name
Photoshop files .jpg. Only the formats that browsers show are opened; every further decoder would
be one more to be attacked through. The rest is recognised, so that the shop learns what to do.
"""

import re
from enum import StrEnum

_SNIFFED_BYTES = 1024


class OpenedFormat(StrEnum):
    """The formats that are opened, by Pillow's names."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    GIF = "GIF"
    AVIF = "AVIF"
    BMP = "BMP"


_OPENED_MAGIC = (
    (b"\xff\xd8\xff", OpenedFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", OpenedFormat.PNG),
    (b"GIF87a", OpenedFormat.GIF),
    (b"GIF89a", OpenedFormat.GIF),
)

_OTHER_MAGIC = (
    (b"8BPS", "Photoshop (PSD)"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II\xbc", "JPEG XR"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"%!PS", "PostScript (EPS)"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"%PDF-", "PDF"),
    (b"\0\0\1\0", "Windows icon (ICO)"),
    (b"\0\0\2\0", "Windows cursor (CUR)"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (b"DDS ", "DirectDraw surface (DDS)"),
    (b"icns", "Apple icon (ICNS)"),
    (b"\xd7\xcd\xc6\x9a", "Windows metafile (WMF)"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"AT&TFORM", "DjVu"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x1a\x45\xdf\xa3", "a WebM video"),
)

# The first bytes of a BMP are just "BM"; the size of its second header tells it from a text.
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_BMP_PREFIX_BYTES = 18

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

_NETPBM = re.compile(rb"P[1-7]\s++(?:#[^\n]*+\n\s*+)*+(?:\d++\s|WIDTH)")

_MARKUP_BEFORE_ROOT = ((b"<?xml", b"?>"), (b"<!--", b"-->"))
_SVG_DOCTYPE = b"<!doctype svg"
_SVG = (b"<svg", b"<svg:svg")
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")


def opened_format(data: bytes) -> OpenedFormat | None:
    """The format to open `data` as, or None if it is none of ours."""
    for magic, kind in _OPENED_MAGIC:
        if data.startswith(magic):
            return kind
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return OpenedFormat.WEBP
    if _brands(data) & _AVIF_BRANDS:
        return OpenedFormat.AVIF
    if data.startswith(b"BM") and len(data) >= _BMP_PREFIX_BYTES:
        header_size = int.from_bytes(data[14:18], "little")
        return OpenedFormat.BMP if header_size in _BMP_HEADER_SIZES else None
    return None


def unsupported_format(data: bytes) -> str | None:
    """The name of an image or document format that is recognised and not opened, or None."""
    for magic, name in _OTHER_MAGIC:
        if data.startswith(magic):
            return name
    brands = _brands(data)
    if brands & _HEIC_BRANDS:
        return "HEIC"
    if brands:
        return "a video"
    if _NETPBM.match(data[:_SNIFFED_BYTES]):
        return "Netpbm (PPM)"
    root = _root(data)
    if root.startswith((_SVG_DOCTYPE, *_SVG)):
        return "SVG"
    return None


def looks_like_html(data: bytes) -> bool:
    """Whether `data` is a web page, the commonest thing served in a picture's place."""
    return _root(data).startswith(_HTML)


def _root(data: bytes) -> bytes:
    """A text from its document type or first element on, in lower case; nothing if it has none.

    Each step goes on from where the last one ended, so that no bytes take long.
    """
    head = data[:_SNIFFED_BYTES].removeprefix(b"\xef\xbb\xbf").lower()
    at = 0
    while True:
        at += len(head[at:]) - len(head[at:].lstrip())
        for start, end in _MARKUP_BEFORE_ROOT:
            if head.startswith(start, at):
                found = head.find(end, at + len(start))
                if found < 0:
                    return b""
                at = found + len(end)
                break
        else:
            return head[at:]


def _brands(data: bytes) -> frozenset[bytes]:
    """Major and compatible brands of an ISO media file (AVIF, HEIC, MP4); else nothing."""
    if data[4:8] != b"ftyp":
        return frozenset()
    # A box may claim any length; what follows the prefix tells no more about the format.
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return frozenset(
        {box[:4], *(box[start : start + 4] for start in range(8, len(box) - 3, 4))}
    ) - {b""}
