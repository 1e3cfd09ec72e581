"""Converts a picture's colours to sRGB by its ICC profile, as browsers do.

A profile that is broken or absurd is ignored, and one that says sRGB costs a look-up: cameras and
editors write it into most photos.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.embedding.decoding.files.parts import is_profile
from shared.embedding.decoding.profile_tags import necessary

_MAX_TRANSFORMS: Final = 32
_INDISTINGUISHABLE: Final = 2
"""Grey levels of 255, by which the sRGB profiles in use differ from each other and more."""

_WHITE_FROM: Final = 160
_BLACK_UP_TO: Final = 110
_MIDDLE_FROM, _MIDDLE_UP_TO = 12, 243
_STEPS: Final = np.array((0, 16, 48, 96, 144, 200, 255), dtype=np.uint8)
_MODES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}

_SRGB: Final = ImageCms.createProfile("sRGB")


@dataclass(frozen=True, slots=True)
class Conversion:
    """From one profile's colours to sRGB. Safe to use from many threads."""

    mode: str
    """Of the pictures that it takes: RGB, L or CMYK."""
    transform: ImageCms.ImageCmsTransform

    def __call__(self, picture: Image.Image) -> Image.Image:
        """A picture of that mode, RGBA counting as RGB and LA as L, as RGB or RGBA."""
        if picture.mode == "LA":
            grey, alpha = picture.split()
            turned = self.transform.apply(grey)
            turned.putalpha(alpha)
            return turned
        if picture.mode == "RGBA":
            alpha = picture.getchannel("A")
            turned = self.transform.apply(picture.convert("RGB"))
            turned.putalpha(alpha)
            return turned
        return self.transform.apply(picture)


class _Conversions:
    """The last ones that were used, by their profiles."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Conversion | None] = OrderedDict()

    def of(self, profile: bytes) -> Conversion | None:
        key = hashlib.sha256(profile).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        conversion = _built(profile)
        with self._lock:
            self._known[key] = conversion
            if len(self._known) > _MAX_TRANSFORMS:
                self._known.popitem(last=False)
        return conversion


_conversions: Final = _Conversions()


def conversion(profile: bytes | None) -> Conversion | None:
    """The profile's conversion; None if the colours are sRGB already, or the profile is useless."""
    if profile is None or not is_profile(profile):
        return None
    return _conversions.of(profile)


def _built(profile: bytes) -> Conversion | None:
    mode = _MODES.get(profile[16:20].decode("latin-1"))
    tags = necessary(profile)
    if mode is None or tags is None:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(tags))
        built = Conversion(
            mode,
            ImageCms.buildTransform(source, _SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL),
        )
        before, after = _sampled(built)
    except Exception:  # LittleCMS's binding raises any kind of error for a broken profile.
        return None
    if not _is_sound(after if mode != "CMYK" else after[::-1]):
        return None
    if mode != "CMYK" and np.abs(after - before).max() <= _INDISTINGUISHABLE:
        return None
    return built


def _is_sound(darkest_first: NDArray[np.int_]) -> bool:
    """Whether black stays dark, white bright, and the colours between neither."""
    return bool(
        darkest_first[0].max() <= _BLACK_UP_TO
        and darkest_first[-1].min() >= _WHITE_FROM
        and _MIDDLE_FROM <= np.median(darkest_first) <= _MIDDLE_UP_TO
    )


def _sampled(built: Conversion) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Colours from all over, and these colours converted. The first has no light or ink, and the
    last has all.
    """
    channels = Image.getmodebands(built.mode)
    samples = np.stack(np.meshgrid(*[_STEPS] * channels, indexing="ij"), -1).reshape(-1, channels)
    if built.mode == "L":
        source = Image.fromarray(samples)
    else:
        source = Image.frombytes(built.mode, (len(samples), 1), samples.tobytes())
    after = np.asarray(built(source)).reshape(-1, 3).astype(int)
    return samples.astype(int), after
