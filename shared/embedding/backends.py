"""Chooses what runs the model: torch or OpenVINO, by the settings and by what this machine has."""

from typing import Final

import structlog

from shared.embedding.encoder import Encoder, Tower
from shared.embedding.open_clip.preprocess import ResizeMode
from shared.embedding.open_clip.torch_backend import TorchEncoder, torch_device
from shared.embedding.openvino import runtime as openvino_runtime
from shared.embedding.openvino.backend import OpenVinoEncoder
from shared.embedding.openvino.runtime import Precision
from shared.embedding.settings import EmbeddingSettings
from shared.errors import ModelUnavailable

log = structlog.get_logger(__name__)

_CUDA_BATCH: Final = 256
"""A GPU is idle between small batches; at 256 ViT-B-32 fills one and needs about 1 GB."""

_INT8_BATCH: Final = 32
"""In int8 a pass of 32 takes 4 % less per picture than one of 16, and less time than one of 16
without: who waits for the pass under way waits no longer."""


def load_encoder(
    settings: EmbeddingSettings, towers: frozenset[Tower], threads: int | None
) -> Encoder:
    """The configured model on the backend to use; see `load_embedding_service`.

    `auto` takes OpenVINO on CPUs wherever it can be imported, torch otherwise and on CUDA. Raises
    ModelUnavailable naming the setting that asks for what can't be had.
    """
    backend, device = settings.clip_backend, torch_device(settings.clip_device).type
    if backend == "openvino" and settings.clip_device == "cuda":
        raise ModelUnavailable(
            "CLIP_BACKEND=openvino runs on CPUs, but CLIP_DEVICE=cuda. "
            "Set CLIP_BACKEND=torch or auto for CUDA."
        )
    if backend == "torch":
        return _torch(settings, towers, threads, device, "set by CLIP_BACKEND")
    if backend == "auto" and device == "cuda":
        return _torch(settings, towers, threads, device, "there is a CUDA device")
    try:
        precisions = openvino_runtime.supported_precisions()
    except (ImportError, OSError, RuntimeError) as err:  # of a missing or broken library
        if backend == "openvino":
            raise ModelUnavailable(
                f"CLIP_BACKEND=openvino, but OpenVINO can't be loaded ({err}). "
                "Run `pip install -r requirements.txt`, or set CLIP_BACKEND=auto or torch."
            ) from err
        return _torch(settings, towers, threads, "cpu", f"OpenVINO can't be loaded: {err}")
    if settings.clip_precision not in ("auto", "int8", *precisions):
        raise ModelUnavailable(
            f"CLIP_PRECISION={settings.clip_precision}, but this CPU has no instructions for it, "
            f"only for {', '.join(sorted(precisions))}. Set CLIP_PRECISION=auto or one of these."
        )
    return OpenVinoEncoder(
        settings.clip_model,
        settings.clip_pretrained,
        towers,
        directory=settings.data_dir / "converted-models",
        precision="auto" if settings.clip_precision == "int8" else settings.clip_precision,
        quantized=settings.clip_precision == "int8",
        torch_may_help=backend == "auto" and settings.clip_precision in ("auto", "fp32", "int8"),
        resize_mode=resize_override(settings),
        threads=threads,
    )


def batch_size(size: int, encoder: Encoder, *, given: bool) -> int:
    """The most inputs of one forward pass: `size`, unless it is only a default (not `given`) and
    another number suits the encoder better.

    For pictures and texts alike. Of texts there are no more at once than threads that wait for
    them, by default fewer than any of these.
    """
    if given:
        return size
    if isinstance(encoder, TorchEncoder) and encoder.device.type == "cuda":
        return _CUDA_BATCH
    if isinstance(encoder, OpenVinoEncoder) and encoder.quantized:
        return _INT8_BATCH
    return size


def _torch(
    settings: EmbeddingSettings,
    towers: frozenset[Tower],
    threads: int | None,
    device: str,
    reason: str,
) -> TorchEncoder:
    precision: Precision = "fp16" if device == "cuda" else "fp32"
    if settings.clip_precision == "int8":
        raise ModelUnavailable(
            f"CLIP_PRECISION=int8 runs on OpenVINO alone, but torch is to be used ({reason}). "
            "Set CLIP_DEVICE=cpu and CLIP_BACKEND=openvino, or CLIP_PRECISION=auto."
        )
    if settings.clip_precision != "auto":
        precision = settings.clip_precision
    if device == "cpu" and precision != "fp32":
        raise ModelUnavailable(
            f"CLIP_PRECISION={precision}, but on CPUs torch runs in fp32 here ({reason}). "
            "Set CLIP_PRECISION=auto or fp32, or CLIP_BACKEND=openvino."
        )
    log.info(
        "encoder_chosen",
        tower=",".join(sorted(towers)),
        chosen=f"torch {precision}",
        candidates=[f"torch {precision}: {reason} (chosen)"],
    )
    return TorchEncoder(
        settings.clip_model,
        settings.clip_pretrained,
        towers,
        device="cuda" if device == "cuda" else "cpu",
        precision=precision,
        resize_mode=resize_override(settings),
        threads=threads,
    )


def resize_override(settings: EmbeddingSettings) -> ResizeMode | None:
    """The resize mode to force, or None for the model's own.

    `shortest`, the default, leaves the model its own: that is `shortest` for CLIP models, while
    SigLIP and the demo model were trained on squashed pictures.
    """
    return None if settings.clip_resize_mode == "shortest" else settings.clip_resize_mode
