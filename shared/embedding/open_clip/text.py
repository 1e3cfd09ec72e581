"""Exact text trimming for open_clip's causal text towers.

Attention in CLIP's text tower is causal and the vector is read at the end-of-text token, so what
stands behind that token changes nothing. A query of five words fills 7 of 77 places: cutting
tokens, positional embedding and mask to the batch's longest text gives the same vectors (to about
2e-7) for a fraction of the work. Towers of the transformers library are trimmed by their mask (see
`masked_text`); those of another build are called as they are.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.embedding.encoder import PreparedText
from shared.embedding.open_clip.control_tokens import read_literally
from shared.embedding.open_clip.masked_text import MaskedTransformer, Padding
from shared.embedding.open_clip.pooled_transformer import PooledTransformer

_TOKENIZER_CACHE_WORDS = 100_000
"""open_clip's tokenizer remembers every word it ever met; shoppers' typing errors never end."""


@dataclass(frozen=True)
class EndOfText:
    """How open_clip's pooling finds the position whose vector is the text's."""

    pool_type: str
    eos_id: int

    def position(self, ids: PreparedText) -> int:
        """That position in the token ids of one text, shape (length,)."""
        marks = ids if self.pool_type == "argmax" else (ids == self.eos_id)
        return int(marks.argmax())

    def length(self, ids: PreparedText) -> int:
        """Places of one text's token ids, shape (length,), that its vector depends on."""
        return self.position(ids) + 1

    def inputs(self, batch: Sequence[PreparedText]) -> tuple[NDArray[np.int64], ...]:
        """Token ids (n, longest) of n texts, and the position of each text's last token (n,)."""
        return padded_batch(batch)


Cut = EndOfText | Padding
"""Where a text may be cut without changing its vector, and how a batch of cut ones is put."""

_CUTS: Final[Mapping[str, type[EndOfText] | type[Padding]]] = {
    "end_of_text": EndOfText,
    "padding": Padding,
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
    """Turns texts into token ids, cut behind the end of the text where that is exact."""

    def __init__(self, tokenizer: Any, cut: Cut | None) -> None:
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
        return ids if self._cut is None else ids[: self._cut.length(ids)]


class TextTower:
    """The text half of an open_clip model, and nothing of the image half."""

    def __init__(
        self, model: Any, tokenizer: Any, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        """Take the text half of an open_clip model, which must not be used otherwise afterwards.

        `tokenizer` maps a list of n texts to int64 ids of shape (n, context length).
        """
        self._device = device
        self._trimmed = trimmed(model)
        self._model: Any = None
        if self._trimmed is None:
            self._model = model
            model.visual = nn.Identity()  # So that the image half can be freed.
            model.to(device=device, dtype=dtype)
            self.tokens = TextTokens(tokenizer, None)
        else:
            self._trimmed.to(device=device, dtype=dtype)
            self.tokens = TextTokens(tokenizer, self._trimmed.cut)

    @property
    def trims(self) -> bool:
        """Whether texts are cut to the batch's longest."""
        return self._trimmed is not None

    @torch.inference_mode()
    def encode(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        """Raw vectors of shape (len(batch), dimensions), as open_clip's encode_text gives them."""
        if self._trimmed is None:
            raw: Tensor = self._model.encode_text(
                torch.from_numpy(np.stack(batch)).to(self._device)
            )
        else:
            inputs = self._trimmed.cut.inputs(batch)
            raw = self._trimmed(*(torch.from_numpy(each).to(self._device) for each in inputs))
        return raw.float().cpu().numpy()


class TrimmedTransformer(nn.Module):
    """The parts of a causal text transformer, run on as many positions as are needed.

    After `CLIP.encode_text` and `TextTransformer.forward` of open_clip 3.3.0.
    """

    _mask: Tensor

    def __init__(self, tower: Any, transformer: PooledTransformer, end_of_text: EndOfText) -> None:
        super().__init__()
        self.cut = end_of_text
        self._token_embedding = tower.token_embedding
        self._positions = tower.positional_embedding
        self._transformer = transformer
        self.register_buffer("_mask", tower.attn_mask)
        self._ln_final = tower.ln_final
        self._projection = tower.text_projection

    @classmethod
    def of(cls, tower: Any) -> "TrimmedTransformer | None":
        """The trimmed form of a tower, or None where trimming would not be exact."""
        pool_type = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
        eos_id = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))
        causal = isinstance(getattr(tower, "attn_mask", None), Tensor)
        class_token = getattr(tower, "cls_emb", None) is not None  # CoCa reads it at the very end
        if pool_type not in ("argmax", "eos") or not causal or class_token:
            return None
        transformer = PooledTransformer.of(tower.transformer)
        if transformer is None:
            return None
        end = EndOfText(pool_type, int(eos_id) if eos_id is not None else -1)
        return cls(tower, transformer, end)

    def forward(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """Raw vectors (n, dimensions) of tokens (n, length), read at the positions `ends` (n,)."""
        # Gathered rather than sliced: a slice would bind an exported graph to shorter texts.
        places = torch.arange(tokens.shape[1], device=tokens.device)
        dtype = self._transformer.dtype
        x = self._token_embedding(tokens).to(dtype) + self._positions[places].to(dtype)
        x = self._ln_final(self._transformer(x, ends, self._mask[places][:, places]))
        if self._projection is None:
            return x  # type: ignore[no-any-return]  # open_clip's modules are untyped
        if isinstance(self._projection, nn.Linear):
            return self._projection(x)  # type: ignore[no-any-return]
        return x @ self._projection  # type: ignore[no-any-return]


def trimmed(model: Any) -> TrimmedTransformer | MaskedTransformer | None:
    """The trimmed form of an open_clip model's text tower, or None where none would be exact."""
    tower = getattr(model, "text", model)
    return TrimmedTransformer.of(tower) or MaskedTransformer.of(tower)


def padded_batch(batch: Sequence[PreparedText]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids (n, longest) of n texts, and the position of each text's last token (n,)."""
    padded = np.zeros((len(batch), max(len(ids) for ids in batch)), dtype=np.int64)
    for row, ids in zip(padded, batch, strict=True):
        row[: len(ids)] = ids
    return padded, np.array([len(ids) - 1 for ids in batch], dtype=np.int64)


def _bound_word_cache(tokenizer: Any) -> None:
    """Empty SimpleTokenizer's memory of words once it has grown large."""
    cache = getattr(tokenizer, "cache", None)
    if isinstance(cache, dict) and len(cache) > _TOKENIZER_CACHE_WORDS:
        tokenizer.cache = {
            tokenizer.decoder[token]: tokenizer.decoder[token]
            for token in tokenizer.all_special_ids
        }
