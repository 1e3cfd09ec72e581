"""The OpenVINO backend: open_clip's vectors, and starts from what is on disk, whatever that is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.embedding.encoder import Tower
from shared.embedding.open_clip.imported import open_clip
from shared.embedding.open_clip.loading import LoadedModel
from shared.embedding.openvino import backend as openvino_backend
from shared.embedding.openvino.backend import OpenVinoEncoder
from shared.embedding.openvino.conversion import NotConvertibleError, convert
from shared.embedding.openvino.converted_models import ConvertedModels
from shared.embedding.openvino.runtime import CompiledTower
from shared.errors import ModelUnavailable

pytestmark = pytest.mark.slow

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1, "head_width": 16},
    "text_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 2},
}
BOTH: frozenset[Tower] = frozenset({"image", "text"})


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails what loads the model: a start from disk must not."""

    def load(name: str, pretrained: str) -> LoadedModel:
        raise AssertionError(f"{name} was loaded, with {pretrained}")

    monkeypatch.setattr(openvino_backend, "load_model", load)


def encoder(directory: Path, towers: frozenset[Tower] = BOTH) -> OpenVinoEncoder:
    return OpenVinoEncoder("demo", "", towers, directory=directory, precision="fp32")


def pixels(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(count, 3, 96, 96)).astype(np.float32)


def sampled(encoder: OpenVinoEncoder) -> NDArray[np.float32]:
    edge = encoder.image_edge
    picture = np.random.default_rng(3).normal(size=(3, edge, edge)).astype(np.float32)
    return np.concatenate(
        [encoder.core_images([picture]), encoder.core_texts([encoder.pre_text("red shirt")])]
    )


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.float32]]:
    """A directory with both towers of the demo model, and vectors that they gave when made."""
    directory = tmp_path_factory.mktemp("warm")
    return directory, sampled(encoder(directory))


def place_of(directory: Path, tower: Tower) -> Path:
    (place,) = directory.glob(f"*/{tower}")
    return place


def test_batches_of_any_size_have_open_clips_vectors(
    warm: tuple[Path, NDArray[np.float32]], demo: LoadedModel
) -> None:
    ours = encoder(warm[0], frozenset({"image"}))
    shape = (32, 3, ours.image_edge, ours.image_edge)
    pictures = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    with torch.inference_mode():
        expected = demo.model.encode_image(torch.from_numpy(pictures)).numpy()  # type: ignore[operator]
    for count in (1, 2, 32):
        found = ours.core_images(list(pictures[:count]))
        assert np.abs(found - expected[:count]).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.usefixtures("no_loading")
def test_the_second_start_loads_no_model_and_gives_the_same_vectors(
    warm: tuple[Path, NDArray[np.float32]],
) -> None:
    assert np.array_equal(sampled(encoder(warm[0])), warm[1])


@pytest.mark.usefixtures("no_loading")
def test_a_tower_opens_later(warm: tuple[Path, NDArray[np.float32]]) -> None:
    ours = encoder(warm[0], frozenset({"text"}))
    assert ours.towers == {"text"}
    with pytest.raises(RuntimeError, match="image tower"):
        ours.core_images([])
    ours.open_tower("image")
    assert np.array_equal(sampled(ours), warm[1])


def truncated(place: Path) -> None:
    os.truncate(place / "model.bin", 1000)


def changed(place: Path) -> None:
    with (place / "model.bin").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 64)


def without_weights(place: Path) -> None:
    (place / "model.bin").unlink()


def without_manifest(place: Path) -> None:
    (place / "manifest.json").unlink()


def with_nonsense(place: Path) -> None:
    (place / "manifest.json").write_text("[1, 2")


def of_another_model(place: Path) -> None:
    manifest = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps({**manifest, "key": "another"}))


def a_file(place: Path) -> None:
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    place.write_text("nothing")


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        changed,
        without_weights,
        without_manifest,
        with_nonsense,
        of_another_model,
        a_file,
    ],
)
def test_what_is_damaged_is_found_out_and_replaced(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    store = ConvertedModels(tmp_path, "m", "weights", {"library": "1"})

    def write(path: Path) -> None:
        path.write_text("<net/>")
        path.with_suffix(".bin").write_bytes(bytes(10_000))

    assert store.store("text", write, {"dimensions": 4}) is not None
    damage(place_of(tmp_path, "text"))
    assert store.find("text") is None
    again = store.store("text", write, {"dimensions": 4})
    assert again is not None
    assert again.facts == {"dimensions": 4}
    assert [path.name for path in store.directory.iterdir()] == ["text"]


def test_a_damaged_tower_is_converted_anew(warm: tuple[Path, NDArray[np.float32]]) -> None:
    truncated(place_of(warm[0], "text"))
    assert np.array_equal(sampled(encoder(warm[0])), warm[1])


def test_processes_that_store_at_once_leave_one_whole_tower(tmp_path: Path) -> None:
    def store(number: int) -> bool:
        def write(path: Path) -> None:
            path.write_text("<net/>")
            path.with_suffix(".bin").write_bytes(bytes([number]) * 100_000)

        models = ConvertedModels(tmp_path, "m", "weights", {})
        return models.store("image", write, {}) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(store, range(32)))
    (directory,) = tmp_path.iterdir()
    assert [path.name for path in directory.iterdir()] == ["image"]


def test_other_versions_and_weights_have_other_places(tmp_path: Path) -> None:
    places = {
        ConvertedModels(tmp_path, "m", weights, {"openvino": version}).directory
        for weights in ("a", "b")
        for version in ("1", "2")
    }
    assert len(places) == 4


def test_a_disk_that_takes_nothing_does_not_stop_the_start(
    tmp_path: Path, warm: tuple[Path, NDArray[np.float32]]
) -> None:
    taken = tmp_path / "file"
    taken.write_text("no directory")
    ours = encoder(taken, frozenset({"text"}))
    found = ours.core_texts([ours.pre_text("red shirt")])
    assert np.array_equal(found[0], warm[1][1])


def tiny(**text_options: object) -> LoadedModel:
    config = {**TINY, "text_cfg": {**TINY["text_cfg"], **text_options}}  # type: ignore[dict-item]
    torch.manual_seed(1)
    model = open_clip.CLIP(**config).eval()  # type: ignore[arg-type]
    preprocess = open_clip.transform.PreprocessCfg(size=32)
    return LoadedModel(model, open_clip.SimpleTokenizer(context_length=20), vars(preprocess), 16)


def test_a_text_tower_that_can_not_be_converted_is_refused_or_runs_on_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny(no_causal_mask=True, pool_type="last")

    def refused(*_: object) -> None:
        raise NotConvertibleError("it is of another build")

    monkeypatch.setattr(openvino_backend, "convert", refused)
    with torch.inference_mode():
        expected = loaded.model.encode_text(loaded.tokenizer(["red shirt"])).numpy()  # type: ignore[operator]
    monkeypatch.setattr(openvino_backend, "load_model", lambda *_: loaded)
    with pytest.raises(ModelUnavailable, match="CLIP_BACKEND"):
        OpenVinoEncoder("demo", "", frozenset({"text"}), directory=tmp_path, torch_may_help=False)
    ours = OpenVinoEncoder("demo", "", frozenset({"text"}), directory=tmp_path)
    found = ours.core_texts([ours.pre_text("red shirt")])
    assert np.abs(found - expected).max() <= 5e-7


def test_a_conversion_that_computes_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = CompiledTower.run
    monkeypatch.setattr(CompiledTower, "run", lambda self, inputs: right(self, inputs) * 1.01)
    with pytest.raises(NotConvertibleError, match="off by"):
        convert("text", tiny())


def test_importing_it_reports_to_nobody() -> None:
    """OpenVINO's makers count imports through a package that must not be loaded."""
    code = (
        "import sys; from shared.embedding.openvino.runtime import openvino; openvino(); "
        "print([name for name in sys.modules if name.startswith('openvino_telemetry.')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"
