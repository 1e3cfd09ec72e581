"""A picture's file: the parts that pixels need, and the facts that are used of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_PROFILE_BYTES: Final = 4 << 20
"""Of a colour profile, unpacked. Printers' profiles, the largest in use, have some 2 MiB."""


@dataclass(frozen=True, slots=True)
class FileParts:
    """A file without the parts that no pixel needs, so that none of these can spoil a picture.

    `orientation` is EXIF's, 1 … 8, or None if the decoder has it from the file itself.
    `profile` is an ICC profile, unchecked. `form` names an unusual form, which the decoder may not
    open though nothing is damaged. `canvas` is the size in pixels if opening the file already takes
    memory. `weight` is how many usual pixels one of these costs, if the decoder is slow.

    `frame_bytes` is the memory of the decoder's own frames, for each frame of an animation that may
    be looked at, and `frame_pixels` is how large one of them is. Both are empty if the picture's
    size tells.
    """

    data: bytes
    orientation: int | None = 1
    profile: bytes | None = None
    form: str | None = None
    canvas: tuple[int, int] | None = None
    weight: int = 1
    frame_bytes: Sequence[int] = ()
    frame_pixels: int = 0


def is_profile(data: bytes) -> bool:
    """Whether bytes begin as an ICC profile does."""
    return data[36:40] == b"acsp"
