"""Plants, in this process, steps that never end for pictures whose file ends with their name.

Importing it is enough; `hanging_worker.py` and `hanging_api.py` do so before they import the
product's own app.
"""

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from PIL import Image

import shared.embedding.bootstrap
import shared.embedding.service
from shared.embedding.service import EmbeddingService, PreparedPicture

DECODING_WITH_LOCK: Final = b"hangs in decoding and holds the interpreter's lock"
DECODING_WITHOUT_LOCK: Final = b"hangs in decoding without the interpreter's lock"
FORWARD: Final = b"hangs in the forward pass"
PLANTED: Final = (DECODING_WITH_LOCK, DECODING_WITHOUT_LOCK, FORWARD)

_MARK: Final = np.float32(1e6)


def hang_with_lock() -> None:
    """An expression that backtracks for ages: nothing else of Python runs meanwhile."""
    re.match(r"(a+)+b", "a" * 64)


def hang_without_lock() -> None:
    """What waits for ever lets others run."""
    while True:
        time.sleep(1)


def _decode(data: bytes, *args: Any, **options: Any) -> Image.Image:
    if data.endswith(DECODING_WITH_LOCK):
        hang_with_lock()
    if data.endswith(DECODING_WITHOUT_LOCK):
        hang_without_lock()
    return _decode_picture(data, *args, **options)


class HangingService(EmbeddingService):
    """Hangs in the forward pass of a picture that is marked."""

    def prepare(self, data: bytes, *args: Any, **options: Any) -> PreparedPicture:
        prepared = super().prepare(data, *args, **options)
        if data.endswith(FORWARD):
            prepared.pixels[0, 0, 0] = _MARK
        return prepared

    def _run(self, kind: Any, core: Callable[..., Any], batch: Sequence[Any]) -> Any:
        return super()._run(kind, partial(self._core, core), batch)

    @staticmethod
    def _core(core: Callable[..., Any], batch: Sequence[Any]) -> Any:
        if any(prepared.ndim > 1 and prepared[0, 0, 0] == _MARK for prepared in batch):
            hang_without_lock()
        return core(batch)


_decode_picture = shared.embedding.service.decode_picture
shared.embedding.service.decode_picture = _decode
shared.embedding.bootstrap.EmbeddingService = HangingService  # type: ignore[misc]
