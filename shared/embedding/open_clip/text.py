"""The text towers of open_clip, run on no more places of a text than its vector depends on.

Attention in CLIP's text tower is causal and the vector is read at the end-of-text token, so what
stands behind that token changes nothing. A query of five words fills 7 of 77 places: cutting
tokens, positional embedding and mask to the batch's longest text gives the same vectors (to about
2e-7) for a fraction of the work. Towers of the transformers library are trimmed by their mask (see
`masked_text`).

Other towers are never trimmed: SigLIP's looks in both directions, padding included, and the vector
is read at the last of 64 places. Without that padding its rankings would be upside down. The form
of the tower says which is which; besides, what a trimmed tower gives is compared with open_clip's
own vectors before it is used.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.embedding.encoder import PreparedText
from shared.embedding.open_clip.control_tokens import read_literally
from shared.embedding.open_clip.masked_text import MaskedTransformer, Padding
from shared.embedding.open_clip.pooled_transformer import PooledTransformer

log = structlog.get_logger(__name__)

_TRIED: Final = ("red shirt", "a long blue cotton dress with white dots, for the summer", "")
"""Texts that a trimmed tower is compared with open_clip's own on."""

_TOLERANCE: Final = 1e-4
"""Of a vector's length, the most that a trimmed tower may be off: rounding in another order makes
1e-6, a place that is missing makes 0.1 and more."""

_TOKENIZER_CACHE_WORDS = 100_000
"""open_clip's tokenizer remembers every word it ever met; shoppers' typing errors never end."""


@dataclass(frozen=True)
class ReadPlace:
    """The place of the text's vector, as open_clip's pooling finds it."""

    pool_type: str
    """`argmax` and `eos`: the end-of-text token. `last` and `first`: that place of the context."""
    eos_id: int
    causal: bool = True
    """Whether a place looks at those before it alone, so that nothing behind it matters."""

    def position(self, ids: PreparedText) -> int:
        """That place in the token ids of one text, shape (length,)."""
        if self.pool_type == "first":
            return 0
        if self.pool_type == "last":
            return len(ids) - 1
        marks = ids if self.pool_type == "argmax" else (ids == self.eos_id)
        return int(marks.argmax())

    def length(self, ids: PreparedText) -> int:
        """Places of one text's token ids, shape (length,), that its vector depends on."""
        return self.position(ids) + 1 if self.causal else len(ids)

    def inputs(self, batch: Sequence[PreparedText]) -> tuple[NDArray[np.int64], ...]:
        """Token ids (n, longest) of n texts, and the place that is read of each (n,)."""
        padded = np.zeros((len(batch), max(len(ids) for ids in batch)), dtype=np.int64)
        for row, ids in zip(padded, batch, strict=True):
            row[: len(ids)] = ids
        return padded, np.array([self.position(ids) for ids in batch], dtype=np.int64)


@dataclass(frozen=True)
class WholeContext:
    """Every place of the context, for a tower that is called as it is."""

    def length(self, ids: PreparedText) -> int:
        """All places of one text's token ids, shape (length,)."""
        return len(ids)

    def inputs(self, batch: Sequence[PreparedText]) -> tuple[NDArray[np.int64], ...]:
        """Token ids (n, context length) of n texts: all that the tower takes."""
        return (np.stack(batch),)


Cut = ReadPlace | Padding | WholeContext
"""Where a text may be cut without changing its vector, and how a batch of cut ones is put."""

_CUTS: Final[Mapping[str, type[Cut]]] = {
    "end_of_text": ReadPlace,
    "padding": Padding,
    "whole_context": WholeContext,
}


def cut_facts(cut: Cut) -> dict[str, Any]:
    """A cut as JSON, to be stored with a converted tower."""
    (name,) = (name for name, kind in _CUTS.items() if isinstance(cut, kind))
    return {name: asdict(cut)}


def stored_cut(facts: Mapping[str, Any]) -> Cut:
    """The cut that `cut_facts` put among a converted tower's facts."""
    (name,) = _CUTS.keys() & facts.keys()
    return _CUTS[name](**facts[name])


class TextTokens:
    """Turns texts into token ids, cut behind the end of the text if that is exact."""

    def __init__(self, tokenizer: Any, cut: Cut) -> None:
        """`tokenizer` maps a list of n texts to int64 ids of shape (n, context length). From now
        on it takes the names of its control tokens for text."""
        read_literally(tokenizer)
        self._tokenizer = tokenizer
        self._cut = cut
        self._lock = threading.Lock()

    def __call__(self, text: str) -> PreparedText:
        """Token ids of one text, int64 of shape (length,)."""
        with self._lock:  # Those of the tokenizers library may refuse a second caller.
            ids: PreparedText = self._tokenizer([text])[0].numpy()
            _bound_word_cache(self._tokenizer)
        return ids[: self._cut.length(ids)]


class TextTower:
    """The text half of an open_clip model, and nothing of the image half."""

    def __init__(
        self, model: Any, tokenizer: Any, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        """Take the text half of an open_clip model, which must not be used otherwise afterwards.

        `tokenizer` maps a list of n texts to int64 ids of shape (n, context length).
        """
        self._device = device
        tower = text_tower(model, tokenizer)
        self._tower = tower.to(device=device, dtype=dtype)
        self._cut = tower.cut
        self.tokens = TextTokens(tokenizer, tower.cut)

    @torch.inference_mode()
    def encode(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        """Raw vectors of shape (len(batch), dimensions), as open_clip's encode_text gives them."""
        inputs = (torch.from_numpy(each).to(self._device) for each in self._cut.inputs(batch))
        raw: Tensor = self._tower(*inputs)
        return raw.float().cpu().numpy()


class TrimmedTransformer(nn.Module):
    """The parts of a text transformer, run on as many places as are needed.

    After `CLIP.encode_text` and `TextTransformer.forward` of open_clip 3.3.0.
    """

    _mask: Tensor | None

    def __init__(self, tower: Any, transformer: PooledTransformer, cut: ReadPlace) -> None:
        super().__init__()
        self.cut = cut
        self._token_embedding = tower.token_embedding
        self._positions = tower.positional_embedding
        self._transformer = transformer
        self.register_buffer("_mask", tower.attn_mask if cut.causal else None)
        self._ln_final = tower.ln_final
        self._projection = tower.text_projection

    @classmethod
    def of(cls, tower: Any) -> "TrimmedTransformer | None":
        """That form of a tower, or None if the tower is of another build."""
        pool_type = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
        eos_id = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))
        class_token = getattr(tower, "cls_emb", None) is not None  # CoCa reads it at the very end
        masks_padding = getattr(tower, "use_pad_mask", False)
        if pool_type not in ("argmax", "eos", "first", "last") or class_token or masks_padding:
            return None
        transformer = PooledTransformer.of(tower.transformer)
        if transformer is None:
            return None
        causal = isinstance(getattr(tower, "attn_mask", None), Tensor)
        return cls(
            tower,
            transformer,
            ReadPlace(pool_type, int(eos_id) if eos_id is not None else -1, causal),
        )

    def forward(self, tokens: Tensor, read: Tensor) -> Tensor:
        """Raw vectors (n, dimensions) of tokens (n, length), read at the places `read` (n,)."""
        # Gathered rather than sliced: a slice would bind an exported graph to shorter texts.
        places = torch.arange(tokens.shape[1], device=tokens.device)
        dtype = self._transformer.dtype
        x = self._token_embedding(tokens).to(dtype) + self._positions[places].to(dtype)
        mask = None if self._mask is None else self._mask[places][:, places]
        x = self._ln_final(self._transformer(x, read, mask))
        if self._projection is None:
            return x  # type: ignore[no-any-return]  # open_clip's modules are untyped
        if isinstance(self._projection, nn.Linear):
            return self._projection(x)  # type: ignore[no-any-return]
        return x @ self._projection  # type: ignore[no-any-return]


class WholeTower(nn.Module):
    """A text tower of any build, called as it is."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.cut = WholeContext()
        model.visual = nn.Identity()  # so that the image half can be freed
        self._model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Raw vectors (n, dimensions) of tokens (n, context length)."""
        return self._model.encode_text(tokens)  # type: ignore[no-any-return]


def text_tower(model: Any, tokenizer: Any) -> TrimmedTransformer | MaskedTransformer | WholeTower:
    """The text half of an open_clip model on the CPU, trimmed if that changes no vector.

    A model that can't be trimmed must not be used otherwise afterwards.
    """
    tower = getattr(model, "text", model)
    found = TrimmedTransformer.of(tower) or MaskedTransformer.of(tower)
    if found is not None and _is_exact(found, model, tokenizer):
        return found
    return WholeTower(model)


@torch.inference_mode()
def _is_exact(tower: TrimmedTransformer | MaskedTransformer, model: Any, tokenizer: Any) -> bool:
    """Whether the tower gives open_clip's own vectors of a few texts."""
    ids: Tensor = tokenizer(list(_TRIED))
    expected = model.encode_text(ids)
    cut = tower.cut.inputs([each[: tower.cut.length(each)] for each in ids.numpy()])
    off = torch.linalg.vector_norm(tower(*map(torch.from_numpy, cut)) - expected, dim=1)
    share = float((off / torch.linalg.vector_norm(expected, dim=1)).max())
    if share <= _TOLERANCE:
        return True
    log.warning("text_tower_not_trimmed", tower=type(tower).__name__, off=share)
    return False


def _bound_word_cache(tokenizer: Any) -> None:
    """Empty SimpleTokenizer's memory of words once it has grown large."""
    cache = getattr(tokenizer, "cache", None)
    if isinstance(cache, dict) and len(cache) > _TOKENIZER_CACHE_WORDS:
        tokenizer.cache = {
            tokenizer.decoder[token]: tokenizer.decoder[token]
            for token in tokenizer.all_special_ids
        }
