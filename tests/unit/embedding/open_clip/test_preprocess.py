"""Preprocessing equals open_clip's own, number by number."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from shared.embedding.decoding.pictures import decode_picture
from shared.embedding.open_clip.imported import PreprocessCfg, image_transform_v2, open_clip
from shared.embedding.open_clip.loading import LoadedModel
from shared.embedding.open_clip.preprocess import ImagePreprocessor, ResizeMode
from tests.unit.embedding.drawn import noisy, saved

SIZES = [(640, 480), (300, 1200), (224, 224), (60, 40), (1, 1), (225, 223), (1500, 1499)]
MODES: list[ResizeMode] = ["shortest", "longest", "squash"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_tensor_equals_open_clips_from_the_same_file(
    vit: LoadedModel, size: tuple[int, int], kind: str
) -> None:
    data = saved(noisy(*size), kind)
    open_clips = image_transform_v2(PreprocessCfg(**vit.preprocess_config), is_train=False)
    with Image.open(io.BytesIO(data)) as plain:
        expected = open_clips(plain).numpy()
    ours = ImagePreprocessor(vit.preprocess_config)(decode_picture(data, 10**8, draft_edge=None))
    assert ours.shape == (3, 224, 224)
    assert ours.dtype == np.float32
    assert np.abs(ours - expected).max() <= 1e-5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_every_resize_mode_is_open_clips(
    vit: LoadedModel, size: tuple[int, int], mode: ResizeMode
) -> None:
    picture = noisy(*size)
    config = PreprocessCfg(**{**vit.preprocess_config, "resize_mode": mode})
    expected = image_transform_v2(config, is_train=False)(picture).numpy()
    ours = ImagePreprocessor(vit.preprocess_config, mode)(picture)
    assert np.abs(ours - expected).max() <= 1e-5


@pytest.mark.parametrize("size", [(40, 2000), (2001, 40), (7, 400)])
def test_cutting_a_long_picture_changes_nothing_that_is_seen(
    vit: LoadedModel, size: tuple[int, int]
) -> None:
    picture = noisy(*size)
    config = PreprocessCfg(**vit.preprocess_config)
    expected = image_transform_v2(config, is_train=False)(picture).numpy()
    ours = ImagePreprocessor(vit.preprocess_config)(picture)
    assert np.abs(ours - expected).mean() < 0.02


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (1, 33), (3, 50_000)])
@pytest.mark.parametrize("mode", MODES)
def test_absurd_shapes_give_an_input_without_gigabytes(
    vit: LoadedModel, size: tuple[int, int], mode: ResizeMode
) -> None:
    ours = ImagePreprocessor(vit.preprocess_config, mode)(Image.new("RGB", size, "red"))
    assert ours.shape == (3, 224, 224)
    assert np.isfinite(ours).all()


def test_the_models_own_config_is_used_unless_overridden(demo: LoadedModel) -> None:
    wide = noisy(300, 100)
    own = ImagePreprocessor(demo.preprocess_config)
    assert own.input_size == (3, 96, 96)
    assert np.array_equal(own(wide), ImagePreprocessor(demo.preprocess_config, "squash")(wide))
    assert not np.allclose(own(wide), ImagePreprocessor(demo.preprocess_config, "shortest")(wide))


def test_the_config_is_the_one_open_clip_gives_out(vit: LoadedModel) -> None:
    expected = PreprocessCfg(mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD)
    given = PreprocessCfg(**vit.preprocess_config)
    assert (given.mean, given.std, given.interpolation, given.resize_mode) == (
        expected.mean,
        expected.std,
        "bicubic",
        "shortest",
    )
    assert given.size in (224, (224, 224))
    assert torch.is_tensor(image_transform_v2(given, is_train=False)(noisy(10, 10)))
