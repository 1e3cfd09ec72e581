"""Finds and loads a model's weights, or says within seconds why it can't.

There is no silent fallback: random weights are used only where CLIP_PRETRAINED says `random`, and
what can't be had raises ModelUnavailable naming the settings. Weights on the Hugging Face hub are
looked up in the local cache first, then by one HEAD request with a short timeout, because the
hub's client would retry for most of a minute where there is no network.
"""

import difflib
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import huggingface_hub
import torch
from huggingface_hub.errors import EntryNotFoundError
from torch import nn

from shared.embedding.demo_model.loading import (
    demo_preprocess_config,
    demo_tokenizer,
    load_demo_model,
)
from shared.embedding.identity import DEMO_MODEL, RANDOM_SEED, RANDOM_WEIGHTS
from shared.embedding.open_clip.imported import open_clip, with_towers_of
from shared.errors import ModelUnavailable

log = logging.getLogger(__name__)

HUB_TIMEOUT: Final = 5.0
"""Seconds for a first answer from the hub: it takes well under one where it can be reached."""

_HUB_SCHEMA: Final = "hf-hub:"
_SCHEMAS: Final = (_HUB_SCHEMA, "local-dir:")  # open_clip's names that bring their own weights
_HUB_CONFIG: Final = "open_clip_config.json"
_HUB_FILES: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class LoadedModel:
    """A whole model on the CPU in eval mode, with what prepares its inputs."""

    model: nn.Module
    tokenizer: Any
    preprocess_config: Mapping[str, Any]


def load_model(name: str, pretrained: str) -> LoadedModel:
    """Load `name` with the weights that `pretrained` stands for, float32.

    `name`: `demo` or any of open_clip's. `pretrained`: a tag, a checkpoint's path, or `random`
    (seeded, so that all processes agree; for measuring speed). Raises ModelUnavailable.
    """
    try:
        return _load(name, pretrained)
    except ModelUnavailable:
        raise
    except Exception as err:  # open_clip and the hub raise whatever their own parts raise.
        raise _unavailable(name, pretrained, _words(err)) from err


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a model that was loaded before, without its weights. Raises likewise."""
    try:
        if name == DEMO_MODEL:
            return demo_tokenizer()
        if name.startswith(_HUB_SCHEMA):
            _find_on_hub(name.removeprefix(_HUB_SCHEMA), (_HUB_CONFIG,))
        return open_clip.get_tokenizer(name.replace("/", "-") if _is_built_in(name) else name)
    except Exception as err:
        raise _unavailable(name, "", _words(err)) from err


def _load(name: str, pretrained: str) -> LoadedModel:
    if name == DEMO_MODEL:
        log.info("using the demo model: it knows drawn garments only")
        return LoadedModel(load_demo_model(), demo_tokenizer(), demo_preprocess_config())
    if not _is_built_in(name):
        if name.startswith(_HUB_SCHEMA):
            _find_on_hub(name.removeprefix(_HUB_SCHEMA), (_HUB_CONFIG,))
        with_towers_of("timm")  # its config, which says what is needed, is still to be fetched
        with_towers_of("transformers")
        model = open_clip.create_model(name, require_pretrained=True)
    else:
        name = name.replace("/", "-")  # open_clip's files are named so: ViT-B/32 is ViT-B-32
        model = _load_built_in(name, pretrained)
    tokenizer = open_clip.get_tokenizer(name)
    return LoadedModel(model.eval(), tokenizer, model.visual.preprocess_cfg)


def _is_built_in(name: str) -> bool:
    return not name.startswith(_SCHEMAS)


def _load_built_in(name: str, pretrained: str) -> Any:
    """One of open_clip's named architectures with tag, checkpoint or random weights."""
    _check_name(name, pretrained)
    config = open_clip.get_model_config(name)
    if "timm_model_name" in config["vision_cfg"]:
        with_towers_of("timm")
    if "hf_model_name" in config["text_cfg"]:
        with_towers_of("transformers")
    if pretrained == RANDOM_WEIGHTS:
        log.warning("CLIP_PRETRAINED=random: the vectors mean nothing; for measuring speed only")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            return open_clip.create_model(name, pretrained=None, pretrained_text=False)
    if Path(pretrained).is_file():
        # The absolute path can't be taken for a tag, and `identity` looks for a file first too.
        checkpoint = str(Path(pretrained).resolve())
        try:
            return open_clip.create_model(name, pretrained=checkpoint, require_pretrained=True)
        except Exception as err:
            reason = f"the file does not hold weights of this model ({_words(err)})"
            raise _unavailable(name, pretrained, reason) from err
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if not tag:
        raise _unavailable(name, pretrained, _unknown_weights(name, pretrained))
    _check_activation(name, pretrained, tag)
    # Of the tag's entry, open_clip takes the fields that are about preprocessing.
    return open_clip.create_model(
        name,
        pretrained=str(_weights_of_tag(tag)),
        require_pretrained=True,
        force_preprocess_cfg=tag,
    )


def _check_name(name: str, pretrained: str) -> None:
    known = open_clip.list_models()
    if name not in known:
        close = ", ".join(difflib.get_close_matches(name, known, n=3)) or "ViT-B-32"
        raise _unavailable(name, pretrained, f"open_clip has no model of that name (near: {close})")


def _unknown_weights(name: str, pretrained: str) -> str:
    known = open_clip.list_pretrained_tags_by_model(name)
    near = difflib.get_close_matches(pretrained, known, n=3)
    tags = ", ".join(dict.fromkeys([*near, *known[:5]])) or "none"
    what = f"{pretrained!r} is neither a file nor a tag" if pretrained else "no weights are named"
    return f"{what}; tags for this model are for instance {tags}"


def _check_activation(name: str, pretrained: str, tag: Mapping[str, Any]) -> None:
    """Refuse weights trained with another activation: open_clip warns and gives poor vectors."""
    config = open_clip.get_model_config(name) or {}
    wanted, given = bool(tag.get("quick_gelu")), bool(config.get("quick_gelu"))
    if wanted != given:
        base = name.removesuffix("-quickgelu")
        right = f"{base}-quickgelu" if wanted else base
        raise _unavailable(name, pretrained, f"these weights belong to CLIP_MODEL={right}")


def _weights_of_tag(tag: Mapping[str, Any]) -> Path:
    """The local path of a tag's weights, downloaded if need be."""
    if not tag.get("hf_hub"):
        with _socket_timeout(HUB_TIMEOUT):
            return Path(open_clip.pretrained.download_pretrained_from_url(tag["url"]))
    repo, _, filename = str(tag["hf_hub"]).rpartition("/")
    candidate, cached = _find_on_hub(repo, _hub_files(filename))
    if cached is not None:
        return cached
    log.info("downloading %s from the Hugging Face hub repository %s", candidate, repo)
    return Path(huggingface_hub.hf_hub_download(repo, candidate, etag_timeout=HUB_TIMEOUT))


def _find_on_hub(repo: str, candidates: Sequence[str]) -> tuple[str, Path | None]:
    """The first candidate that exists, and its local path if it was downloaded before."""
    for candidate in candidates:
        cached = huggingface_hub.try_to_load_from_cache(repo, candidate)
        if isinstance(cached, str):
            return candidate, Path(cached)
    for candidate in candidates:
        url = huggingface_hub.hf_hub_url(repo, candidate)
        try:
            huggingface_hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT)
        except EntryNotFoundError:
            continue  # This repository stores its weights under the other name.
        except Exception as err:
            raise FileNotFoundError(
                "it is not in the local cache, and the Hugging Face hub does not give out "
                f"{repo}/{candidate} ({_words(err)})"
            ) from err
        return candidate, None
    raise FileNotFoundError(f"the hub's repository {repo} has no {' or '.join(candidates)}")


def _hub_files(filename: str) -> tuple[str, ...]:
    """The names to look for, safetensors first, in open_clip's order."""
    if not filename:
        return _HUB_FILES
    stem, dot, ending = filename.rpartition(".")
    return (f"{stem}{dot}safetensors", filename) if ending in ("bin", "pth") else (filename,)


def _words(err: Exception) -> str:
    """An outside error in one line."""
    return " ".join(str(err).split())[:300] or type(err).__name__


def _unavailable(name: str, pretrained: str, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The model CLIP_MODEL={name} with CLIP_PRETRAINED={pretrained} can't be loaded: {reason}. "
        "Without access to the internet, set CLIP_PRETRAINED to the path of a checkpoint that is "
        "on this machine, or CLIP_MODEL=demo for the small model that comes with this project."
    )


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Give sockets opened meanwhile a timeout: open_clip's own downloader sets none and hangs."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
