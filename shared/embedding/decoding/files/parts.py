"""What a picture's file holds: the parts that pixels need, and what is to be known of the rest."""

from dataclasses import dataclass
from typing import Final

MAX_PROFILE_BYTES: Final = 4 << 20
"""Of a colour profile, unpacked. Printers' profiles, the largest in use, have some 2 MiB."""


@dataclass(frozen=True, slots=True)
class FileParts:
    """A file without whatever no pixel needs: what isn't used can't spoil a picture.

    `orientation` is EXIF's, 1 … 8, or None where the decoder has it from the file itself;
    `profile` an ICC profile, unchecked; `canvas` its size in pixels where opening the file already
    takes memory; `form` names an unusual form, which the decoder may not
    open though nothing is damaged.
    """

    data: bytes
    orientation: int | None = 1
    profile: bytes | None = None
    form: str | None = None
    canvas: tuple[int, int] | None = None


def is_profile(data: bytes) -> bool:
    """Whether bytes begin as an ICC profile does."""
    return data[36:40] == b"acsp"
