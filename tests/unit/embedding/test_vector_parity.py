"""Vectors equal those of plain open_clip, measured where a mistake shows.

With random weights any two photos have a cosine around 0.74, and even a wrong normalisation passes
0.9999. So the trained demo model judges: the error must be small against the distance to the
nearest other picture.
"""

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from demo.model.combinations import ALL_COMBINATIONS
from demo.model.drawing import draw
from shared.embedding.bootstrap import load_embedding_service
from shared.embedding.decoding.pictures import decode_picture
from shared.embedding.open_clip.imported import PreprocessCfg, image_transform_v2
from shared.embedding.open_clip.loading import LoadedModel
from shared.embedding.open_clip.preprocess import ImagePreprocessor
from shared.embedding.openvino.runtime import supported_precisions
from shared.embedding.service import EmbeddingService, PreparedPicture
from shared.settings import Settings
from tests.unit.embedding.drawn import saved

ALLOWED_SHARE = 0.05


@cache
def files() -> list[bytes]:
    """Drawn garments as large JPEGs (so that draft applies), small ones, PNG and WebP."""
    chosen = ALL_COMBINATIONS[:: len(ALL_COMBINATIONS) // 16][:16]
    made = []
    for number, shown in enumerate(chosen):
        size = (1000, 400, 200, 96)[number % 4]
        picture = draw(shown.garment, shown.colour, shown.pattern, seed=number, size=size)
        kind = ("JPEG", "JPEG", "JPEG", "PNG", "WEBP")[number % 5]
        made.append(saved(picture, kind, quality=90) if kind != "PNG" else saved(picture, kind))
    return made


def open_clips_vectors(demo: LoadedModel) -> NDArray[np.float32]:
    transform = image_transform_v2(PreprocessCfg(**demo.preprocess_config), is_train=False)
    tensors = []
    for data in files():
        with Image.open(io.BytesIO(data)) as picture:
            tensors.append(transform(ImageOps.exif_transpose(picture).convert("RGB")))
    with torch.inference_mode():
        vectors: NDArray[np.float32] = demo.model.encode_image(  # type: ignore[operator]
            torch.stack(tensors), normalize=True
        ).numpy()
    return vectors


@pytest.fixture(
    scope="module",
    params=[
        ("torch", "fp32"),
        *(("openvino", precision) for precision in sorted(supported_precisions())),
    ],
    ids="-".join,
)
def service(request: pytest.FixtureRequest, converted: Path) -> EmbeddingService:
    """Every backend, in every precision that this CPU has."""
    backend, precision = request.param
    settings = Settings(
        _env_file=None,
        clip_model="demo",
        clip_backend=backend,
        clip_precision=precision,
        data_dir=converted,
    )
    return load_embedding_service(settings, frozenset({"image", "text"}))


def shares(ours: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each vector's error as a share of the distance to the nearest other picture."""
    errors = np.linalg.norm(ours - expected, axis=1)
    between = np.linalg.norm(expected[:, None] - expected[None], axis=2)
    np.fill_diagonal(between, np.inf)
    result: NDArray[np.float32] = errors / between.min(axis=1)
    return result


def test_drawn_pictures_have_open_clips_vectors(
    service: EmbeddingService, demo: LoadedModel
) -> None:
    ours = np.stack(service.embed_images([service.prepare(data) for data in files()]))
    found = shares(ours, open_clips_vectors(demo))
    assert found.max() <= ALLOWED_SHARE, found.round(3)


def test_the_measure_would_catch_another_models_normalisation(
    service: EmbeddingService, demo: LoadedModel
) -> None:
    """Keeps the test above honest: SigLIP's mean and deviation of 0.5 must fail it by far."""
    config = {**demo.preprocess_config, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    preprocess = ImagePreprocessor(config)
    pictures = [decode_picture(data, max_pixels=10**6) for data in files()]
    wrong = [PreparedPicture(preprocess(picture), blank=False) for picture in pictures]
    found = shares(np.stack(service.embed_images(wrong)), open_clips_vectors(demo))
    assert found.max() > 5 * ALLOWED_SHARE, found.round(3)


def test_texts_have_open_clips_vectors(
    service: EmbeddingService, demo: LoadedModel, request: pytest.FixtureRequest
) -> None:
    """Of every length that the model takes, together and alone.

    The nearest other text is one of another meaning: a translation, as "t-shirt rouge", is meant
    to have nearly the same vector, and is nearer to "red shirt" than to tell anything.
    """
    texts = ["red shirt", "a blue dress with white dots", "black trousers", "t-shirt rouge"]
    texts += ["", *("red " * length for length in range(1, 32))]
    with torch.inference_mode():
        tokens = demo.tokenizer(texts)
        expected = demo.model.encode_text(tokens, normalize=True).numpy()  # type: ignore[operator]
    found = service.embed_texts(texts)
    alone = np.stack([service.embed_text(text) for text in texts[::5]])
    if request.node.callspec.id.endswith("fp32"):
        closeness = 5e-7 if request.node.callspec.id.startswith("torch") else 2e-6
        assert np.abs(found - expected).max() <= closeness
        assert np.abs(alone - expected[::5]).max() <= closeness
    between = np.linalg.norm(expected[:3, None] - expected[None, :3], axis=2)
    allowed = ALLOWED_SHARE * between[between > 0].min()
    assert np.linalg.norm(found - expected, axis=1).max() <= allowed
    assert np.linalg.norm(alone - expected[::5], axis=1).max() <= allowed
