"""Training pictures and captions as batches of tensors."""

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from demo.model.captions import Caption, Language, any_caption
from demo.model.combinations import COLOURS, GARMENTS, PATTERNS, TRAINING_COMBINATIONS, Combination
from demo.model.drawing import draw
from shared.embedding.open_clip.imported import SimpleTokenizer

FILL_TOKEN_ID = 49_400
"""A token that no caption contains; its row is trained to stand for every unknown token."""

UNMENTIONED = -100
"""The label of an attribute that a caption leaves out (cross_entropy's `ignore_index`)."""

_LANGUAGES: tuple[Language, ...] = ("en", "fr")
_PATTERN_UNSAID = 0.3
"""Weight of a patterned picture for a caption silent on the pattern; a plain one counts 1.

"A red dress" is true of a striped one, but shoppers who type it would rather see a plain one first.
"""


@dataclass(frozen=True)
class Batch:
    """n pictures of different combinations and 2n captions, one per language for each picture."""

    pictures: Tensor
    """float32, (n, 3, size, size), values 0 … 1."""
    tokens: Tensor
    """int64, (2n, longest text of the batch); shorter texts are filled up with end-of-text."""
    fit: Tensor
    """float32, (n, 2n): how well each caption fits each picture, 0 … 1."""
    picture_labels: Tensor
    """int64, (n, 3): garment, colour and pattern."""
    caption_labels: Tensor
    """int64, (2n, 3); UNMENTIONED if the caption does not say."""


def draw_training_pictures(per_combination: int, size: int, seed: int) -> Tensor:
    """Draw with all cores: uint8, (combinations, per_combination, 3, size, size)."""
    jobs = [(shown, per_combination, size, seed) for shown in TRAINING_COMBINATIONS]
    drawn = torch.empty(len(jobs), per_combination, 3, size, size, dtype=torch.uint8)
    # Forking a process that has already run torch can deadlock in its thread pool.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        done = pool.map(_draw_several, jobs)
        for place, pictures in zip(drawn, track(done, "Drawing", total=len(jobs)), strict=True):
            place.copy_(torch.from_numpy(pictures))
    return drawn


def _draw_several(job: tuple[Combination, int, int, int]) -> NDArray[np.uint8]:
    shown, count, size, seed = job
    pictures = [np.asarray(draw(*shown, seed=seed + i, size=size)) for i in range(count)]
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))


def batches(
    drawn: Tensor, tokenizer: SimpleTokenizer, steps: int, batch_size: int, seed: int
) -> Iterator[Batch]:
    """Yield `steps` batches.

    No combination comes twice in a batch: two pictures of the same thing would count as each
    other's wrong answer, and all the others differ in one attribute at least.
    """
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = []
    for _ in range(steps):
        if len(order) < batch_size:
            order = rng.sample(range(len(TRAINING_COMBINATIONS)), len(TRAINING_COMBINATIONS))
        chosen, order = order[:batch_size], order[batch_size:]
        which = torch.randint(drawn.shape[1], (batch_size,), generator=generator)
        pictures = drawn[torch.tensor(chosen), which].float() / 255
        shown = [TRAINING_COMBINATIONS[i] for i in chosen]
        captions = [any_caption(each, language, rng) for language in _LANGUAGES for each in shown]
        yield Batch(
            pictures=_varied(pictures, generator),
            tokens=_tokens(captions, tokenizer, rng),
            fit=torch.tensor([[_fit(c, each) for c in captions] for each in shown]),
            picture_labels=torch.tensor([_labels(*each) for each in shown]),
            caption_labels=torch.tensor([_caption_labels(caption) for caption in captions]),
        )


def _fit(caption: Caption, shown: Combination) -> float:
    if not caption.mention.fits(shown):
        return 0.0
    return _PATTERN_UNSAID if caption.mention.pattern is None and shown.pattern != "plain" else 1.0


def _labels(garment: str | None, colour: str | None, pattern: str | None) -> list[int]:
    return [
        GARMENTS.index(garment) if garment else UNMENTIONED,
        COLOURS.index(colour) if colour else UNMENTIONED,
        PATTERNS.index(pattern) if pattern else UNMENTIONED,
    ]


def _caption_labels(caption: Caption) -> list[int]:
    garments = caption.mention.garments
    single = garments[0] if garments is not None and len(garments) == 1 else None
    return _labels(single, caption.mention.colour, caption.mention.pattern)


def _tokens(captions: list[Caption], tokenizer: SimpleTokenizer, rng: random.Random) -> Tensor:
    """Token ids cut to the batch's longest text, some with unknown tokens put between."""
    rows: list[list[int]] = []
    for caption in captions:
        row = tokenizer.encode(caption.text)
        if rng.random() < 0.2:
            place = rng.randint(0, len(row))
            row[place:place] = [FILL_TOKEN_ID] * rng.randint(1, 3)
        row = row[: tokenizer.context_length - 2]
        rows.append([tokenizer.sot_token_id, *row, tokenizer.eot_token_id])
    longest = max(len(row) for row in rows)
    return torch.tensor([row + row[-1:] * (longest - len(row)) for row in rows])


def _varied(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shift, stretch, scale and mirror each picture a little, and change its light."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(len(pictures)).uniform_(low, high, generator=generator)

    mirrored = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    zoom = uniform(0.95, 1.12)
    stretch = uniform(-0.06, 0.06).exp()
    shear = uniform(-0.06, 0.06)
    affine = torch.stack(
        [
            torch.stack([mirrored * zoom * stretch, shear, uniform(-0.07, 0.07)], dim=1),
            torch.stack([-shear, zoom / stretch, uniform(-0.07, 0.07)], dim=1),
        ],
        dim=1,
    )
    grid = affine_grid(affine, list(pictures.shape), align_corners=False)
    moved = grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    light = uniform(0.94, 1.06)[:, None, None, None]
    return (moved * light).clamp(0, 1)
