"""Text towers of the transformers library, as the multilingual models have them.

The real ones can't be fetched here: a tiny XLM-RoBERTa with random weights and a tokenizer trained
on a few phrases stands in, loaded from a directory as open_clip does it.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig

from shared.embedding.open_clip.imported import open_clip, with_towers_of
from shared.embedding.open_clip.loading import LoadedModel, load_model
from shared.embedding.open_clip.masked_text import MaskedTransformer, Padding
from shared.embedding.open_clip.torch_backend import TorchEncoder
from shared.embedding.openvino import backend as openvino_backend
from shared.embedding.openvino.backend import OpenVinoEncoder

pytestmark = pytest.mark.slow

PHRASES = [
    "red shirt",
    "robe rouge à pois blancs",
    "blaues Hemd mit weißen Punkten",
    "zapatos negros de mujer",
    "白いシャツ",
    "",
    "un vestido azul de verano con lunares blancos " * 20,
]
PAD = 1


def make_model(folder: Path, pooler: str = "mean_pooler") -> str:
    """A model's name, whose files lie in `folder`: configs, tokenizer and weights."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        PHRASES * 5,
        trainers.UnigramTrainer(
            vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), special, strict=True)),
    ).save_pretrained(folder)
    XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=100,
        type_vocab_size=1,
        pad_token_id=PAD,
    ).save_pretrained(folder)
    text = {
        "hf_model_name": str(folder),
        "hf_tokenizer_name": str(folder),
        "hf_pooler_type": pooler,
        "hf_model_pretrained": False,
    }
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}})
    )
    with_towers_of("transformers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CustomTextCLIP(**config)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


ALONE = """
import json, sys
from pathlib import Path
from shared.embedding.open_clip.loading import load_model
from shared.embedding.open_clip.imported import open_clip
before = "transformers" in sys.modules
folder = Path(sys.argv[1])
config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
(folder / "tiny-multilingual.json").write_text(json.dumps(config))
open_clip.add_model_config(folder / "tiny-multilingual.json")
directory = sys.argv[2] == "directory"
name, weights = (f"local-dir:{folder}", "") if directory else ("tiny-multilingual", "random")
loaded = load_model(name, weights)
print(before, tuple(loaded.model.encode_text(loaded.tokenizer(["robe"])).shape))
"""


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("multilingual"))


@pytest.fixture(scope="module")
def loaded(name: str) -> LoadedModel:
    return load_model(name, "")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converted")


def open_clips(loaded: LoadedModel, texts: Sequence[str]) -> NDArray[np.float32]:
    """open_clip's own vectors, every text padded to all 77 places."""
    tokens = loaded.tokenizer(list(texts))
    assert tokens.shape == (len(texts), 77)
    with torch.inference_mode():
        vectors: NDArray[np.float32] = loaded.model.encode_text(tokens).numpy()  # type: ignore[operator]
    return vectors


def off(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest error, as a share of the vectors' length."""
    lengths = np.linalg.norm(expected, axis=1)
    return float((np.linalg.norm(found - expected, axis=1) / lengths).max())


@pytest.mark.parametrize("kind", ["directory", "built in"])
def test_a_process_imports_the_library_when_a_model_needs_it(kind: str, tmp_path: Path) -> None:
    make_model(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path), kind],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    # Above it stands the log's warning that the weights are random.
    assert ended.stdout.splitlines()[-1] == "False (1, 24)"


def test_trimmed_texts_have_open_clips_vectors_together_and_alone(
    name: str, loaded: LoadedModel
) -> None:
    ours = TorchEncoder(name, "", frozenset({"text"}), device="cpu")
    expected = open_clips(loaded, PHRASES)
    texts = [ours.pre_text(phrase) for phrase in PHRASES]
    assert [len(ids) for ids in texts[:1] + texts[-2:]] == [
        int((loaded.tokenizer(["red shirt"]) != PAD).sum()),
        2,
        77,
    ]
    assert off(ours.core_texts(texts), expected) <= 1e-6
    assert off(ours.core_texts(texts[:5]), expected[:5]) <= 1e-6
    alone = np.concatenate([ours.core_texts([ids]) for ids in texts])
    assert off(alone, expected) <= 1e-6


def test_the_measure_would_catch_padding_that_is_not_masked(loaded: LoadedModel) -> None:
    """Keeps the test above honest: texts filled up with another token have other vectors."""
    ids = loaded.tokenizer(PHRASES[:5]).numpy()
    texts = [each[: Padding(PAD).length(each)] for each in ids]
    (wrong,) = Padding(pad_id=5).inputs(texts)
    with torch.inference_mode():
        found = loaded.model.encode_text(torch.from_numpy(wrong)).numpy()  # type: ignore[operator]
    assert off(found, open_clips(loaded, PHRASES[:5])) > 0.01


def test_openvino_gives_the_same_vectors_also_from_disk(
    name: str, loaded: LoadedModel, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoder() -> OpenVinoEncoder:
        return OpenVinoEncoder(
            name,
            "",
            frozenset({"text"}),
            directory=directory,
            precision="fp32",
            torch_may_help=False,
        )

    expected = open_clips(loaded, PHRASES)
    first = encoder()
    texts = [first.pre_text(phrase) for phrase in PHRASES]
    found = first.core_texts(texts)
    assert off(found, expected) <= 2e-6
    assert off(first.core_texts(texts[:5]), expected[:5]) <= 2e-6
    assert off(np.concatenate([first.core_texts([ids]) for ids in texts]), expected) <= 2e-6
    monkeypatch.setattr(openvino_backend, "load_model", lambda *_: pytest.fail("loaded"))
    second = encoder()
    assert np.array_equal(second.core_texts([second.pre_text(phrase) for phrase in PHRASES]), found)


def test_the_precision_is_measured_as_for_any_other_tower(name: str, directory: Path) -> None:
    ours = OpenVinoEncoder(name, "", frozenset({"text"}), directory=directory, torch_may_help=False)
    assert np.isfinite(ours.core_texts([ours.pre_text("red shirt")])).all()


def test_queries_may_be_cut_into_tokens_from_many_threads(name: str) -> None:
    ours = TorchEncoder(name, "", frozenset({"text"}), device="cpu")
    expected = [ours.pre_text(phrase).tolist() for phrase in PHRASES]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            found = pool.map(lambda phrase: ours.pre_text(phrase).tolist(), PHRASES * 4)
            assert list(found) == expected * 4


@pytest.mark.parametrize(
    ("pooler", "trims"), [("cls_pooler", True), ("mean_pooler", True), ("max_pooler", False)]
)
def test_only_towers_that_mask_their_padding_are_trimmed(
    pooler: str, trims: bool, tmp_path: Path
) -> None:
    made = open_clip.create_model(make_model(tmp_path, pooler))
    assert (MaskedTransformer.of(made.text) is not None) is trims


def test_a_text_of_padding_alone_keeps_one_place() -> None:
    cut = Padding(pad_id=1)
    assert cut.length(np.array([1, 1, 1])) == 1
    assert cut.length(np.array([0, 1, 2, 1])) == 3
    (padded,) = cut.inputs([np.array([0, 2]), np.array([0, 5, 2])])
    assert padded.tolist() == [[0, 2, 1], [0, 5, 2]]
