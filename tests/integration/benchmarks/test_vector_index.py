"""The programs that measure the vector index run to their end and count right."""

import os
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.drawn_vectors import DrawnCatalogue
from benchmarks.studies.graph import recall
from stack.run import ROOT


def run(module: str, *options: str, **settings: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.studies.{module}", *options],
        cwd=ROOT,
        env={**os.environ, "CLIP_MODEL": "demo", **settings},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize(
    ("found", "share"), [([[1, 2], [3, 4]], 1.0), ([[2, 1], [9, 3]], 0.75), ([[], [3]], 0.25)]
)
def test_recall_is_the_share_of_all_that_was_to_be_found(
    found: Sequence[Sequence[int]], share: float
) -> None:
    assert recall(found, [[1, 2], [3, 4]]) == share


def test_the_engines_graph_is_built_and_searched() -> None:
    said = run("graph", "--points", "600", "--searches", "3")
    assert "float32: graph over 600 of 600 points" in said
    assert "int8: graph over 600 of 600 points" in said
    assert said.count("recall@10") == 2 * (5 + 15)


def test_drawn_vectors_lie_as_embeddings_do() -> None:
    drawn = DrawnCatalogue()
    products = drawn.products(2000)
    assert np.linalg.norm(products, axis=1) == pytest.approx(1, abs=1e-5)
    between = products[:1000] @ products[1000:].T
    assert 0.4 < between.mean() < 0.6
    assert (drawn.words(50) @ products.T).max() < 0.5
