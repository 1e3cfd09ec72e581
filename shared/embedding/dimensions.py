"""The length of a model's vectors, read from its configuration: no model, torch or open_clip.

Processes without a model (patches, deletes, commands) set the collection up, too.
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shared.embedding.identity import DEMO_DIR, DEMO_MODEL, HUB, LOCAL_DIR
from shared.errors import ModelUnavailable

HUB_CONFIG = "open_clip_config.json"
"""The configuration of a model that is a directory or a repository of the Hugging Face hub."""


def known_dimensions(model: str) -> int | None:
    """Numbers in each vector of the model that CLIP_MODEL names.

    None if only a loaded model can tell: its configuration isn't on this machine. Raises
    ModelUnavailable if the configuration is there and can't be read.
    """
    path = _config_path(model)
    if path is None or not path.is_file():
        return None
    try:
        return stated_dimensions(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise ModelUnavailable(
            f"The configuration of CLIP_MODEL={model} can't be read: {path} ({err}). "
            "Set CLIP_MODEL to a model that is there and readable."
        ) from err


def stated_dimensions(config: Mapping[str, Any]) -> int:
    """Numbers in each vector, of a configuration in one of open_clip's two layouts.

    Raises KeyError, TypeError, ValueError or AttributeError if it states none.
    """
    return int(config.get("model_cfg", config)["embed_dim"])


def _config_path(model: str) -> Path | None:
    if model == DEMO_MODEL:
        return DEMO_DIR / "config.json"
    if model.startswith(LOCAL_DIR):
        return Path(model.removeprefix(LOCAL_DIR)) / HUB_CONFIG
    if model.startswith(HUB):
        return _cached(model.removeprefix(HUB))
    package = find_spec("open_clip")  # finds it without importing it
    if package is None or not package.submodule_search_locations:
        return None
    folder = Path(package.submodule_search_locations[0]) / "model_configs"
    return folder / f"{model.replace('/', '-')}.json"


def _cached(repository: str) -> Path | None:
    """The file that an earlier download left in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  # 0.2 s that few models need

    found = try_to_load_from_cache(repository, HUB_CONFIG)
    return Path(found) if isinstance(found, str) else None
