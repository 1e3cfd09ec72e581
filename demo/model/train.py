"""Trains the demo model from nothing: `python -m demo.model.train`.

Draws the pictures, trains both towers, writes the weights where the service finds them, and
evaluates what it wrote: a quarter of an hour on two idle cores. The same seed
gives the same pictures, captions and order.
"""

import argparse
import sys
import time

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from demo.model import evaluate
from demo.model.trainer import Trainer
from demo.model.training_data import FILL_TOKEN_ID, batches, draw_training_pictures
from shared.embedding.demo_model.loading import (
    DEMO_MODEL_DIR,
    build_demo_model,
    demo_preprocess_config,
    demo_tokenizer,
    save_demo_weights,
)


def train(arguments: argparse.Namespace, console: Console) -> None:
    """Draw, train and write the weights."""
    torch.manual_seed(arguments.seed)
    preprocess = demo_preprocess_config()
    tokenizer = demo_tokenizer()
    drawn = draw_training_pictures(arguments.pictures, preprocess["size"], arguments.seed)
    mean, std = torch.tensor(preprocess["mean"]), torch.tensor(preprocess["std"])
    trainer = Trainer(build_demo_model(), arguments.steps, mean, std)
    used = torch.zeros(tokenizer.vocab_size, dtype=torch.bool)
    columns = (MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[losses]}"))
    with Progress(*Progress.get_default_columns()[:2], *columns, console=console) as progress:
        task = progress.add_task("Training", total=arguments.steps, losses="")
        stream = batches(drawn, tokenizer, arguments.steps, arguments.batch_size, arguments.seed)
        for number, batch in enumerate(stream):
            contrastive, attributes = trainer.step(batch)
            used[batch.tokens.flatten()] = True
            losses = f"contrastive {contrastive:.3f}  attributes {attributes:.3f}"
            progress.update(task, advance=1, losses=losses)
            if number % 50 == 49 and not console.is_terminal:
                console.print(f"step {number + 1}/{arguments.steps}  {losses}")
    used[FILL_TOKEN_ID] = False
    state = trainer.model.state_dict()
    path = DEMO_MODEL_DIR / "weights.safetensors"
    save_demo_weights(state, used.nonzero().flatten(), FILL_TOKEN_ID, path)
    console.print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


def main() -> int:
    """Read the command line, train, evaluate; the exit code is the evaluation's."""
    parser = argparse.ArgumentParser(prog="python -m demo.model.train", description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=136)
    parser.add_argument("--pictures", type=int, default=96, help="drawings per combination")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    console = Console()
    started = time.monotonic()
    train(arguments, console)
    console.print(f"trained in {(time.monotonic() - started) / 60:.1f} minutes")
    return evaluate.main([])


if __name__ == "__main__":
    sys.exit(main())
