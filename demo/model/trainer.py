"""One training step: both towers, the losses and the optimizer."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from demo.model.combinations import COLOURS, GARMENTS, PATTERNS
from demo.model.training_data import Batch
from shared.embedding.open_clip.imported import open_clip

LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
WARM_UP_STEPS = 150
ATTRIBUTE_LOSS_WEIGHT = 0.5
LARGEST_LOGIT_SCALE = math.log(100)
"""CLIP's own bound: beyond it training becomes unstable."""


class AttributeHeads(nn.Module):
    """Linear classifiers of garment, colour and pattern on vectors of the common space.

    Pictures and captions share them, so each attribute finds the same directions in both towers.
    They speed up the start of training, when the contrastive loss alone teaches colours quickly
    but silhouettes slowly, and are thrown away afterwards.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Linear(width, len(words)) for words in (GARMENTS, COLOURS, PATTERNS)
        )
        self.scale = width**0.5

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy for unit vectors (n, width) and labels (n, 3)."""
        losses = [
            cross_entropy(head(vectors * self.scale), labels[:, i])
            for i, head in enumerate(self.heads)
        ]
        return torch.stack(losses).mean()


def encode_trimmed_text(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """open_clip's `CLIP.encode_text` for tokens cut to the longest text, (n, length).

    Attention is causal, so what follows a text's end changes nothing, and computing it is waste.
    """
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    # The end-of-text token has the highest id of all, and argmax takes its first place.
    x = model.ln_final(x)[torch.arange(len(x)), tokens.argmax(dim=1)]
    projected: Tensor = x @ model.text_projection
    return projected


def contrastive_loss(pictures: Tensor, captions: Tensor, fit: Tensor, scale: Tensor) -> Tensor:
    """CLIP's loss with soft targets for unit vectors (n, d), (m, d) and fit (n, m).

    A caption may fit several pictures of the batch, and a picture several captions; each side's
    targets are the fits, made to sum to one.
    """
    logits = scale * pictures @ captions.T
    to_captions = cross_entropy(logits, fit / fit.sum(dim=1, keepdim=True))
    to_pictures = cross_entropy(logits.T, (fit / fit.sum(dim=0, keepdim=True)).T)
    return (to_captions + to_pictures) / 2


class Trainer:
    """The model with its optimizer; one call of `step` per batch."""

    def __init__(self, model: open_clip.CLIP, steps: int, mean: Tensor, std: Tensor) -> None:
        self.model = model
        self._heads = AttributeHeads(model.text_projection.shape[1])
        self._mean, self._std = mean[:, None, None], std[:, None, None]
        named = [*model.named_parameters(), *self._heads.named_parameters()]
        # As in CLIP: gains, biases and the temperature are not pulled towards zero.
        decayed = [p for _, p in named if p.ndim >= 2]
        free = [p for _, p in named if p.ndim < 2]
        self._parameters = decayed + free
        self._optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": WEIGHT_DECAY},
                {"params": free, "weight_decay": 0},
            ],
            lr=LEARNING_RATE,
            betas=(0.9, 0.98),
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: _learning_rate_share(step, steps)
        )

    def step(self, batch: Batch) -> tuple[float, float]:
        """One update; returns the contrastive and the attribute loss."""
        pictures = (batch.pictures - self._mean) / self._std
        seen = normalize(self.model.visual(pictures), dim=-1)
        said = normalize(encode_trimmed_text(self.model, batch.tokens), dim=-1)
        contrastive = contrastive_loss(seen, said, batch.fit, self.model.logit_scale.exp())
        attributes = self._heads(seen, batch.picture_labels)
        attributes = attributes + self._heads(said, batch.caption_labels)
        self._optimizer.zero_grad()
        (contrastive + ATTRIBUTE_LOSS_WEIGHT * attributes).backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self._schedule.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, LARGEST_LOGIT_SCALE)
        return contrastive.item(), attributes.item()


def _learning_rate_share(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to zero."""
    if step < WARM_UP_STEPS:
        return (step + 1) / WARM_UP_STEPS
    return 0.5 + 0.5 * math.cos(math.pi * (step - WARM_UP_STEPS) / max(1, steps - WARM_UP_STEPS))
