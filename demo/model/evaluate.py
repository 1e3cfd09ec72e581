"""Measures the demo model on drawings it has never seen: `python -m demo.model.evaluate`.

A gallery holds one new drawing of each combination. Every combination is asked for in English and
in French, by garment, colour and pattern, and counts as found when its drawing comes first. The
model is loaded as the service loads it, and pictures go through open_clip's own preprocessing.
Exits with 1 when a target is missed.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from demo.model.captions import Language, full_caption
from demo.model.combinations import ALL_COMBINATIONS, HELD_OUT, Combination
from demo.model.drawing import draw
from shared.embedding.demo_model.loading import (
    build_demo_model,
    demo_preprocess_config,
    demo_tokenizer,
    load_demo_model,
)
from shared.embedding.open_clip.imported import PreprocessCfg, image_transform_v2, open_clip

FIRST_SEED = 1_000_000
"""Galleries are drawn with seeds from here on; training stays far below."""

DRAWING_SIZE = 224
"""Pixels; larger than the model's input, as a shop's pictures are."""

LANGUAGES: tuple[Language, ...] = ("en", "fr")


@dataclass(frozen=True)
class Answer:
    """What came first for one query."""

    asked: Combination
    language: Language
    found: Combination

    @property
    def right(self) -> bool:
        """Garment, colour and pattern all together."""
        return self.asked == self.found


@dataclass(frozen=True)
class Target:
    """A share of right answers with the bound that it must keep."""

    name: str
    share: float
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the share lies on the right side of the bound."""
        return self.share >= self.bound if self.at_least else self.share < self.bound


@torch.inference_mode()
def encode_pictures(model: open_clip.CLIP, pictures: Sequence[Image.Image]) -> Tensor:
    """Unit vectors, (n, 512), by open_clip's own preprocessing and forward pass."""
    transform = image_transform_v2(PreprocessCfg(**demo_preprocess_config()), is_train=False)
    inputs = torch.stack([transform(picture) for picture in pictures])
    vectors: Tensor = model.encode_image(inputs, normalize=True)
    return vectors


def encode_drawings(
    model: open_clip.CLIP, shown: Sequence[Combination], seed: int, size: int = DRAWING_SIZE
) -> Tensor:
    """Unit vectors, (n, 512), of one drawing of each combination."""
    return encode_pictures(model, [draw(*each, seed=seed, size=size) for each in shown])


@torch.inference_mode()
def encode_texts(model: open_clip.CLIP, texts: Sequence[str]) -> Tensor:
    """Unit vectors, (n, 512), by open_clip's own forward pass."""
    vectors: Tensor = model.encode_text(demo_tokenizer()(list(texts)), normalize=True)
    return vectors


def ask_for_all(
    model: open_clip.CLIP, gallery: Sequence[Combination], vectors: Tensor, seed: int
) -> list[Answer]:
    """Ask for every combination of the gallery in each language."""
    rng = random.Random(seed)
    asked = [(shown, language) for language in LANGUAGES for shown in gallery]
    texts = [full_caption(shown, language, rng).text for shown, language in asked]
    best = (encode_texts(model, texts) @ vectors.T).argmax(dim=1).tolist()
    return [
        Answer(shown, language, gallery[index])
        for (shown, language), index in zip(asked, best, strict=True)
    ]


def evaluate_model(model: open_clip.CLIP, galleries: int) -> list[Answer]:
    """The answers over several galleries, each with other drawings and other captions."""
    answers: list[Answer] = []
    for seed in range(FIRST_SEED, FIRST_SEED + galleries):
        vectors = encode_drawings(model, ALL_COMBINATIONS, seed)
        answers += ask_for_all(model, ALL_COMBINATIONS, vectors, seed)
    return answers


def random_model(seed: int = 0) -> open_clip.CLIP:
    """The same architecture, untrained: the evaluation must tell it from the trained one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_demo_model().eval()


def targets(trained: Sequence[Answer], untrained: Sequence[Answer]) -> list[Target]:
    """What the model is held to."""
    unseen = [answer for answer in trained if answer.asked in HELD_OUT]
    french = [answer for answer in trained if answer.language == "fr"]
    return [
        Target("all combinations", _share_right(trained), 0.90),
        Target("combinations unseen in training", _share_right(unseen), 0.85),
        Target("French", _share_right(french), 0.85),
        Target("the same with random weights", _share_right(untrained), 0.05, at_least=False),
    ]


def _share_right(answers: Sequence[Answer]) -> float:
    return sum(answer.right for answer in answers) / len(answers)


def _print_shares(console: Console, answers: Sequence[Answer]) -> None:
    """What was right at rank 1, by group of queries and by attribute."""
    groups = {
        "all": answers,
        "English": [a for a in answers if a.language == "en"],
        "French": [a for a in answers if a.language == "fr"],
        "unseen in training": [a for a in answers if a.asked in HELD_OUT],
        "unseen, French": [a for a in answers if a.asked in HELD_OUT and a.language == "fr"],
    }
    table = Table(title="Right at rank 1, by attribute")
    for heading in ("queries", "number", "garment", "colour", "pattern", "all three"):
        table.add_column(heading, justify="left" if heading == "queries" else "right")
    for name, group in groups.items():
        parts = [
            sum(answer.asked[i] == answer.found[i] for answer in group) / len(group)
            for i in range(3)
        ]
        shares = [f"{share:.3f}" for share in (*parts, _share_right(group))]
        table.add_row(name, str(len(group)), *shares)
    console.print(table)


def _print_targets(console: Console, results: Sequence[Target]) -> None:
    table = Table(title="Garment, colour and pattern together at rank 1")
    for heading in ("target", "measured", "bound", ""):
        table.add_column(heading)
    for result in results:
        sign = "≥" if result.at_least else "<"
        verdict = "[green]met" if result.met else "[red]missed"
        table.add_row(result.name, f"{result.share:.3f}", f"{sign} {result.bound:.2f}", verdict)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.model.evaluate", description=__doc__)
    parser.add_argument("--galleries", type=int, default=3, help="how many sets of new drawings")
    options = parser.parse_args(arguments)
    console = Console()
    with console.status("Drawing and encoding the galleries"):
        trained = evaluate_model(load_demo_model(), options.galleries)
        untrained = evaluate_model(random_model(), 1)
    results = targets(trained, untrained)
    _print_shares(console, trained)
    _print_targets(console, results)
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
