"""Converts open_clip's towers for OpenVINO, and proves each conversion before it is used.

A tower is exported as a graph in which batch size and text length stay open, converted, run once
in float32 and compared with torch. What can't be exported or differs is refused with the reason;
it then runs on torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from shared.embedding.encoder import Tower
from shared.embedding.open_clip.class_token import image_tower
from shared.embedding.open_clip.loading import LoadedModel
from shared.embedding.open_clip.preprocess import ImagePreprocessor
from shared.embedding.open_clip.text import cut_facts, text_tower
from shared.embedding.openvino.runtime import CompiledTower, openvino

_TOLERANCE: Final = 1e-4
"""Of a raw vector's length, the most that a converted tower may be off in float32: rounding in
another order makes 1e-6; a wrong mask or a wrong place to read makes 0.1 and more."""


class NotConvertibleError(Exception):
    """This tower can't run on OpenVINO; the message says why."""


@dataclass(frozen=True)
class Conversion:
    """A tower as a model of OpenVINO, and facts for a start without torch's model."""

    model: Any
    facts: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Write it to a path ending in .xml, and its weights beside it. Raises RuntimeError."""
        openvino().save_model(self.model, path, compress_to_fp16=False)


def convert(tower: Tower, loaded: LoadedModel) -> Conversion:
    """Convert one tower of a model in float32. Raises NotConvertibleError."""
    try:
        if tower == "image":
            return _converted_image_tower(loaded)
        return _converted_text_tower(loaded)
    except NotConvertibleError:
        raise
    except Exception as err:  # Export and conversion raise whatever their many parts raise.
        raise NotConvertibleError(f"its conversion failed: {_reason(err)}") from err


def _reason(err: Exception) -> str:
    """The line that names operations which OpenVINO lacks, else the first one."""
    lines = str(err).strip().splitlines() or [type(err).__name__]
    telling = next((line for line in lines if "No conversion rule" in line), lines[0])
    return telling.lstrip("- ")[:200]


def _converted_image_tower(loaded: LoadedModel) -> Conversion:
    tower = image_tower(loaded.model)
    size = ImagePreprocessor(loaded.preprocess_config).input_size
    pixels = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    model = _converted(tower, (pixels,), ({0: Dim.DYNAMIC},))
    dimensions = _prove(model, tower, ((pixels,), (pixels[:1],)))
    return Conversion(
        model, {"dimensions": dimensions, "preprocess_config": dict(loaded.preprocess_config)}
    )


def _converted_text_tower(loaded: LoadedModel) -> Conversion:
    tower = text_tower(loaded.model, loaded.tokenizer)
    context = int(loaded.tokenizer([""]).shape[1])
    texts = [
        ids[: tower.cut.length(ids)]
        for ids in loaded.tokenizer(["a red shirt", "", "a dress " * context]).numpy()
    ]
    trims = min(map(len, texts)) < context
    short, whole, one = (
        tuple(torch.from_numpy(each) for each in tower.cut.inputs(batch))
        for batch in ([ids[:5] if trims else ids for ids in texts], texts, texts[1:2])
    )
    batch, length = Dim("batch", min=1), Dim("length", min=1, max=context)
    shapes = ({0: batch, 1: length} if trims else {0: batch}, {0: batch})
    model = _converted(tower, short, shapes[: len(short)])
    dimensions = _prove(model, tower, (short, whole, one))
    return Conversion(
        model,
        {
            "dimensions": dimensions,
            "preprocess_config": dict(loaded.preprocess_config),
            **cut_facts(tower.cut),
        },
    )


def _converted(module: nn.Module, example: tuple[Tensor, ...], dynamic_shapes: Any) -> Any:
    with torch.no_grad():
        graph = export(module, example, dynamic_shapes=dynamic_shapes, strict=False)
    return openvino().convert_model(graph)


def _prove(model: Any, module: nn.Module, examples: tuple[tuple[Tensor, ...], ...]) -> int:
    """Compare with torch on inputs of several shapes; the length of the vectors, if they agree."""
    compiled = CompiledTower(model, "fp32")
    for example in examples:
        with torch.inference_mode():
            expected = module(*example).numpy()
        found = compiled.run([tensor.contiguous().numpy() for tensor in example])
        if found.shape != expected.shape:
            raise NotConvertibleError(f"converted, it gives {found.shape}, not {expected.shape}")
        off = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
        if not off.max() <= _TOLERANCE:
            raise NotConvertibleError(f"converted, its vectors are off by {off.max():.1%}")
    return int(expected.shape[1])
