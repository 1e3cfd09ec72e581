"""The OpenVINO backend: open_clip's towers, converted once, on CPUs.

A tower that can't be converted runs on torch beside the other, unless that is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from shared.embedding.decoding.pictures import COARSE_DRAFT_EDGE
from shared.embedding.encoder import Encoder, PreparedText, Tower
from shared.embedding.identity import model_slug, weights_identity
from shared.embedding.open_clip.class_token import image_tower
from shared.embedding.open_clip.encoder import OpenClipEncoder
from shared.embedding.open_clip.loading import LoadedModel, load_model, load_tokenizer
from shared.embedding.open_clip.preprocess import ImagePreprocessor, ResizeMode
from shared.embedding.open_clip.text import Cut, TextTokens, TextTower, stored_cut
from shared.embedding.open_clip.torch_backend import ImageTower, bound_threads, return_memory
from shared.embedding.openvino import runtime as openvino_runtime
from shared.embedding.openvino.conversion import NotConvertibleError, convert
from shared.embedding.openvino.converted_models import QUANTIZED, ConvertedModels, ConvertedTower
from shared.embedding.openvino.runtime import CompiledTower, Precision
from shared.embedding.precision import Inputs, compile_tower
from shared.errors import ModelUnavailable

log = structlog.get_logger(__name__)

_TYPICAL_QUERY: Final = "a red summer dress"
"""Six tokens, to try precisions with."""

_QUERIES_TOGETHER: Final = 16
"""As many as share a forward pass if searches come faster than they can be answered: those of
all API_THREADS, by its default."""


def coarse_draft_edge(encoder: Encoder) -> int:
    """The shorter edge, in pixels, that large JPEGs are decoded to at least for a tower in int8."""
    return max(COARSE_DRAFT_EDGE, encoder.image_edge * 3 // 2)


@dataclass(frozen=True)
class Quantized:
    """Facts about the int8 form of an image tower, stored with it."""

    resize_mode: str | None
    """How pictures were made square when it was calibrated; None: the model's own way."""
    overlap: float
    """Of the ten nearest pictures, the share that are the same as without loss."""
    checked: int
    calibrated: int
    """Pictures that judged it, and others that it was calibrated on."""
    cpu: str
    """Where it was judged: a processor of another kind may round otherwise."""
    nncf: str


class OpenVinoEncoder(OpenClipEncoder):
    """Keeps only the towers asked for. Converted towers stay on disk: later starts take seconds."""

    def __init__(
        self,
        model: str,
        pretrained: str,
        towers: frozenset[Tower],
        *,
        directory: Path,
        precision: Literal["auto"] | Precision = "auto",
        quantized: bool = False,
        torch_may_help: bool = True,
        resize_mode: ResizeMode | None = None,
        threads: int | None = None,
    ) -> None:
        """Load towers from `directory`, or load the model and convert them there.

        `precision` must be one of `supported_precisions()`; `auto` takes bf16 if it is faster
        than fp32 by a margin. `quantized` takes the stored int8 form of the image tower, and is
        refused if there is none, also before that tower is asked for. `torch_may_help=False`
        refuses a tower that can't be converted instead of running it on torch. `threads` bounds
        the threads of one forward pass. Raises ModelUnavailable.
        """
        super().__init__()
        self._names = (model, pretrained)
        self._precision = precision
        self.quantized = quantized
        self._torch_may_help = torch_may_help
        self._threads = threads
        self._resize_mode = resize_mode
        self.converted = ConvertedModels(
            directory,
            model_slug(model),
            weights_identity(model, pretrained),
            {
                "open_clip": package_version("open_clip_torch"),
                "openvino": openvino_runtime.version(),
            },
        )
        if quantized:
            self._checked_form()
        for tower in sorted(towers):
            self._open(tower)

    @property
    def draft_edge(self) -> int:
        """Coarser if the image tower is in int8, whose check on pictures covers that."""
        return coarse_draft_edge(self) if self.quantized else super().draft_edge

    def _open(self, tower: Tower) -> None:
        if tower == "image" and self.quantized:
            self._open_quantized()
            return
        stored = self.converted.find(tower)
        if stored is not None:
            self._keep_converted(tower, stored.path, stored.facts)
        else:
            self._load_and_convert(tower)
            return_memory()

    def _open_quantized(self) -> None:
        stored, known = self._checked_form()
        self._dimensions = int(stored.facts["dimensions"])
        self._preprocess = ImagePreprocessor(stored.facts["preprocess_config"], self._resize_mode)
        # The parts that are not int8 stay float32, as when it was checked.
        compiled = CompiledTower(stored.path, "fp32", self._threads)
        self._image = lambda pixels: compiled.run([pixels])
        log.info(
            "encoder_chosen",
            tower="image",
            chosen="openvino int8",
            candidates=[
                f"openvino int8: set by CLIP_PRECISION; of the ten nearest of {known.checked} "
                f"pictures {known.overlap:.3f} were those without loss (chosen)"
            ],
            threads=compiled.threads,
        )
        if known.cpu != openvino_runtime.cpu_name():
            log.warning(
                "int8_checked_elsewhere", checked_on=known.cpu, here=openvino_runtime.cpu_name()
            )

    def _checked_form(self) -> tuple[ConvertedTower, Quantized]:
        """The stored int8 form of the image tower. Raises ModelUnavailable if there is none."""
        stored = self.converted.find(QUANTIZED)
        if stored is not None:
            known = Quantized(**stored.facts["quantized"])
            if known.resize_mode == self._resize_mode:
                return stored, known
        raise ModelUnavailable(
            f"CLIP_PRECISION=int8, but {self.converted.directory} holds no int8 form of "
            f"CLIP_MODEL={self._names[0]} that was checked with this CLIP_RESIZE_MODE. Run `make "
            "quantize PICTURES=<folder of the shop's pictures>` with these settings, or set "
            "CLIP_PRECISION=auto."
        )

    def _load_and_convert(self, tower: Tower) -> None:
        loaded = load_model(*self._names)
        try:
            conversion = convert(tower, loaded)
        except NotConvertibleError as err:
            self._keep_on_torch(tower, loaded, str(err))
            return
        del loaded
        stored = self.converted.store(tower, conversion.write, conversion.facts)
        # From disk rather than from memory: its pages are shared and can be given back.
        source, facts = (conversion.model if stored is None else stored.path), conversion.facts
        del conversion
        return_memory()
        self._keep_converted(tower, source, facts)

    def _keep_converted(self, tower: Tower, source: object, facts: Mapping[str, Any]) -> None:
        self._dimensions = int(facts["dimensions"])
        self._preprocess = ImagePreprocessor(facts["preprocess_config"], self._resize_mode)
        if tower == "image":
            eight = np.zeros((8, *self._preprocess.input_size), dtype=np.float32)
            compiled = self._compiled(tower, source, [[eight]])
            self._image = lambda pixels: compiled.run([pixels])
        else:
            cut = stored_cut(facts)
            tokens = TextTokens(load_tokenizer(self._names[0]), cut)
            query = tokens(_TYPICAL_QUERY)
            alone, together = cut.inputs([query]), cut.inputs([query] * _QUERIES_TOGETHER)
            self._text = _ConvertedText(
                self._compiled(tower, source, [alone, together]), tokens, cut
            )

    def _keep_on_torch(self, tower: Tower, loaded: LoadedModel, reason: str) -> None:
        if not self._torch_may_help:
            raise ModelUnavailable(
                f"The {tower} tower of CLIP_MODEL={self._names[0]} does not run on OpenVINO: "
                f"{reason}. Set CLIP_BACKEND and CLIP_PRECISION to auto, or CLIP_BACKEND=torch."
            )
        log.warning("encoder_chosen", tower=tower, chosen="torch fp32", why_not_openvino=reason)
        bound_threads(self._threads)
        self._preprocess = ImagePreprocessor(loaded.preprocess_config, self._resize_mode)
        self._dimensions = loaded.dimensions
        cpu = torch.device("cpu")
        if tower == "image":
            self._image = ImageTower(image_tower(loaded.model), cpu, torch.float32).run
        else:
            self._text = TextTower(loaded.model, loaded.tokenizer, cpu)

    def _compiled(self, tower: Tower, source: object, probes: Sequence[Inputs]) -> CompiledTower:
        return compile_tower(
            tower,
            lambda precision: CompiledTower(source, precision, self._threads),
            self._precision,
            probes,
            self.converted,
        )


class _ConvertedText:
    """A converted text tower; the counterpart of torch's `TextTower`."""

    def __init__(self, compiled: CompiledTower, tokens: TextTokens, cut: Cut) -> None:
        self._compiled = compiled
        self._cut = cut
        self.tokens = tokens

    def encode(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        """Raw vectors of shape (len(batch), dimensions), as open_clip's encode_text gives them."""
        return self._compiled.run(self._cut.inputs(batch))
