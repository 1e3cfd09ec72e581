"""The length of a model's vectors is known before anything of the model is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from shared.embedding.dimensions import known_dimensions
from shared.errors import ModelUnavailable


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("demo", 512),
        ("ViT-B-32", 512),
        ("ViT-B/32", 512),
        ("ViT-L-14", 768),
        ("ViT-B-16-SigLIP", 768),
        ("xlm-roberta-base-ViT-B-32", 512),
        ("ViT-B-33", None),
        ("../ViT-B-32", None),
    ],
)
def test_a_named_model_is_looked_up_in_open_clips_list(model: str, expected: int | None) -> None:
    assert known_dimensions(model) == expected


def test_a_directory_states_it_itself(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"embed_dim": 1024}}))
    assert known_dimensions(f"local-dir:{tmp_path}") == 1024


def test_a_model_of_the_hub_is_known_once_its_configuration_was_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached: list[str | None] = [None]
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: cached[0])
    assert known_dimensions("hf-hub:shop/model") is None
    config = tmp_path / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": {"embed_dim": 768}}))
    cached[0] = str(config)
    assert known_dimensions("hf-hub:shop/model") == 768


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model_cfg": {"embed_dim": "wide"}}'])
def test_a_configuration_that_can_not_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(ModelUnavailable, match=r"CLIP_MODEL=local-dir.*open_clip_config\.json"):
        known_dimensions(f"local-dir:{tmp_path}")


def test_no_model_library_is_imported_for_it() -> None:
    code = (
        "import sys; from shared.embedding.dimensions import known_dimensions;"
        "assert known_dimensions('ViT-B-32') == 512;"
        "assert not {'torch', 'open_clip', 'PIL', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
