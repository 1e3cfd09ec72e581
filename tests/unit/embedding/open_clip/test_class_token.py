"""Picture towers have exactly open_clip's vectors, and do less for them where they can."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shared.embedding.open_clip.class_token import ClassTokenTower, image_tower
from shared.embedding.open_clip.imported import open_clip
from shared.embedding.open_clip.loading import LoadedModel
from shared.embedding.open_clip.preprocess import ImagePreprocessor

TOLERANCE = 2e-6

TEXT = {"context_length": 8, "width": 32, "heads": 2, "layers": 1}
VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}


def tiny(**vision_options: object) -> Any:
    torch.manual_seed(1)
    model = open_clip.CLIP(16, {**VISION, **vision_options}, TEXT)
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "gamma")):  # They begin at zero or so, and would hide themselves.
            nn.init.normal_(parameter)
    return model.eval()


def pictures(count: int, edge: int) -> Tensor:
    return torch.randn(count, 3, edge, edge, generator=torch.Generator().manual_seed(2))


def off(model: Any, pixels: Tensor) -> float:
    """How far our vectors are off open_clip's, as a share of their length; the worst."""
    with torch.inference_mode():
        expected = model.encode_image(pixels)
        found = image_tower(model)(pixels)
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())


@pytest.mark.parametrize(
    ("options", "reads_one_place"),
    [
        ({}, True),
        ({"final_ln_after_pool": True}, True),
        ({"no_ln_pre": True}, True),
        ({"ls_init_value": 0.3}, True),
        ({"layers": 1}, True),
        ({"pool_type": "avg"}, False),
        ({"attentional_pool": True, "attn_pooler_heads": 2}, False),
        ({"qk_norm": True}, False),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_every_build_of_tower_has_open_clips_vectors(
    options: dict[str, object], reads_one_place: bool, count: int
) -> None:
    model = tiny(**options)
    assert isinstance(image_tower(model), ClassTokenTower) is reads_one_place
    assert off(model, pictures(count, 32)) <= TOLERANCE


@pytest.mark.parametrize("name", ["vit", "demo"])
def test_the_models_in_use_have_open_clips_vectors(
    name: str, request: pytest.FixtureRequest
) -> None:
    loaded: LoadedModel = request.getfixturevalue(name)
    assert isinstance(image_tower(loaded.model), ClassTokenTower)
    _, edge, _ = ImagePreprocessor(loaded.preprocess_config).input_size
    assert off(loaded.model, pictures(3, edge)) <= TOLERANCE


def test_the_last_block_computes_the_class_token_alone() -> None:
    model = tiny()
    widths = []
    for block in model.get_submodule("visual.transformer.resblocks").children():
        block.get_submodule("mlp").register_forward_hook(
            lambda _module, inputs, _output: widths.append(inputs[0].shape[1])
        )
    with torch.inference_mode():
        image_tower(model)(pictures(2, 32))
    assert widths == [17, 17, 1]
