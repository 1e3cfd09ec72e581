"""What can't be loaded says so at once, by the settings' names; nothing is replaced silently."""

import time
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from shared.embedding.open_clip import loading
from shared.embedding.open_clip.imported import open_clip
from shared.embedding.open_clip.loading import (
    LoadedModel,
    load_model,
    published_preprocessing,
    vector_length,
)
from shared.embedding.open_clip.torch_backend import TorchEncoder
from shared.errors import ModelUnavailable

TINY = "tiny-for-tests"
TINY_CONFIG = """{"embed_dim": 16,
 "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
 "text_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 2}}"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small architecture under a name of its own in open_clip's list."""
    path = tmp_path_factory.mktemp("models") / f"{TINY}.json"
    path.write_text(TINY_CONFIG)
    open_clip.add_model_config(path)
    return TINY


def unavailable(name: str, pretrained: str) -> str:
    started = time.monotonic()
    with pytest.raises(ModelUnavailable) as caught:
        load_model(name, pretrained)
    assert time.monotonic() - started < 60
    message = caught.value.message
    assert f"CLIP_MODEL={name}" in message
    assert f"CLIP_PRETRAINED={pretrained}" in message
    assert "path of a checkpoint" in message
    return message


def test_an_unknown_model_is_named_with_its_neighbours() -> None:
    assert "ViT-B-32" in unavailable("ViT-B-33", "random")


def test_an_unknown_tag_is_named_with_known_ones() -> None:
    assert "laion2b_s34b_b79k" in unavailable("ViT-B-32", "laion2b_s34b")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere.pt")
    assert "neither a file nor a tag" in unavailable("ViT-B-32", path)


def test_no_weights_named_is_no_leave_for_random_ones() -> None:
    assert "no weights are named" in unavailable("ViT-B-32", "")


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x80\x02}q\0."])
def test_a_file_without_weights_is_named(tiny: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    assert "does not hold weights of this model" in unavailable(tiny, str(path))


def test_weights_of_another_architecture_are_refused(tiny: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"logit_scale": torch.zeros(())}, path)
    assert "does not hold weights of this model" in unavailable(tiny, str(path))


def test_weights_of_another_activation_are_refused_with_the_right_name() -> None:
    assert "CLIP_MODEL=ViT-B-32-quickgelu" in unavailable("ViT-B-32", "openai")


def test_a_missing_local_directory_is_named(tmp_path: Path) -> None:
    assert "nowhere" in unavailable(f"local-dir:{tmp_path}/nowhere", "")


@pytest.mark.parametrize(
    ("name", "pretrained"), [("ViT-B-32", "laion2b_s34b_b79k"), ("hf-hub:laion/some-model", "")]
)
def test_weights_are_given_up_at_the_first_failed_request(
    monkeypatch: pytest.MonkeyPatch, name: str, pretrained: str
) -> None:
    asked: list[str] = []

    def unreachable(url: str, timeout: float) -> None:
        assert timeout <= 5
        asked.append(url)
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    assert "Name or service not known" in unavailable(name, pretrained)
    assert len(asked) == 1


def test_a_checkpoint_file_is_loaded(tiny: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    saved = open_clip.create_model(tiny)
    path = tmp_path / "weights.safetensors"
    save_file(saved.state_dict(), path)
    loaded = load_model(tiny, str(path))
    assert torch.equal(loaded.model.get_parameter("text_projection"), saved.text_projection)
    assert not loaded.model.training


def test_random_weights_agree_between_loads_and_leave_the_generator_alone(tiny: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one = load_model(tiny, "random")
    assert torch.equal(torch.rand(3), expected)
    two = load_model(tiny, "random")
    assert torch.equal(
        one.model.get_parameter("text_projection"), two.model.get_parameter("text_projection")
    )


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tiny: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelUnavailable, match="CLIP_DEVICE"):
        TorchEncoder(tiny, "random", frozenset({"text"}), device="cuda")
    TorchEncoder(tiny, "random", frozenset({"text"}), device="auto")


class Given(nn.Module):
    """A model whose towers give what they are told to."""

    def __init__(self, picture: object, text: object) -> None:
        super().__init__()
        self.visual = nn.Module()
        self.visual.forward = lambda _: picture  # type: ignore[method-assign]
        self.encode_text = lambda _: text


VECTOR = torch.zeros(1, 16)


@pytest.mark.parametrize(
    ("picture", "text", "reason"),
    [
        ((VECTOR, torch.zeros(1, 4, 16)), VECTOR, "more than one vector"),
        (VECTOR, (VECTOR, torch.zeros(1, 4, 16)), "more than one vector"),
        (torch.zeros(1, 4, 16), VECTOR, "more than one vector"),
        (VECTOR, torch.zeros(1, 4, 16), "more than one vector"),
        (VECTOR, torch.zeros(1, 24), "16 numbers, and its texts 24"),
    ],
)
def test_towers_that_do_not_give_one_vector_of_the_same_length_are_refused(
    picture: object, text: object, reason: str
) -> None:
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        vector_length("odd", Given(picture, text), lambda texts: texts, (3, 32, 32))
    assert "CLIP_MODEL=odd" in caught.value.message
    assert "Set CLIP_MODEL to" in caught.value.message
    assert caught.value.code == "model_unavailable"


@pytest.mark.parametrize(
    "name", ["coca_ViT-B-32", "coca_ViT-L-14", "coca_base", "coca_roberta-ViT-B-32"]
)
def test_a_model_that_gives_many_vectors_is_refused_before_its_weights_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: pytest.fail())
    (tag, *_) = open_clip.list_pretrained_tags_by_model(name) or ["random"]
    with pytest.raises(ModelUnavailable, match=r"many vectors.*Set CLIP_MODEL to"):
        load_model(name, tag)


def test_a_model_of_a_library_that_is_missing_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    for name in ("ViT-B-16-SigLIP", "xlm-roberta-base-ViT-B-32"):
        with pytest.raises(ModelUnavailable, match=r"requirements-multilingual\.txt"):
            load_model(name, "random")


def test_a_tokenizer_that_can_not_be_had_is_told_before_the_weights_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def unreachable(url: str, **_: object) -> None:
        asked.append(url)
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    assert "Name or service not known" in unavailable("ViT-B-16-SigLIP", "webli")
    assert len(asked) == 1
    assert "tokenizer" in asked[0]


def test_a_configuration_that_states_another_length_is_refused(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "stated_dimensions", lambda _: 24)
    with pytest.raises(ModelUnavailable, match=r"states vectors of 24 numbers.*give 16"):
        load_model(tiny, "random")


def test_a_checkpoint_is_prepared_for_as_all_published_weights_are() -> None:
    siglip = published_preprocessing("ViT-B-16-SigLIP")
    assert siglip == {
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }
    assert published_preprocessing("MobileCLIP-B")["mean"] == (0.0, 0.0, 0.0)
    assert published_preprocessing(TINY) == {}
    clip = published_preprocessing("ViT-B-32")
    assert clip["mean"] == open_clip.constants.OPENAI_DATASET_MEAN
    assert clip.get("resize_mode", "shortest") == "shortest"


def test_only_the_towers_asked_for_are_kept_and_others_open_later(tiny: str) -> None:
    encoder = TorchEncoder(tiny, "random", frozenset({"text"}))
    assert encoder.towers == {"text"}
    assert encoder.dimensions == 16
    with pytest.raises(RuntimeError, match="image tower"):
        encoder.core_images([])
    encoder.open_tower("image")
    assert encoder.towers == {"image", "text"}
    only_image = TorchEncoder(tiny, "random", frozenset({"image"}))
    with pytest.raises(RuntimeError, match="text tower"):
        only_image.pre_text("shirt")


def test_the_demo_model_comes_with_the_project(demo: LoadedModel) -> None:
    assert demo.preprocess_config["resize_mode"] == "squash"
    assert not demo.model.training
