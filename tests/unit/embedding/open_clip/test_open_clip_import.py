"""What open_clip's import leaves out, and that who needs it gets it all the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ASKED = """
import sys
from shared.embedding.open_clip.loading import load_model
from shared.embedding.open_clip.imported import open_clip
before = [name for name in ("timm", "transformers", "torch._dynamo") if name in sys.modules]
open_clip.add_model_config(sys.argv[1])
loaded = load_model("tiny-timm", "random")
import torch
import torch._dynamo.utils
print(before, tuple(loaded.model.encode_image(torch.zeros(1, 3, 32, 32)).shape))
print(torch._dynamo.utils.is_compile_supported("cpu"), "timm" in sys.modules)
"""
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"timm_model_name": "resnet18", "timm_pool": "avg", "image_size": 32},
    "text_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 1},
}


@pytest.mark.slow  # imports both libraries and the compiler: 9 s of processor time
def test_no_library_of_other_towers_nor_the_compiler_is_imported_before_it_is_needed(
    tmp_path: Path,
) -> None:
    config = tmp_path / "tiny-timm.json"
    config.write_text(json.dumps(TINY))
    ended = subprocess.run(
        [sys.executable, "-c", ASKED, str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # Above them stands the log's warning that the weights are random.
    assert ended.stdout.splitlines()[-2:] == ["[] (1, 16)", "True True"]
