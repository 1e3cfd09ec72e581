"""Which backend and precision run the model, and what can't be had."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs

from shared.embedding import backends, precision
from shared.embedding.backends import batch_size, load_encoder
from shared.embedding.encoder import Encoder, post
from shared.embedding.open_clip.torch_backend import TorchEncoder
from shared.embedding.openvino import runtime as openvino_runtime
from shared.embedding.openvino.backend import OpenVinoEncoder
from shared.errors import ModelUnavailable
from shared.settings import Settings


@pytest.fixture
def load(converted: Path) -> Any:
    def loaded(**settings: Any) -> Encoder:
        given = Settings(_env_file=None, clip_model="demo", data_dir=converted, **settings)
        return load_encoder(given, frozenset({"text"}), threads=settings.pop("threads", None))

    return loaded


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openvino", "_core", "supported_precisions"):
        getattr(openvino_runtime, name).cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)


def test_auto_takes_openvino_and_says_from_what_it_chose(load: Any) -> None:
    with capture_logs() as lines:
        assert isinstance(load(), OpenVinoEncoder)
    (line,) = (line for line in lines if line["event"] == "encoder_chosen")
    assert line["chosen"].startswith("openvino ")
    assert sum("(chosen)" in candidate for candidate in line["candidates"]) == 1
    assert {candidate.partition(":")[0] for candidate in line["candidates"]} == {
        "openvino fp32",
        "openvino bf16",
        "openvino fp16",
        "torch fp32",
    }


@pytest.mark.usefixtures("without_openvino")
def test_auto_takes_torch_where_openvino_is_missing(load: Any) -> None:
    with capture_logs() as lines:
        assert isinstance(load(), TorchEncoder)
    assert "OpenVINO can't be loaded" in lines[0]["candidates"][0]


@pytest.mark.usefixtures("without_openvino")
def test_openvino_that_is_asked_for_and_missing_stops_the_start(load: Any) -> None:
    with pytest.raises(ModelUnavailable, match="CLIP_BACKEND=openvino"):
        load(clip_backend="openvino")


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_a_precision_that_the_cpu_lacks_stops_the_start(
    load: Any, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "supported_precisions", lambda: frozenset({"fp32"}))
    with pytest.raises(ModelUnavailable, match="CLIP_PRECISION=bf16"):
        load(clip_backend=backend, clip_precision="bf16")


def test_torch_on_a_cpu_runs_in_fp32_only(load: Any) -> None:
    with pytest.raises(ModelUnavailable, match="CLIP_PRECISION=fp16"):
        load(clip_backend="torch", clip_precision="fp16")
    assert isinstance(load(clip_backend="torch", clip_precision="fp32"), TorchEncoder)


def test_int8_runs_on_openvino_only(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match="CLIP_PRECISION=int8 runs on OpenVINO"):
        load(clip_backend="torch", clip_precision="int8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ModelUnavailable, match="CLIP_DEVICE=cpu"):
        load(clip_precision="int8")


def test_openvino_and_cuda_exclude_each_other(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ModelUnavailable, match="CLIP_DEVICE=cuda"):
        load(clip_backend="openvino", clip_device="cuda")


def test_a_gpu_gets_large_batches_unless_the_setting_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = TorchEncoder("demo", "", frozenset({"text"}))
    usual = Settings.model_fields["embed_batch_size"].default
    assert batch_size(usual, encoder, given=False) == usual
    monkeypatch.setattr(encoder, "device", torch.device("cuda"))
    assert batch_size(usual, encoder, given=False) == 256
    assert batch_size(64, encoder, given=True) == 64
    assert batch_size(usual, encoder, given=True) == usual


def test_cuda_runs_in_fp16_unless_the_setting_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that shows without a GPU: what would be built."""
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        backends,
        "TorchEncoder",
        lambda *_, device, precision, **__: asked.append((device, precision)),
    )
    for settings in (Settings(_env_file=None), Settings(_env_file=None, clip_precision="fp32")):
        load_encoder(settings, frozenset({"image"}), None)
    assert asked == [("cuda", "fp16"), ("cuda", "fp32")]


def test_torchs_half_precision_gives_the_same_vectors_nearly() -> None:
    """fp16 is for CUDA; its numbers are the same on a CPU, only slower."""
    exact, halved = (
        TorchEncoder("demo", "", frozenset({"image", "text"}), device="cpu", precision=each)
        for each in ("fp32", "fp16")
    )
    tokens = [exact.pre_text("red shirt"), exact.pre_text("a blue dress with white dots")]
    pixels = list(torch.randn(3, 3, exact.image_edge, exact.image_edge).numpy())
    for one, other in (
        (exact.core_texts(tokens), halved.core_texts(tokens)),
        (exact.core_images(pixels), halved.core_images(pixels)),
    ):
        for mine, theirs in zip(post(one), post(other), strict=True):
            assert float(mine @ theirs) > 0.9999  # type: ignore[operator]


def test_a_process_can_be_bound_to_fewer_threads_than_cores_but_not_to_more(
    converted: Path,
) -> None:
    directory = converted / "converted-models"
    with capture_logs() as lines:
        for threads in (1, 1000):
            OpenVinoEncoder("demo", "", frozenset({"text"}), directory=directory, threads=threads)
    found = [line["threads"] for line in lines if line["event"] == "encoder_chosen"]
    assert found[0] == 1
    assert found[1] <= openvino_runtime._usable_cores()


def test_another_precision_is_taken_only_where_it_is_faster_by_a_margin() -> None:
    assert precision.fastest({}) == "fp32"
    assert precision.fastest({"fp32": [1.0], "bf16": [0.95]}) == "fp32"
    assert precision.fastest({"fp32": [1.0], "bf16": [0.5]}) == "bf16"
    # Alone a lot faster, together a little slower.
    assert precision.fastest({"fp32": [1.0, 8.0], "bf16": [0.5, 8.1]}) == "fp32"


def test_what_was_measured_decides_the_next_start(
    converted: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        precision.openvino_runtime, "supported_precisions", lambda: frozenset({"fp32", "bf16"})
    )
    monkeypatch.setattr(precision, "measure", lambda *_: {"fp32": [2.0, 2.0], "bf16": [1.0, 1.0]})
    for noted in converted.glob("converted-models/*/speed-text-*.json"):
        noted.unlink()
    chosen = []
    for _ in range(2):
        with capture_logs() as lines:
            load()
        chosen += [line["chosen"] for line in lines if line["event"] == "encoder_chosen"]
        monkeypatch.setattr(precision, "measure", lambda *_: pytest.fail("measured again"))
    assert chosen == ["openvino bf16", "openvino bf16"]
    for noted in converted.glob("converted-models/*/speed-text-*.json"):
        noted.unlink()
