"""open_clip's picture towers that read their vector at the class token, without other work.

See `pooled_transformer`. Other picture towers (averaged, pooled by attention, timm's) are called
as they are.
"""

from typing import Any

import torch
from torch import Tensor, nn

from shared.embedding.open_clip.imported import open_clip
from shared.embedding.open_clip.pooled_transformer import PooledTransformer


class ClassTokenTower(nn.Module):
    """A vision transformer, read at its class token.

    After `VisionTransformer` of open_clip 3.3.0.
    """

    def __init__(self, visual: Any, transformer: PooledTransformer) -> None:
        super().__init__()
        self._visual = visual
        self._transformer = transformer

    def forward(self, pixels: Tensor) -> Tensor:
        """Raw vectors (n, dimensions) of pictures (n, 3, height, width)."""
        x = self._visual._embeds(pixels)
        first = torch.zeros(x.shape[0], dtype=torch.long, device=x.device)
        x = self._visual.ln_post(self._transformer(x, first))
        return x if self._visual.proj is None else x @ self._visual.proj  # type: ignore[no-any-return]


def image_tower(model: Any) -> nn.Module:
    """The picture half of an open_clip model: raw vectors (n, dimensions) of pictures."""
    visual: nn.Module = model.get_submodule("visual")
    if (
        type(visual) is open_clip.transformer.VisionTransformer
        and visual.pool_type == "tok"
        and visual.attn_pool is None
        and not visual.output_tokens
    ):
        transformer = PooledTransformer.of(visual.transformer)
        if transformer is not None:
            return ClassTokenTower(visual, transformer)
    return visual
