"""Draws how far each row is from its target."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl

from benchmarks.results import Row

_MET: Final = "#2f7d5b"
_MISSED: Final = "#b5482f"
_FURTHEST: Final = 20.0
"""What is better than its target by more is drawn as this."""


def draw(rows: Sequence[Row], file: Path) -> None:
    """A bar for each row with a target, to the right of 1 if it is met, as PNG."""
    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415 - after the choice of a backend without a screen

    shown = [(row, row.headroom) for row in reversed(rows) if row.headroom is not None]
    figure, axes = pyplot.subplots(figsize=(10, 1 + 0.55 * len(shown)), layout="constrained")
    for at, (row, headroom) in enumerate(shown):
        width = min(headroom, _FURTHEST)
        axes.barh(at, width - 1, left=1, color=_MET if row.met else _MISSED)
        axes.annotate(
            f" {headroom:.2f} ",
            (width, at),
            ha="left" if width >= 1 else "right",
            va="center",
            fontsize=8,
        )
    axes.set_xscale("log")
    axes.set_xlim(min([0.5, *(0.7 * headroom for _, headroom in shown)]), 1.6 * _FURTHEST)
    axes.set_yticks(
        range(len(shown)),
        [textwrap.fill(row.name, 60) for row, _ in shown],
        fontsize=8,
    )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xticks([0.5, 1, 2, 5, 10, 20], ["½", "1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.set_xlabel("times better than the target (1: just met)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
