"""Models as SigLIP's: texts that look in both directions, pictures prepared in another way.

SigLIP's own tokenizer is on a hub; texts are token ids that are made up, padded to 64 places.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from shared.embedding.encoder import post
from shared.embedding.open_clip import torch_backend
from shared.embedding.open_clip.imported import (
    PreprocessCfg,
    image_transform_v2,
    open_clip,
    with_towers_of,
)
from shared.embedding.open_clip.loading import LoadedModel
from shared.embedding.open_clip.preprocess import ImagePreprocessor
from shared.embedding.open_clip.torch_backend import TorchEncoder
from shared.embedding.openvino import backend as openvino_backend
from shared.embedding.openvino.backend import OpenVinoEncoder
from tests.unit.embedding.drawn import noisy

CONTEXT = 64
PAD = 1
WORDS = 32_000

SIGLIP_LIKE: dict[str, Any] = {
    "embed_dim": 96,
    "init_logit_bias": -10,
    "vision_cfg": {
        "image_size": 160,
        "timm_model_name": "test_vit3",
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": WORDS,
        "width": 64,
        "heads": 4,
        "layers": 2,
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
    },
}
"""ViT-B-16-SigLIP's configuration, made small."""

PREPROCESSING = {
    **vars(PreprocessCfg(size=160)),
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "interpolation": "bicubic",
    "resize_mode": "squash",
}

TEXTS = ["red shirt", "", "a", "a long blue dress with dots", "w " * 100]


class MadeUpTokenizer:
    """A token for each word, and padding up to the end."""

    clean_fn = None

    def __call__(self, texts: Sequence[str]) -> Tensor:
        ids = torch.full((len(texts), CONTEXT), PAD)
        for row, text in zip(ids, texts, strict=True):
            words = [2 + sum(map(ord, word)) * 31 % (WORDS - 2) for word in text.split()]
            row[: len(words[:CONTEXT])] = torch.tensor(words[:CONTEXT], dtype=torch.long)
        return ids


@pytest.fixture(scope="module")
def siglip() -> LoadedModel:
    with_towers_of("timm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = open_clip.CustomTextCLIP(**SIGLIP_LIKE).eval()
        # As trained: what is random this small is nearly the same for every text.
        torch.nn.init.normal_(model.text.token_embedding.weight, std=1.0)
    return LoadedModel(model, MadeUpTokenizer(), PREPROCESSING, 96)


def text_vectors(loaded: LoadedModel) -> NDArray[np.float32]:
    """open_clip's own, normalised, of texts with all their padding."""
    with torch.inference_mode():
        given = loaded.model.encode_text(loaded.tokenizer(TEXTS), normalize=True)  # type: ignore[operator]
        vectors: NDArray[np.float32] = given.numpy()
    return vectors


def picture_vectors(loaded: LoadedModel, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
    """open_clip's own, by its own preprocessing."""
    transform = image_transform_v2(PreprocessCfg(**PREPROCESSING), is_train=False)
    with torch.inference_mode():
        pixels = torch.stack([transform(picture) for picture in pictures])  # type: ignore[misc]
        vectors: NDArray[np.float32] = loaded.model.encode_image(pixels, normalize=True).numpy()  # type: ignore[operator]
    return vectors


@pytest.fixture(params=["torch", "openvino"], scope="module")
def encoder(
    request: pytest.FixtureRequest, siglip: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TorchEncoder | OpenVinoEncoder]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "torch":
            patch.setattr(torch_backend, "load_model", lambda *_: siglip)
            yield TorchEncoder("siglip", "", frozenset({"image", "text"}), device="cpu")
            return
        patch.setattr(openvino_backend, "load_model", lambda *_: siglip)
        patch.setattr(openvino_backend, "load_tokenizer", lambda *_: MadeUpTokenizer())
        patch.setattr(openvino_backend, "weights_identity", lambda *_: "made up")
        yield OpenVinoEncoder(
            "siglip",
            "",
            frozenset({"image", "text"}),
            directory=tmp_path_factory.mktemp("siglip"),
            precision="fp32",
            torch_may_help=False,
        )


def test_texts_have_open_clips_vectors_with_all_their_padding(
    siglip: LoadedModel, encoder: TorchEncoder | OpenVinoEncoder
) -> None:
    expected = text_vectors(siglip)
    ids = [encoder.pre_text(text) for text in TEXTS]
    assert {len(each) for each in ids} == {CONTEXT}
    assert encoder.dimensions == 96
    together = np.stack(post(encoder.core_texts(ids)))
    alone = np.stack([post(encoder.core_texts([each]))[0] for each in ids])
    assert np.abs(together - expected).max() <= 2e-6
    assert np.abs(alone - expected).max() <= 2e-6


def test_the_measure_would_catch_texts_without_their_padding(siglip: LoadedModel) -> None:
    """Keeps the test above honest: trimmed texts have other vectors."""
    ids = siglip.tokenizer(TEXTS[:1])
    text = siglip.model.get_submodule("text")
    with torch.inference_mode():
        whole, trimmed = (torch.nn.functional.normalize(text(each)) for each in (ids, ids[:, :2]))
    assert float((whole - trimmed).abs().max()) > 0.01


def test_pictures_have_open_clips_vectors_by_the_models_own_preprocessing(
    siglip: LoadedModel, encoder: TorchEncoder | OpenVinoEncoder
) -> None:
    pictures = [noisy(200, 120, seed) for seed in range(3)]
    expected = picture_vectors(siglip, pictures)
    found = np.stack(post(encoder.core_images([encoder.pre_image(each) for each in pictures])))
    assert np.abs(found - expected).max() <= 5e-6


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash"},
        {"mean": (0.0,) * 3, "std": (1.0,) * 3, "interpolation": "bilinear"},
        {"resize_mode": "longest", "fill_color": 0},
        {"size": (96, 160), "resize_mode": "squash"},
    ],
)
def test_pixels_are_those_of_open_clip_whatever_a_model_asks_for(changes: dict[str, Any]) -> None:
    config = PreprocessCfg(**{**vars(PreprocessCfg(size=160)), **changes})
    picture = noisy(300, 130, 7)
    expected = image_transform_v2(config, is_train=False)(picture)
    found = ImagePreprocessor(vars(config))(picture)
    assert np.abs(found - np.asarray(expected)).max() <= 1e-6
