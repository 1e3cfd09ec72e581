"""Reads from AV1 streams how large their frames are. Pure.

A container's own sizes bind no decoder: it decodes whatever frames the stream holds, and the size
is compared or scaled afterwards. Only headers are read here, as the AV1 specification has them
(§5.5, §5.9.2).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_SEQUENCE, _FRAME_HEADER, _FRAME, _REDUNDANT_HEADER = 1, 3, 6, 7
_FRAMES: Final = frozenset({_FRAME_HEADER, _FRAME, _REDUNDANT_HEADER})
_KEY, _SWITCH = 0, 3
_SELECTED: Final = 2
"""The value of two of a sequence's fields if each frame has its own."""
_HEADER_BYTES: Final = 512
"""More than a sequence's header with all of its 32 operating points takes."""


class _Bits:
    """Bits in their order; behind the last one come zeros."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data[:_HEADER_BYTES].ljust(_HEADER_BYTES, b"\0"))
        self._left = 8 * _HEADER_BYTES

    def take(self, count: int) -> int:
        """The next ones as a number."""
        self._left -= count
        if self._left < 0:
            return 0
        return self._number >> self._left & (1 << count) - 1

    def skip_variable(self) -> None:
        """Takes a number of variable length (`uvlc`)."""
        zeros = 0
        while zeros < 32 and not self.take(1):
            zeros += 1
        self.take(zeros if zeros < 32 else 0)


@dataclass(frozen=True, slots=True)
class Frames:
    """The size of a decoded sample: bytes of all frames, hidden ones too, and pixels of one."""

    memory: int
    pixels: int


@dataclass(frozen=True, slots=True)
class _Sequence:
    """The facts about frames in a sequence's header."""

    pixels: int
    """Of a frame that gives no size of its own."""
    most_pixels: int
    """Of a frame that gives its own."""
    half_bytes: int
    """Of a pixel, all its planes together."""
    reduced: bool
    presentation_bits: int
    screen_content: int
    integer_motion: int
    number_bits: int

    def frame_pixels(self, header: _Bits) -> int:
        """Of the frame with this header; at most, if the frame gives its own size."""
        return self.most_pixels if self._gives_its_size(header) else self.pixels

    def _gives_its_size(self, header: _Bits) -> bool:
        # The first bit shows a frame that is there already.
        if self.reduced or header.take(1):
            return False
        kind, shown = header.take(2), header.take(1)
        header.take(self.presentation_bits if shown else 1)
        if kind != _SWITCH and not (kind == _KEY and shown):
            header.take(1)
        header.take(1)
        screen = header.take(1) if self.screen_content == _SELECTED else self.screen_content
        if screen and self.integer_motion == _SELECTED:
            header.take(1)
        header.take(self.number_bits)
        return kind == _SWITCH or bool(header.take(1))


def decoded(samples: Iterable[bytes], step: Callable[[], None]) -> Iterator[Frames]:
    """The decoded size of each sample of a stream; `step` is called for each part, and may raise.

    A frame may take its size from any frame before it, so each counts as the largest so far.
    """
    sequence: _Sequence | None = None
    pixels = half_bytes = 0
    for sample in samples:
        frames = 0
        for kind, body in _units(sample):
            step()
            if kind == _SEQUENCE:
                sequence = _sequence(_Bits(body))
                half_bytes = max(half_bytes, sequence.half_bytes)
            elif kind in _FRAMES and sequence is not None:
                pixels = max(pixels, sequence.frame_pixels(_Bits(body)))
                frames += 1
        yield Frames(frames * pixels * half_bytes // 2, pixels)


def _units(sample: bytes) -> Iterator[tuple[int, bytes]]:
    """The units of a sample: kind, and the begin of the body (§5.3)."""
    at = 0
    while at < len(sample):
        head = sample[at]
        at += 2 if head & 4 else 1
        length = len(sample) - at
        if head & 2:
            length = 0
            for place in range(8):
                if at >= len(sample):
                    return
                length |= (sample[at] & 0x7F) << 7 * place
                at += 1
                if not sample[at - 1] & 0x80:
                    break
        yield head >> 3 & 15, sample[at : at + min(length, _HEADER_BYTES)]
        at += max(0, length)


def _sequence(bits: _Bits) -> _Sequence:
    profile, _still, reduced = bits.take(3), bits.take(1), bool(bits.take(1))
    presentation_bits = 0
    if reduced:
        bits.take(5)
    else:
        presentation_bits = _timing_and_points(bits)
    wide, high = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(wide) + 1, bits.take(high) + 1
    number_bits = 0
    if not reduced and bits.take(1):
        number_bits = bits.take(4) + bits.take(3) + 3
    bits.take(3)
    screen_content = integer_motion = _SELECTED
    if not reduced:
        bits.take(4)
        ordered = bits.take(1)
        bits.take(2 if ordered else 0)
        screen_content = _SELECTED if bits.take(1) else bits.take(1)
        if screen_content and not bits.take(1):
            integer_motion = bits.take(1)
        bits.take(3 if ordered else 0)
    bits.take(3)
    deep = bits.take(1)
    # Of the first profile's pixels two colours have a quarter of the places.
    half_bytes = (3 if profile == 0 else 6) << deep
    return _Sequence(
        pixels=width * height,
        most_pixels=1 << wide + high,
        half_bytes=half_bytes,
        reduced=reduced,
        presentation_bits=presentation_bits,
        screen_content=screen_content,
        integer_motion=integer_motion,
        number_bits=number_bits,
    )


def _timing_and_points(bits: _Bits) -> int:
    """Reads over them, and finds how many bits a frame has for its time."""
    presentation_bits = delay_bits = 0
    if bits.take(1):
        bits.take(64)
        equal = bits.take(1)
        if equal:
            bits.skip_variable()
        if bits.take(1):
            delay_bits = bits.take(5) + 1
            bits.take(37)
            length = bits.take(5) + 1
            presentation_bits = 0 if equal else length
    delayed = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if delayed and bits.take(1):
            bits.take(4)
    return presentation_bits
