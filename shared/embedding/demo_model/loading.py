"""Loads the demo model: a tiny CLIP of open_clip's architecture, trained on drawn garments.

`demo/config.json` has the layout of open_clip's hub configs: `model_cfg` for the architecture and
`preprocess_cfg` for the pictures. `demo/weights.safetensors` holds the state dict in half
precision. Of the token table, 49,408 rows long, it holds only the rows that training touched:

- `token_embedding.ids`   int32, (n,): the token ids of the stored rows,
- `token_embedding.rows`  (n, width): those rows,
- `token_embedding.fill`  (width,): the row of every other token. It was trained at random places
  in the captions, so that a word the model has never met changes the vector as little as possible.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from shared.embedding.open_clip.imported import open_clip

DEMO_MODEL_DIR = Path(__file__).parent / "weights"
"""Holds config.json, weights.safetensors and MODEL_CARD.md."""

_TABLE = "token_embedding.weight"
_IDS = "token_embedding.ids"
_ROWS = "token_embedding.rows"
_FILL = "token_embedding.fill"


def load_demo_config(directory: Path = DEMO_MODEL_DIR) -> dict[str, Any]:
    """The config's two parts, `model_cfg` and `preprocess_cfg`."""
    config: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return config


def demo_preprocess_config(directory: Path = DEMO_MODEL_DIR) -> dict[str, Any]:
    """open_clip's preprocess_cfg: size, mode, mean, std, interpolation and resize_mode.

    `open_clip.transform.image_transform_v2(PreprocessCfg(**config), is_train=False)` builds the
    transform from it.
    """
    config: dict[str, Any] = load_demo_config(directory)["preprocess_cfg"]
    return config


def demo_tokenizer(directory: Path = DEMO_MODEL_DIR) -> Any:
    """CLIP's own tokenizer (its word list ships with open_clip) at the demo's context length."""
    text_cfg = load_demo_config(directory)["model_cfg"]["text_cfg"]
    return open_clip.tokenizer.SimpleTokenizer(context_length=text_cfg["context_length"])


def build_demo_model(directory: Path = DEMO_MODEL_DIR) -> Any:
    """The architecture with random weights, in training mode; training begins with it."""
    return open_clip.CLIP(**load_demo_config(directory)["model_cfg"])


def load_demo_model(directory: Path = DEMO_MODEL_DIR) -> Any:
    """The trained model on the CPU, float32, in eval mode.

    Raises FileNotFoundError if the directory lacks a file, and RuntimeError if weights and
    config do not belong together.
    """
    stored = load_file(directory / "weights.safetensors")
    model = build_demo_model(directory)
    model.load_state_dict(_unpacked(stored, vocab_size=model.vocab_size))
    return model.eval()


def save_demo_weights(
    state: Mapping[str, Tensor], used_ids: Tensor, fill_id: int, path: Path
) -> None:
    """Write a state dict in half precision, its token table reduced to `used_ids` and the fill.

    `used_ids` has shape (n,); `fill_id` is the token with the row that stands for all the others.
    """
    table = state[_TABLE]
    tensors = {name: tensor for name, tensor in state.items() if name != _TABLE}
    tensors |= {_ROWS: table[used_ids], _FILL: table[fill_id]}
    halved = {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}
    # Not safetensors' save_file, which makes a file that only its owner may read.
    path.write_bytes(save({**halved, _IDS: used_ids.to(torch.int32)}))


def _unpacked(stored: Mapping[str, Tensor], vocab_size: int) -> dict[str, Tensor]:
    """The full float32 state dict from the stored tensors."""
    state = {name: tensor.float() for name, tensor in stored.items()}
    ids = stored[_IDS].long()
    del state[_IDS]
    table = state.pop(_FILL).repeat(vocab_size, 1)
    table[ids] = state.pop(_ROWS)
    return {**state, _TABLE: table}
