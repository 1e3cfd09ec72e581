"""Trimmed texts have exactly the vectors that open_clip gives them."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.embedding.encoder import post
from shared.embedding.open_clip.imported import open_clip
from shared.embedding.open_clip.loading import LoadedModel
from shared.embedding.open_clip.text import ReadPlace, TextTower

TOLERANCE = 5e-7

TEXTS = [
    "red shirt",
    "",
    "a",
    "t-shirt rouge à manches longues, col en V",
    "   spaces   and\nlines ",
    "émoji 👗 and 漢字",
    "a blue cotton summer dress with white dots and a belt " * 2,
    "long " * 300,
    "end_of_text <in> the middle of a text",
    "x" * 400,
]


def reference(loaded: LoadedModel, texts: Sequence[str]) -> NDArray[np.float32]:
    """open_clip's own vectors, normalised."""
    with torch.inference_mode():
        tokens = loaded.tokenizer(list(texts))
        return loaded.model.encode_text(tokens, normalize=True).numpy()


def ours(tower: TextTower, texts: Sequence[str]) -> NDArray[np.float32]:
    return np.stack(post(tower.encode([tower.tokens(text) for text in texts])))


@pytest.fixture(scope="module")
def tower(vit: LoadedModel, cpu: torch.device) -> TextTower:
    return TextTower(vit.model, vit.tokenizer, cpu)


@pytest.fixture(scope="module")
def expected(vit: LoadedModel) -> NDArray[np.float32]:
    return reference(vit, TEXTS)


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_a_lone_text_has_open_clips_vector(
    tower: TextTower, expected: NDArray[np.float32], number: int
) -> None:
    assert np.abs(ours(tower, [TEXTS[number]])[0] - expected[number]).max() <= TOLERANCE


def test_a_mixed_batch_has_open_clips_vectors(
    tower: TextTower, expected: NDArray[np.float32]
) -> None:
    assert np.abs(ours(tower, TEXTS) - expected).max() <= TOLERANCE


def test_a_texts_vector_does_not_depend_on_its_neighbours(tower: TextTower) -> None:
    alone = ours(tower, ["red shirt"])[0]
    beside = ours(tower, ["long " * 300, "red shirt", ""])[1]
    assert np.abs(alone - beside).max() <= TOLERANCE


def test_tokens_end_at_the_end_of_the_text(vit: LoadedModel, tower: TextTower) -> None:
    end = vit.tokenizer.eot_token_id
    assert len(tower.tokens("red shirt")) == 4
    for text in TEXTS:
        ids = tower.tokens(text)
        assert ids[-1] == end
        assert end not in ids[:-1]
    assert len(tower.tokens("long " * 300)) == 77


def test_the_demo_model_is_trimmed_to_its_own_context(demo: LoadedModel, cpu: torch.device) -> None:
    tower = TextTower(demo.model, demo.tokenizer, cpu)
    assert len(tower.tokens("a")) == 3
    assert len(tower.tokens("long " * 300)) == 32
    assert np.abs(ours(tower, TEXTS) - reference(demo, TEXTS)).max() <= TOLERANCE


TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 2},
}


def tiny(kind: type, **text_options: object) -> LoadedModel:
    config = {**TINY, "text_cfg": {**TINY["text_cfg"], **text_options}}  # type: ignore[dict-item]
    torch.manual_seed(1)
    return LoadedModel(kind(**config).eval(), open_clip.SimpleTokenizer(context_length=20), {}, 16)


@pytest.mark.parametrize("kind", [open_clip.CLIP, open_clip.CustomTextCLIP])
@pytest.mark.parametrize(
    ("options", "trims"),
    [
        ({}, True),
        ({"proj_bias": True}, True),
        ({"proj_type": "none"}, True),
        ({"pool_type": "eos", "eos_id": 49407}, True),
        ({"pool_type": "first"}, True),
        ({"pool_type": "last"}, False),
        ({"no_causal_mask": True}, False),
        ({"no_causal_mask": True, "pool_type": "first"}, False),
        ({"no_causal_mask": True, "pool_type": "last"}, False),
        ({"no_causal_mask": True, "pool_type": "last", "proj_bias": True}, False),
        ({"no_causal_mask": True, "pool_type": "eos", "eos_id": 49407}, False),
    ],
)
def test_every_build_of_tower_has_open_clips_vectors(
    kind: type, options: dict[str, object], trims: bool, cpu: torch.device
) -> None:
    loaded = tiny(kind, **options)
    expected = reference(loaded, TEXTS)
    tower = TextTower(loaded.model, loaded.tokenizer, cpu)
    assert (len(tower.tokens("red shirt")) < 20) is trims
    assert np.abs(ours(tower, TEXTS) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("masks", [False, True], ids=["class token", "masked padding"])
def test_what_stands_at_the_very_end_or_is_masked_is_not_trimmed_away(
    masks: bool, cpu: torch.device
) -> None:
    options = {"no_causal_mask": True, "pool_type": "first"} if masks else {"embed_cls": True}
    loaded = tiny(open_clip.CustomTextCLIP, **options)
    loaded.model.text.use_pad_mask = masks  # type: ignore[union-attr]
    expected = reference(loaded, TEXTS)
    tower = TextTower(loaded.model, loaded.tokenizer, cpu)
    assert len(tower.tokens("red shirt")) == 20
    assert np.abs(ours(tower, TEXTS) - expected).max() <= TOLERANCE


def test_a_tower_whose_trimmed_form_is_wrong_is_called_as_it_is(
    monkeypatch: pytest.MonkeyPatch, cpu: torch.device
) -> None:
    """The check at load, whatever of the form of a tower was misread."""
    monkeypatch.setattr(ReadPlace, "length", lambda _, ids: int(ids.argmax()) + 1)
    loaded = tiny(open_clip.CustomTextCLIP, no_causal_mask=True, pool_type="last")
    expected = reference(loaded, TEXTS)
    assert np.abs(ours(TextTower(loaded.model, loaded.tokenizer, cpu), TEXTS) - expected).max() <= (
        TOLERANCE
    )


def test_the_tokenizers_memory_of_words_stays_bounded(
    tower: TextTower, vit: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.embedding.open_clip.text._TOKENIZER_CACHE_WORDS", 50)
    before = tower.tokens("<start_of_text> shirt")
    for number in range(200):
        tower.tokens("".join("abcdefghij"[int(digit)] for digit in str(number)) + "q")
    assert len(vit.tokenizer.cache) <= 51
    assert np.array_equal(tower.tokens("<start_of_text> shirt"), before)
