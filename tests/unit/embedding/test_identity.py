"""Collections of two models never share a name, and no model is loaded to find it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.embedding.identity import DEMO_DIR, collection_name
from shared.errors import ModelUnavailable
from shared.settings import Settings


def name(**changes: Any) -> str:
    values = {"clip_model": "ViT-B-32", "clip_pretrained": "laion2b_s34b_b79k", **changes}
    return collection_name(Settings(_env_file=None, **values))


def test_the_name_is_readable_and_stable() -> None:
    assert re.fullmatch(r"products-vit-b-32-[0-9a-f]{12}", name())
    assert name() == name()
    assert name(clip_model="ViT-B/32") == name()


def test_model_weights_resize_mode_and_int8_each_make_another_collection() -> None:
    names = [
        name(),
        name(clip_pretrained="openai"),
        name(clip_pretrained="random"),
        name(clip_model="ViT-B-16"),
        name(clip_resize_mode="longest"),
        name(clip_precision="int8"),
        name(clip_model="demo"),
    ]
    assert len(set(names)) == len(names)


def test_what_does_not_change_vectors_does_not_change_the_name() -> None:
    assert name(embed_batch_size=64, clip_device="cpu", clip_precision="bf16") == name()
    assert name(clip_model="demo", clip_pretrained="x") == name(clip_model="demo")


def test_a_checkpoint_is_known_by_its_content(tmp_path: Path) -> None:
    one, copy, other = (tmp_path / file for file in ("one.pt", "copy.pt", "other.pt"))
    one.write_bytes(b"weights" * 1000)
    copy.write_bytes(b"weights" * 1000)
    other.write_bytes(b"weightz" * 1000)
    assert name(clip_pretrained=str(one)) == name(clip_pretrained=str(copy))
    assert name(clip_pretrained=str(one)) != name(clip_pretrained=str(other))
    before = name(clip_pretrained=str(one))
    one.write_bytes(b"retrained" * 1000)
    assert name(clip_pretrained=str(one)) != before


def test_a_local_model_directory_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{}")
    model = f"local-dir:{tmp_path}"
    before = name(clip_model=model)
    (tmp_path / "README.md").write_text("no part of the model")
    assert name(clip_model=model) == before
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"w")
    assert name(clip_model=model) != before
    with pytest.raises(ModelUnavailable, match="CLIP_MODEL"):
        name(clip_model=f"local-dir:{tmp_path}/nowhere")


@pytest.mark.parametrize(
    "model", ["demo", "ViT-B-32", "hf-hub:laion/CLIP ViT_B.32", "日本", "x" * 200, "a" * 47 + "--b"]
)
def test_names_hold_only_what_every_qdrant_accepts(model: str) -> None:
    assert re.fullmatch(r"products-[a-z0-9]([a-z0-9-]*[a-z0-9])?", name(clip_model=model))
    assert len(name(clip_model=model)) <= 80


def test_the_demos_weights_are_part_of_its_name() -> None:
    assert (DEMO_DIR / "config.json").is_file()
    assert (DEMO_DIR / "weights.safetensors").is_file()


def test_no_model_library_is_imported_for_it() -> None:
    code = (
        "import sys; import shared.embedding.identity;"
        "assert not {'torch', 'open_clip', 'PIL', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
