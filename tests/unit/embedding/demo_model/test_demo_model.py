"""The published demo weights: small, complete, and finding drawings that they have never seen.

`python -m demo.model.evaluate` measures the same over whole galleries.
"""

import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from demo.catalogue import catalogue
from demo.model.captions import any_caption
from demo.model.combinations import ALL_COMBINATIONS, HELD_OUT, Combination
from demo.model.evaluate import (
    Answer,
    ask_for_all,
    encode_drawings,
    encode_pictures,
    encode_texts,
    random_model,
)
from shared.embedding.demo_model.loading import (
    DEMO_MODEL_DIR,
    demo_preprocess_config,
    demo_tokenizer,
    load_demo_model,
)
from shared.embedding.open_clip.imported import PreprocessCfg, image_transform_v2, open_clip

WEIGHTS = DEMO_MODEL_DIR / "weights.safetensors"
SHIRTS = [Combination("shirt", colour, "plain") for colour in ("red", "blue", "pink")]
ASKED_FOR = [
    Combination("shirt", "blue", "plain"),
    Combination("dress", "blue", "dotted"),
    Combination("trousers", "black", "plain"),
    Combination("sock", "green", "striped"),
    Combination("scarf", "red", "checked"),
]
NEW_SEED = 3_000_000


@pytest.fixture(scope="module")
def model() -> open_clip.CLIP:
    return load_demo_model()


@pytest.fixture(scope="module")
def gallery(model: open_clip.CLIP) -> tuple[list[Combination], Tensor]:
    """A tenth of all combinations, and every one that training has not seen, drawn anew."""
    shown = sorted({*ALL_COMBINATIONS[::10], *HELD_OUT, *ASKED_FOR})
    return shown, encode_drawings(model, shown, NEW_SEED, size=128)


@pytest.fixture(scope="module")
def shirts(model: open_clip.CLIP) -> Tensor:
    return encode_drawings(model, SHIRTS, NEW_SEED, size=96)


@pytest.fixture(scope="module")
def answers(model: open_clip.CLIP, gallery: tuple[list[Combination], Tensor]) -> list[Answer]:
    return ask_for_all(model, *gallery, seed=1)


def share_right(answers: list[Answer]) -> float:
    return sum(answer.right for answer in answers) / len(answers)


def test_unseen_drawings_are_found_by_their_captions(answers: list[Answer]) -> None:
    assert share_right(answers) >= 0.90


def test_combinations_unseen_in_training_are_found(answers: list[Answer]) -> None:
    assert share_right([answer for answer in answers if answer.asked in HELD_OUT]) >= 0.85


def test_french_captions_find_them_too(answers: list[Answer]) -> None:
    assert share_right([answer for answer in answers if answer.language == "fr"]) >= 0.85


def test_random_weights_fail_the_same_test(gallery: tuple[list[Combination], Tensor]) -> None:
    shown, _ = gallery
    untrained = random_model()
    vectors = encode_drawings(untrained, shown, NEW_SEED, size=96)
    assert share_right(ask_for_all(untrained, shown, vectors, seed=1)) < 0.05


@pytest.mark.parametrize(
    "query",
    [
        "red shirt",
        "Red Shirt",
        "RED SHIRT!",
        "a photo of a red shirt",
        "red t-shirt",
        "t-shirt rouge",
        "T-shirt rouge",
        "tee-shirt rouge",
        "un t-shirt rouge, s'il vous plaît",
        "rouge",
    ],
)
def test_a_red_shirt_comes_first_among_shirts(
    model: open_clip.CLIP, shirts: Tensor, query: str
) -> None:
    found = encode_texts(model, [query]) @ shirts.T
    assert SHIRTS[int(found.argmax())].colour == "red"


@pytest.mark.parametrize("query", ["red shirt", "t-shirt rouge"])
def test_the_catalogues_red_shirt_is_the_best_answer_to_its_name(
    model: open_clip.CLIP, query: str
) -> None:
    entries = catalogue(60, "http://shop.test")
    vectors = encode_pictures(model, [entry.picture(size=128) for entry in entries])
    found = encode_texts(model, [query]) @ vectors.T
    assert entries[int(found.argmax())].product["name"] == "Red Shirt"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("blue shirt", ("shirt", "blue", None)),
        ("robe bleue à pois", ("dress", "blue", "dotted")),
        ("robe bleue a pois", ("dress", "blue", "dotted")),
        ("black trousers", ("trousers", "black", None)),
        ("pantalons noirs", ("trousers", "black", None)),
        ("green striped sock", ("sock", "green", "striped")),
        ("sac à main", ("bag", None, None)),
        ("shoes", ("shoe", None, None)),
        ("checked scarf", ("scarf", None, "checked")),
        ("écharpe à carreaux", ("scarf", None, "checked")),
        ("something yellow", (None, "yellow", None)),
        ("à rayures", (None, None, "striped")),
    ],
)
def test_queries_that_leave_something_out_find_what_they_say(
    model: open_clip.CLIP,
    gallery: tuple[list[Combination], Tensor],
    query: str,
    expected: tuple[str | None, str | None, str | None],
) -> None:
    shown, vectors = gallery
    best = shown[int((encode_texts(model, [query]) @ vectors.T).argmax())]
    assert fits(expected, best), best


def fits(expected: tuple[str | None, str | None, str | None], shown: Combination) -> bool:
    return all(word in (None, own) for word, own in zip(expected, shown, strict=True))


def test_words_that_the_model_has_never_met_do_little_harm(model: open_clip.CLIP) -> None:
    known, padded, other = encode_texts(
        model, ["red shirt", "red shirt blorf qwzx 2031", "blue skirt"]
    )
    assert known @ padded > 0.8
    assert known @ padded > known @ other + 0.3


def test_what_stands_behind_the_end_of_the_text_changes_nothing(model: open_clip.CLIP) -> None:
    # The service cuts texts to their length, which is exact for a causal tower read at the end.
    tokens = demo_tokenizer()(["red shirt"])
    scribbled = tokens.clone()
    scribbled[:, 8:] = 320
    with torch.inference_mode():
        assert torch.allclose(model.encode_text(tokens), model.encode_text(scribbled), atol=1e-5)


def test_the_model_is_open_clips_in_eval_mode_with_512_numbers(model: open_clip.CLIP) -> None:
    assert isinstance(model, open_clip.CLIP)
    assert not model.training
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert encode_texts(model, ["red shirt"]).shape == (1, 512)
    assert encode_drawings(model, SHIRTS[:1], 1, size=96).shape == (1, 512)


def test_two_loads_give_the_same_model(model: open_clip.CLIP) -> None:
    again = load_demo_model().state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 16_000_000


def test_every_token_of_the_captions_has_a_row_of_its_own(model: open_clip.CLIP) -> None:
    ids = set(load_file(WEIGHTS)["token_embedding.ids"].tolist())
    tokenizer = demo_tokenizer()
    rng = random.Random(7)
    for shown in ALL_COMBINATIONS:
        for language in ("en", "fr"):
            assert ids.issuperset(tokenizer.encode(any_caption(shown, language, rng).text))
    assert {tokenizer.sot_token_id, tokenizer.eot_token_id} <= ids
    assert len(model.token_embedding.weight) == tokenizer.vocab_size


def test_unstored_tokens_share_the_fill_row(model: open_clip.CLIP) -> None:
    stored = load_file(WEIGHTS)
    unstored = np.setdiff1d(np.arange(49_408), stored["token_embedding.ids"].numpy())
    fill = stored["token_embedding.fill"].float()
    assert torch.equal(
        model.token_embedding.weight[torch.from_numpy(unstored)],
        fill.expand(len(unstored), -1),
    )


def test_the_preprocess_config_is_one_that_open_clip_takes() -> None:
    config = PreprocessCfg(**demo_preprocess_config())
    assert config.input_size == (3, 96, 96)
    assert image_transform_v2(config, is_train=False) is not None
