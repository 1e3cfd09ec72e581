"""Makes the int8 form of the image tower, and checks it on the shop's own pictures.

How much int8 costs depends on the pictures: numbers are rounded to 256 steps whose range is learnt
from examples. So it is calibrated on some of the shop's pictures and judged by others: what comes
first for each must be what comes first without loss. A form that fails is refused, not stored; a
worker takes none but a stored one (see `OpenVinoEncoder`).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version as package_version
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.embedding.backends import resize_override
from shared.embedding.decoding.pictures import decode_picture
from shared.embedding.encoder import PreparedImage
from shared.embedding.openvino import runtime as openvino_runtime
from shared.embedding.openvino.backend import OpenVinoEncoder, Quantized, coarse_draft_edge
from shared.embedding.openvino.conversion import Conversion
from shared.embedding.openvino.converted_models import QUANTIZED, ConvertedTower
from shared.embedding.openvino.runtime import CompiledTower
from shared.embedding.settings import EmbeddingSettings
from shared.errors import ItemPermanent, ItemTransient
from shared.wording import counted

LEAST_OVERLAP: Final = 0.97
"""Of the ten nearest pictures, the share that must be those of the vectors without loss."""

LEAST_PICTURES: Final = 150
"""With fewer, ten are so large a part of all that they are hit too easily."""

_MOST_CALIBRATION: Final = 300  # what NNCF takes unless told otherwise; more changes little
_MOST_CHECKED: Final = 2_000
_TOP: Final = 10
_BATCH: Final = 16


class QuantizationRefused(Exception):
    """There will be no int8 form; the message says why, and what to do."""


def quantize_image_tower(
    settings: EmbeddingSettings, folder: Path, say: Callable[[str], None]
) -> ConvertedTower:
    """Quantize, check and store the image tower of the model that is set.

    `folder` holds pictures of the shop, at whatever depth; a third, at most 300, calibrates, the
    others judge, at most 2,000. The same files always give the same split. `say` is told what goes
    on. Takes minutes. Raises QuantizationRefused and ModelUnavailable.
    """
    _check_quantizer()
    files = _mixed_files(folder)
    encoder = OpenVinoEncoder(
        settings.clip_model,
        settings.clip_pretrained,
        frozenset({"image"}),
        directory=settings.data_dir / "converted-models",
        precision="fp32",
        torch_may_help=False,
        resize_mode=resize_override(settings),
    )
    lossless = encoder.converted.find("image")
    if lossless is None:
        raise QuantizationRefused(_not_kept(encoder))
    pictures = _Pictures(files, encoder, settings.image_max_pixels)
    calibration = [
        coarse for _, coarse in islice(pictures, min(_MOST_CALIBRATION, len(files) // 3))
    ]
    say(f"calibrating on {len(calibration)} pictures")
    model = _quantized(lossless.path, calibration)
    say("checking on the others")
    overlap, checked = _overlap(
        encoder, CompiledTower(model, "fp32"), islice(pictures, _MOST_CHECKED)
    )
    if pictures.skipped:
        say(f"left out: {counted(pictures.skipped, 'file')} without a picture, or with the same")
    if len(calibration) + checked < LEAST_PICTURES:
        raise QuantizationRefused(_too_few(folder, len(calibration) + checked))
    if overlap < LEAST_OVERLAP:
        raise QuantizationRefused(
            f"with int8 only {overlap:.3f} of the {_TOP} nearest pictures are the right ones "
            f"({counted(checked, 'picture')} asked); at least {LEAST_OVERLAP} must be. Nothing was "
            "stored. Try more pictures, as varied as the catalogue's, or keep CLIP_PRECISION=auto"
        )
    made = Quantized(
        resize_mode=resize_override(settings),
        overlap=round(overlap, 4),
        checked=checked,
        calibrated=len(calibration),
        cpu=openvino_runtime.cpu_name(),
        nncf=package_version("nncf"),
    )
    conversion = Conversion(model, {**lossless.facts, "quantized": asdict(made)})
    stored = encoder.converted.store(QUANTIZED, conversion.write, conversion.facts, replace=True)
    if stored is None:
        raise QuantizationRefused(_not_kept(encoder))
    return stored


def top_overlap(lossless: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How much of the ten nearest is the same, for vectors (n, dimensions) of the same n pictures.

    Each picture is asked for by its own vector among all others. 1 if all ten always agree.
    """
    same = [
        np.isin(one, two).mean()
        for one, two in zip(_nearest(lossless), _nearest(other), strict=True)
    ]
    return float(np.mean(same))


class _Pictures(Iterator[tuple[PreparedImage, PreparedImage]]):
    """The pictures of the files, each once: prepared as without loss, and as for int8."""

    def __init__(self, files: Sequence[Path], encoder: OpenVinoEncoder, max_pixels: int) -> None:
        """`encoder` is the one without loss."""
        self._files = files
        self._encoder = encoder
        self._max_pixels = max_pixels
        self._prepared = self._prepare()
        self.skipped = 0

    def __next__(self) -> tuple[PreparedImage, PreparedImage]:
        return next(self._prepared)

    def _prepare(self) -> Iterator[tuple[PreparedImage, PreparedImage]]:
        edges = self._encoder.draft_edge, coarse_draft_edge(self._encoder)
        seen = set()
        for path in self._files:
            data = path.read_bytes()
            if (digest := _digest(data)) in seen:
                self.skipped += 1  # Which of two equal pictures comes first says nothing.
                continue
            seen.add(digest)
            try:
                fine, coarse = (decode_picture(data, self._max_pixels, edge) for edge in edges)
            except (ItemPermanent, ItemTransient):
                self.skipped += 1
                continue
            yield self._encoder.pre_image(fine), self._encoder.pre_image(coarse)


def _mixed_files(folder: Path) -> Sequence[Path]:
    """All files below a folder, mixed by a hash of their names, for those follow categories."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) < LEAST_PICTURES:
        raise QuantizationRefused(_too_few(folder, len(files)))
    return sorted(files, key=lambda path: _digest(str(path.relative_to(folder)).encode()))


def _check_quantizer() -> None:
    try:
        package_version("nncf")
    except ModuleNotFoundError as err:
        raise QuantizationRefused(
            "NNCF is missing, which makes the int8 form. Run "
            "`pip install -r requirements-quantize.txt`, then this again"
        ) from err


def _quantized(path: Path, calibration: Sequence[PreparedImage]) -> Any:
    """The model with int8 weights and, if it pays, int8 activations."""
    openvino_runtime.openvino()  # First, because it keeps out NNCF's telemetry.
    import nncf  # noqa: PLC0415  # large, optional, and needed by this command alone

    nncf.set_log_level("ERROR")
    return nncf.quantize(
        openvino_runtime.read_model(path),
        nncf.Dataset([pixels[None] for pixels in calibration]),
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.FIRST_LAYER
            if openvino_runtime.has_vnni()
            else nncf.OverflowFix.ENABLE
        ),
    )


def _overlap(
    lossless: OpenVinoEncoder,
    other: CompiledTower,
    pictures: Iterator[tuple[PreparedImage, PreparedImage]],
) -> tuple[float, int]:
    """The overlap, all that differs included, and how many pictures it was measured on."""
    raw: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    while batch := list(islice(pictures, _BATCH)):
        fine, coarse = zip(*batch, strict=True)
        raw[0].append(lossless.core_images(fine))
        raw[1].append(other.run([np.stack(coarse)]))
    if not raw[0]:
        return 0.0, 0
    one, two = (np.concatenate(parts) for parts in raw)
    return top_overlap(one, two), len(one)


def _nearest(raw: NDArray[np.float32]) -> NDArray[np.intp]:
    """The places of each vector's ten nearest others, shape (n, 10)."""
    vectors = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _too_few(folder: Path, found: int) -> str:
    return (
        f"{folder} holds {counted(found, 'different picture')}; at least {LEAST_PICTURES} are "
        "needed to calibrate and to judge. Name a folder with some hundred of the shop's own"
    )


def _not_kept(encoder: OpenVinoEncoder) -> str:
    return (
        f"{encoder.converted.directory} takes no model: see that DATA_DIR is writable and has room"
    )
