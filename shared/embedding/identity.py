"""Names the collection of a model without loading it, torch or open_clip.

Vectors of two models must never meet, so each combination of model, weights and preprocessing has
a collection of its own. Processes without a model (patches, deletes) must find the same name as
those with one; hence everything here is worked out from settings and files.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

from shared.embedding.settings import EmbeddingSettings
from shared.errors import ModelUnavailable

DEMO_MODEL: Final = "demo"
RANDOM_WEIGHTS: Final = "random"
RANDOM_SEED: Final = 0
DEMO_DIR: Final = Path(__file__).parent / "demo_model" / "weights"

PREPROCESSING_VERSION: Final = 1
"""Raise this if decoding or preprocessing changes what vectors come out."""

CONVERSION_VERSION: Final = 3
"""Raise this if towers are converted, stored or tried otherwise. A quantized model is another
graph then, so the vectors of int8 go by it, too."""

HUB: Final = "hf-hub:"
LOCAL_DIR: Final = "local-dir:"
"""Prefixes of open_clip's names of models with their own weights."""

_MODEL_FILES: Final = frozenset({".json", ".safetensors", ".bin", ".pt", ".pth"})
_HASH_DIGITS: Final = 12
_SLUG_CHARACTERS: Final = 48
_READ_BYTES: Final = 1 << 20


def collection_name(settings: EmbeddingSettings) -> str:
    """`products-<model>-<hash>`, of `[a-z0-9-]` only.

    The hash covers model, weights (a checkpoint's content, else the tag's name), resize mode and
    the version of our preprocessing. Backend and precision are not part of it: their vectors agree
    within the parity bound, so they may meet in one collection. Those of int8 don't, and have one
    of their own. A checkpoint is read once in full: a second per gigabyte. Raises ModelUnavailable
    if weights named by a path can't be read.
    """
    parts = {
        "model": settings.clip_model.replace("/", "-"),
        "weights": weights_identity(settings.clip_model, settings.clip_pretrained),
        "resize_mode": settings.clip_resize_mode,
        "preprocessing": PREPROCESSING_VERSION,
    }
    if settings.clip_precision == "int8":
        parts |= {"precision": "int8", "conversion": CONVERSION_VERSION}
    identity = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_HASH_DIGITS]
    return f"products-{model_slug(settings.clip_model)}-{digest}"


def weights_identity(model: str, pretrained: str) -> str:
    """The identity of the weights: a checkpoint's digest, else the tag's name.

    Raises ModelUnavailable if weights named by a path can't be read.
    """
    try:
        return _weights(model, pretrained)
    except OSError as err:
        raise ModelUnavailable(
            f"The weights of CLIP_MODEL={model} with CLIP_PRETRAINED={pretrained} can't be read: "
            f"{err}. Set them to a model that is there and readable."
        ) from err


def _weights(model: str, pretrained: str) -> str:
    if model == DEMO_MODEL:
        return _model_files_digest(DEMO_DIR)
    if model.startswith(LOCAL_DIR):
        return _model_files_digest(Path(model.removeprefix(LOCAL_DIR)))
    if pretrained == RANDOM_WEIGHTS:
        return f"{RANDOM_WEIGHTS}:{RANDOM_SEED}"
    path = Path(pretrained)
    if path.is_file():
        return f"sha256:{_files_digest((path,))}"
    return f"tag:{pretrained}"


def _model_files_digest(directory: Path) -> str:
    """Digest of a model directory's weights and configuration, whatever else lies there."""
    files = sorted(path for path in directory.iterdir() if path.suffix in _MODEL_FILES)
    return f"sha256:{_files_digest(files)}"


def _files_digest(paths: Iterable[Path]) -> str:
    combined = hashlib.sha256()
    for path in paths:
        status = path.stat()
        combined.update(_file_digest(path, status.st_mtime_ns, status.st_size))
    return combined.hexdigest()


@lru_cache(maxsize=32)
def _file_digest(path: Path, _modified_ns: int, _size: int) -> bytes:
    """SHA-256 of one file, streamed; remembered until the file changes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.digest()


def model_slug(model: str) -> str:
    """The model's name in `[a-z0-9-]`, short; without the path of a local directory."""
    if model.startswith(LOCAL_DIR):
        model = Path(model.removeprefix(LOCAL_DIR)).name
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:_SLUG_CHARACTERS]
    return slug.rstrip("-") or "model"
