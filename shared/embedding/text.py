"""Exact text trimming for open_clip's causal text towers.

Attention in CLIP's text tower is causal and the vector is read at the end-of-text token, so what
stands behind that token changes nothing. A query of five words fills 7 of 77 places: cutting
tokens, positional embedding and mask to the batch's longest text gives the same vectors (to about
2e-7) for a fraction of the work. Towers of another build are called as they are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.embedding.encoder import PreparedText

_TOKENIZER_CACHE_WORDS = 100_000
"""open_clip's tokenizer remembers every word it ever met; shoppers' typing errors never end."""


class TextTower:
    """The text half of an open_clip model, and nothing of the image half."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        """Take the text half of an open_clip model, which must not be used otherwise afterwards.

        `tokenizer` maps a list of n texts to int64 ids of shape (n, context length).
        """
        model.to(device)
        self._tokenizer = tokenizer
        self._device = device
        self._trimmed = _TrimmedTransformer.of(getattr(model, "text", model))
        self._model: Any = None
        if self._trimmed is None:
            self._model = model
            model.visual = nn.Identity()  # So that the image half can be freed.

    @property
    def trims(self) -> bool:
        """Whether texts are cut to the batch's longest."""
        return self._trimmed is not None

    def tokens(self, text: str) -> PreparedText:
        """Token ids of one text, int64 of shape (length,), cut behind the end-of-text token."""
        ids: PreparedText = self._tokenizer([text])[0].numpy()
        _bound_word_cache(self._tokenizer)
        if self._trimmed is None:
            return ids
        return ids[: self._trimmed.end_of_text(ids) + 1]

    @torch.inference_mode()
    def encode(self, batch: Sequence[PreparedText]) -> NDArray[np.float32]:
        """Raw vectors of shape (len(batch), dimensions), as open_clip's encode_text gives them."""
        longest = max(len(ids) for ids in batch)
        padded = np.zeros((len(batch), longest), dtype=np.int64)
        for row, ids in zip(padded, batch, strict=True):
            row[: len(ids)] = ids
        tokens = torch.from_numpy(padded).to(self._device)
        if self._trimmed is None:
            raw: Tensor = self._model.encode_text(tokens)
        else:
            ends = torch.tensor([len(ids) - 1 for ids in batch], device=self._device)
            raw = self._trimmed.forward(tokens, ends)
        return raw.float().cpu().numpy()


class _TrimmedTransformer:
    """The parts of a causal text transformer, run on as many positions as are needed.

    After `CLIP.encode_text` and `TextTransformer.forward` of open_clip 3.3.0.
    """

    def __init__(self, tower: Any, pool_type: str, eos_id: int) -> None:
        self._token_embedding = tower.token_embedding
        self._positions = tower.positional_embedding
        self._transformer = tower.transformer
        self._mask = tower.attn_mask
        self._ln_final = tower.ln_final
        self._projection = tower.text_projection
        self._pool_type = pool_type
        self._eos_id = eos_id

    @classmethod
    def of(cls, tower: Any) -> "_TrimmedTransformer | None":
        """The trimmed form of a tower, or None where trimming would not be exact."""
        pool_type = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
        eos_id = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))
        causal = isinstance(getattr(tower, "attn_mask", None), Tensor)
        class_token = getattr(tower, "cls_emb", None) is not None  # CoCa reads it at the very end
        if pool_type not in ("argmax", "eos") or not causal or class_token:
            return None
        return cls(tower, pool_type, int(eos_id) if eos_id is not None else -1)

    def end_of_text(self, ids: PreparedText) -> int:
        """The position whose vector is the text's, found as open_clip's pooling finds it."""
        marks = ids if self._pool_type == "argmax" else (ids == self._eos_id)
        return int(marks.argmax())

    def forward(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """Raw vectors (n, dimensions) of tokens (n, length), read at the positions `ends` (n,)."""
        length = tokens.shape[1]
        dtype = self._transformer.get_cast_dtype()
        x = self._token_embedding(tokens).to(dtype) + self._positions[:length].to(dtype)
        x = self._transformer(x, attn_mask=self._mask[:length, :length])
        # The last norm looks at each position alone, so it is applied to those read only.
        x = self._ln_final(x[torch.arange(len(x), device=x.device), ends])
        if self._projection is None:
            return x  # type: ignore[no-any-return]  # open_clip's modules are untyped
        if isinstance(self._projection, nn.Linear):
            return self._projection(x)  # type: ignore[no-any-return]
        return x @ self._projection  # type: ignore[no-any-return]


def _bound_word_cache(tokenizer: Any) -> None:
    """Empty SimpleTokenizer's memory of words once it has grown large."""
    cache = getattr(tokenizer, "cache", None)
    if isinstance(cache, dict) and len(cache) > _TOKENIZER_CACHE_WORDS:
        tokenizer.cache = {
            tokenizer.decoder[token]: tokenizer.decoder[token]
            for token in tokenizer.all_special_ids
        }
