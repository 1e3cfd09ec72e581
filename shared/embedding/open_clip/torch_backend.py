"""The torch backend: open_clip's model, float32 on CPUs and mostly float16 on CUDA."""

import gc
from typing import Final, Literal

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import nn

from shared.embedding.encoder import Tower
from shared.embedding.open_clip.class_token import image_tower
from shared.embedding.open_clip.encoder import OpenClipEncoder
from shared.embedding.open_clip.loading import LoadedModel, load_model
from shared.embedding.open_clip.preprocess import ImagePreprocessor, ResizeMode
from shared.embedding.open_clip.text import TextTower
from shared.embedding.openvino.runtime import Precision
from shared.errors import ModelUnavailable
from shared.memory import return_freed_memory

log = structlog.get_logger(__name__)

Device = Literal["auto", "cpu", "cuda"]

_DTYPES: Final[dict[Precision, torch.dtype]] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class ImageTower:
    """The image half of an open_clip model on its device."""

    def __init__(self, tower: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._tower = tower.to(device=device, dtype=dtype)
        self._device = device
        self._dtype = dtype

    @torch.inference_mode()
    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw vectors (n, dimensions) of pictures (n, 3, height, width)."""
        batch = torch.from_numpy(pixels)
        if self._device.type == "cuda":
            # Halved before the copy, which is then half as long; from pinned memory the copy needs
            # no thread of the CPU and runs beside the kernels of the batch before.
            batch = batch.to(self._dtype).pin_memory()
        batch = batch.to(device=self._device, dtype=self._dtype, non_blocking=True)
        raw: torch.Tensor = self._tower(batch)
        return raw.float().cpu().numpy()


class TorchEncoder(OpenClipEncoder):
    """Keeps only the towers asked for; the other half of the model is freed after loading."""

    def __init__(
        self,
        model: str,
        pretrained: str,
        towers: frozenset[Tower],
        *,
        device: Device = "auto",
        precision: Precision = "fp32",
        resize_mode: ResizeMode | None = None,
        threads: int | None = None,
    ) -> None:
        """Load a model; see `load_model` for the names. Raises ModelUnavailable within seconds.

        `resize_mode` overrides the model's own. `threads` bounds the threads of one forward pass;
        None leaves torch's choice, the number of physical cores.
        """
        super().__init__()
        self._names = (model, pretrained)
        self.device = torch_device(device)
        self._dtype = _DTYPES[precision]
        bound_threads(threads)
        loaded = load_model(model, pretrained)
        self._preprocess = ImagePreprocessor(loaded.preprocess_config, resize_mode)
        self._dimensions = loaded.dimensions
        for tower in sorted(towers):
            self._keep(tower, loaded)
        del loaded
        return_memory()
        log.info("model_loaded", model=model, device=str(self.device), towers=sorted(towers))

    def _open(self, tower: Tower) -> None:
        self._keep(tower, load_model(*self._names))
        return_memory()

    def _keep(self, tower: Tower, loaded: LoadedModel) -> None:
        """Move one tower to the device. The rest of `loaded` goes when its last name goes."""
        if tower == "image":
            pictures = image_tower(loaded.model)
            self._image = ImageTower(pictures, self.device, self._dtype).run
        else:
            self._text = TextTower(loaded.model, loaded.tokenizer, self.device, self._dtype)


def torch_device(wanted: Device) -> torch.device:
    """The device that a setting stands for. Raises ModelUnavailable if there is none."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelUnavailable(
            "CLIP_DEVICE=cuda, but torch finds no CUDA device here. "
            "Set CLIP_DEVICE=cpu or auto, or check the driver and the torch build."
        )
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def bound_threads(threads: int | None) -> None:
    """Let torch use at most so many threads for one forward pass, in this whole process."""
    if threads is not None:
        torch.set_num_threads(min(threads, torch.get_num_threads()))


def return_memory() -> None:
    """Gives the dropped half of a model back to the system."""
    gc.collect()
    return_freed_memory()
