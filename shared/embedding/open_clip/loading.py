"""Finds and loads a model's weights, or says within seconds why it can't.

There is no silent fallback: random weights are used only if CLIP_PRETRAINED says `random`, and
anything that can't be had raises ModelUnavailable naming the settings.

Any open_clip model with two towers that give one vector of the same length will do. Its
configuration tells most others before their weights are downloaded.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import huggingface_hub
import structlog
import torch
from torch import nn

from shared.embedding.demo_model.loading import (
    demo_preprocess_config,
    demo_tokenizer,
    load_demo_config,
    load_demo_model,
)
from shared.embedding.dimensions import HUB_CONFIG, stated_dimensions
from shared.embedding.identity import DEMO_MODEL, HUB, LOCAL_DIR, RANDOM_SEED, RANDOM_WEIGHTS
from shared.embedding.open_clip.hub import HUB_TIMEOUT, find_on_hub, one_line, weights_of_tag
from shared.embedding.open_clip.imported import open_clip, with_towers_of
from shared.embedding.open_clip.preprocess import ImagePreprocessor
from shared.errors import ModelUnavailable

log = structlog.get_logger(__name__)

_TOKENIZER_FILES: Final = ("tokenizer_config.json", "tokenizer.json", "config.json")

_PREPROCESSING: Final = ("mean", "std", "interpolation", "resize_mode")
"""The fields of open_clip's preprocess_cfg that weights are trained with."""


@dataclass(frozen=True)
class LoadedModel:
    """A whole model on the CPU in eval mode, with what prepares its inputs.

    `dimensions`: numbers in a vector of either tower.
    """

    model: nn.Module
    tokenizer: Any
    preprocess_config: Mapping[str, Any]
    dimensions: int


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
        raise _unavailable(name, pretrained, one_line(err)) from err


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a model that was loaded before, without its weights. Raises likewise."""
    try:
        if name == DEMO_MODEL:
            return demo_tokenizer()
        return _tokenizer(name, _config(name, ""))
    except ModelUnavailable:
        raise
    except Exception as err:
        raise _unavailable(name, "", one_line(err)) from err


def _load(name: str, pretrained: str) -> LoadedModel:
    config: Mapping[str, Any]
    if name == DEMO_MODEL:
        log.info("demo_model_used", reason="it knows drawn garments only")
        config, model, tokenizer = load_demo_config(), load_demo_model(), demo_tokenizer()
        preprocess_config = demo_preprocess_config()
    else:
        config = _config(name, pretrained)
        _check_towers(name, config)
        tokenizer = _tokenizer(name, config)  # before the weights: it is small and may be missing
        if _is_built_in(name):
            # open_clip's files are named so: ViT-B/32 is ViT-B-32
            model = _load_built_in(name.replace("/", "-"), pretrained)
        else:
            model = open_clip.create_model(name, require_pretrained=True)
        preprocess_config = model.visual.preprocess_cfg
    input_size = ImagePreprocessor(preprocess_config).input_size
    dimensions = vector_length(name, model.eval(), tokenizer, input_size)
    if dimensions != stated_dimensions(config):
        raise _unsuitable(
            name,
            f"its configuration states vectors of {stated_dimensions(config)} numbers, and its "
            f"towers give {dimensions}",
        )
    return LoadedModel(model, tokenizer, preprocess_config, dimensions)


def _config(name: str, pretrained: str) -> Mapping[str, Any]:
    """open_clip's configuration of a model's architecture. Of a model on the hub it is fetched."""
    if _is_built_in(name):
        name = name.replace("/", "-")
        _check_name(name, pretrained)
        built_in: Mapping[str, Any] = open_clip.get_model_config(name)
        return built_in
    if name.startswith(HUB):
        repo = name.removeprefix(HUB)
        found, cached = find_on_hub(repo, (HUB_CONFIG,))
        path = cached or Path(
            huggingface_hub.hf_hub_download(repo, found, etag_timeout=HUB_TIMEOUT)
        )
    else:
        path = Path(name.removeprefix(LOCAL_DIR)) / HUB_CONFIG
    config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
    return config


def _check_towers(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a model that can't be used, and import the libraries that its towers come from."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "multimodal_cfg" in config or vision.get("output_tokens") or text.get("output_tokens"):
        raise _unsuitable(name, "its towers give many vectors for one input, as those of CoCa do")
    needs_transformers = "hf_model_name" in text or "hf_tokenizer_name" in text
    if needs_transformers and find_spec("transformers") is None:
        raise ModelUnavailable(
            f"CLIP_MODEL={name} needs the library transformers, which is not installed here. Run "
            "`pip install -r requirements-multilingual.txt`, or set CLIP_MODEL to a model that "
            "does without, such as ViT-B-32."
        )
    if "timm_model_name" in vision:
        with_towers_of("timm")
    if "hf_model_name" in text:
        with_towers_of("transformers")


def _tokenizer(name: str, config: Mapping[str, Any]) -> Any:
    """The tokenizer of a model with this configuration; most are on the hub, if not CLIP's own."""
    source = config["text_cfg"].get("hf_tokenizer_name")
    if source and not name.startswith(LOCAL_DIR) and not Path(source).is_dir():
        find_on_hub(source, _TOKENIZER_FILES)  # fails at once, the library tries for a minute
    return open_clip.get_tokenizer(name.replace("/", "-") if _is_built_in(name) else name)


def vector_length(
    name: str, model: nn.Module, tokenizer: Any, input_size: tuple[int, int, int]
) -> int:
    """Numbers in each vector of a model, found by asking each tower for one.

    Raises ModelUnavailable if the towers don't give one vector of the same length each.
    """
    with torch.inference_mode():
        given = (
            model.get_submodule("visual")(torch.zeros(1, *input_size)),
            model.encode_text(tokenizer(["a shirt"])),  # type: ignore[operator]  # untyped
        )
    for vectors in given:
        if not isinstance(vectors, torch.Tensor) or vectors.ndim != 2:
            raise _unsuitable(name, "its towers give more than one vector for an input")
    picture, text = (int(vectors.shape[1]) for vectors in given)
    if picture != text:
        raise _unsuitable(name, f"its pictures have {picture} numbers, and its texts {text}")
    return picture


def _is_built_in(name: str) -> bool:
    return not name.startswith((HUB, LOCAL_DIR))


def _load_built_in(name: str, pretrained: str) -> Any:
    """One of open_clip's named architectures with tag, checkpoint or random weights."""
    if pretrained == RANDOM_WEIGHTS:
        log.warning("random_weights", reason="with CLIP_PRETRAINED=random vectors mean nothing")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            return open_clip.create_model(
                name,
                pretrained=None,
                pretrained_text=False,
                force_preprocess_cfg=published_preprocessing(name),
            )
    if Path(pretrained).is_file():
        # The absolute path can't be taken for a tag, and `identity` looks for a file first too.
        checkpoint = str(Path(pretrained).resolve())
        try:
            return open_clip.create_model(
                name,
                pretrained=checkpoint,
                require_pretrained=True,
                force_preprocess_cfg=published_preprocessing(name),
            )
        except Exception as err:
            reason = f"the file does not hold weights of this model ({one_line(err)})"
            raise _unavailable(name, pretrained, reason) from err
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if not tag:
        raise _unavailable(name, pretrained, _unknown_weights(name, pretrained))
    _check_activation(name, pretrained, tag)
    # Of the tag's entry, open_clip takes the fields that are about preprocessing.
    return open_clip.create_model(
        name,
        pretrained=str(weights_of_tag(tag)),
        require_pretrained=True,
        force_preprocess_cfg=tag,
    )


def published_preprocessing(name: str) -> dict[str, Any]:
    """The preprocessing that all published weights of an architecture were trained with.

    A checkpoint's file says nothing of it. open_clip would prepare its pictures as for CLIP, which
    is wrong for those of SigLIP. Fields in which published weights differ are left to open_clip.
    """
    tags = open_clip.list_pretrained_tags_by_model(name)
    published = [open_clip.get_pretrained_cfg(name, tag) for tag in tags]
    return {
        field: published[0][field]
        for field in _PREPROCESSING
        if published
        and published[0].get(field) is not None
        and all(each.get(field) == published[0][field] for each in published)
    }


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


def _unavailable(name: str, pretrained: str, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The model CLIP_MODEL={name} with CLIP_PRETRAINED={pretrained} can't be loaded: {reason}. "
        "Without access to the internet, set CLIP_PRETRAINED to the path of a checkpoint that is "
        "on this machine, or CLIP_MODEL=demo for the small model that comes with this project."
    )


def _unsuitable(name: str, reason: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"CLIP_MODEL={name} can't be used: {reason}. Products and queries are compared by one "
        "vector of the same length. Set CLIP_MODEL to a model whose towers give that, such as "
        "ViT-B-32, ViT-B-16-SigLIP or xlm-roberta-base-ViT-B-32."
    )
