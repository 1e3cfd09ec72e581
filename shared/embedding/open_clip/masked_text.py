"""Exact text trimming for the text towers that open_clip takes from the transformers library.

The multilingual models have one: XLM-RoBERTa looks in both directions and the vector is the mean
over the text, so its end marks nothing. But padding is masked: it is looked at by no position and
counts in no mean. Cutting the columns that are padding in every text of a batch changes nothing
either, and leaves 7 places of 77.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.embedding.encoder import PreparedText
from shared.embedding.open_clip.imported import open_clip

_hf = open_clip.hf_model
_EXACT_POOLERS = (_hf.MeanPooler, _hf.ClsPooler, _hf.ClsLastHiddenStatePooler)
"""They read the first place, or all that are not masked."""


@dataclass(frozen=True)
class Padding:
    """The token that fills up shorter texts; it is masked wherever it stands."""

    pad_id: int

    def length(self, ids: PreparedText) -> int:
        """Places of one text's token ids, shape (length,), up to the last that isn't padding."""
        return max(1, int(np.flatnonzero(ids != self.pad_id).max(initial=0)) + 1)

    def inputs(self, batch: Sequence[PreparedText]) -> tuple[NDArray[np.int64], ...]:
        """Token ids (n, longest) of n texts: all that the tower takes."""
        padded = np.full((len(batch), max(len(ids) for ids in batch)), self.pad_id, dtype=np.int64)
        for row, ids in zip(padded, batch, strict=True):
            row[: len(ids)] = ids
        return (padded,)


class MaskedTransformer(nn.Module):
    """A text tower of the transformers library, run on as many positions as are needed."""

    def __init__(self, tower: Any, cut: Padding) -> None:
        super().__init__()
        self.cut = cut
        self._tower = tower

    @classmethod
    def of(cls, tower: Any) -> "MaskedTransformer | None":
        """The trimmed form of a tower, or None if trimming would not be exact."""
        if not isinstance(tower, _hf.HFTextEncoder) or tower.output_tokens:
            return None
        pad_id = getattr(tower.config, "pad_token_id", None)
        if pad_id is None or not isinstance(tower.pooler, _EXACT_POOLERS):
            return None
        return cls(tower, Padding(int(pad_id)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Raw vectors (n, dimensions) of tokens (n, length), padded with the padding's id."""
        return self._tower(tokens)  # type: ignore[no-any-return]  # open_clip's are untyped
