"""open_clip's transformer for towers that read one place of each input.

CLIP's vectors are read at one place: the class token of a picture, the end of a text. Behind the
last block's attention no place looks at another one any more, so that block computes queries, its
output and its MLP for the places read alone. Keys and values come from all of them as before, and
the vectors stay the same (to about 5e-7): of ViT-B-32's picture tower that is 7 % of the work.

Attention is put as projections and one scaled dot product. Torch runs its own module as fast; but
exported, that one leaves eight transpositions per block which OpenVINO copies memory for: 4 % of
a float32 pass, 11 % of one in int8.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.embedding.open_clip.imported import open_clip

_transformer = open_clip.transformer


class PooledTransformer(nn.Module):
    """Runs the blocks of an open_clip transformer, the last one for the places that are read.

    After `Transformer` and `ResidualAttentionBlock` of open_clip 3.3.0.
    """

    def __init__(self, transformer: Any) -> None:
        """Take a transformer's blocks; see `of`."""
        super().__init__()
        self._blocks = transformer.resblocks
        self._attentions = nn.ModuleList(_Attention(block.attn) for block in self._blocks)

    @classmethod
    def of(cls, transformer: Any) -> "PooledTransformer | None":
        """The form of a transformer for one place; None if its blocks are of another build."""
        if type(transformer) is not _transformer.Transformer:
            return None
        blocks = list(transformer.resblocks)
        return cls(transformer) if blocks and all(map(_is_plain, blocks)) else None

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the transformer computes."""
        return self._blocks[0].get_weight_dtype()  # type: ignore[no-any-return]  # untyped

    def forward(self, x: Tensor, read: Tensor, mask: Tensor | None = None) -> Tensor:
        """Values (n, width) at the places `read` (n,) of inputs (n, length, width).

        `mask` (length, length) is added to the attention of each place to each.
        """
        if mask is not None:
            mask = mask.to(x.dtype)
        last = len(self._blocks) - 1
        for number, (block, attention) in enumerate(
            zip(self._blocks, self._attentions, strict=True)
        ):
            seen = block.ln_1(x)
            asking = seen
            if number == last:
                rows = torch.arange(x.shape[0], device=x.device)
                x, asking = x[rows, read][:, None], seen[rows, read][:, None]
                mask = None if mask is None else mask[read][:, None, None]
            x = x + block.ls_1(attention(asking, seen, mask))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        return x[:, 0]


class _Attention(nn.Module):
    """An nn.MultiheadAttention, with its own parameters."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self._heads = attention.num_heads
        self._in_weight = attention.in_proj_weight
        self._in_bias = attention.in_proj_bias
        self._out = attention.out_proj

    def forward(self, asking: Tensor, seen: Tensor, mask: Tensor | None) -> Tensor:
        """Of `asking` (n, places, width) to `seen` (n, length, width), in the former's shape."""
        # Three products rather than one that is parted: parting copies what it parts.
        query, key, value = (
            functional.linear(given, weight, bias)
            .reshape(*given.shape[:2], self._heads, -1)
            .transpose(1, 2)
            for given, weight, bias in zip(
                (asking, seen, seen), self._in_weight.chunk(3), self._in_bias.chunk(3), strict=True
            )
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self._out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # untyped


def _is_plain(block: Any) -> bool:
    """Whether `forward` repeats the steps of this kind of block."""
    return (
        type(block) is _transformer.ResidualAttentionBlock
        and not hasattr(block, "ln_1_kv")
        and type(block.attn) is nn.MultiheadAttention
        and block.attn.in_proj_weight is not None
        and block.attn.in_proj_bias is not None
        and block.attn.bias_k is None
        and not block.attn.add_zero_attn
    )
