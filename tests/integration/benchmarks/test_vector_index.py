"""The programs that measure the vector index run to their end and count right."""

import os
import subprocess
import sys
from collections.abc import Sequence

import httpx
import numpy as np
import pytest

from benchmarks.drawn_vectors import DrawnCatalogue
from benchmarks.studies.graph import recall
from stack.run import ROOT
from tests.servers import EmbeddedQdrantProcess


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


def test_the_embedded_server_misses_nothing_and_keeps_nothing(
    qdrant_server: EmbeddedQdrantProcess,
) -> None:
    said = run(
        "recall",
        *("--points", "300", "--searches", "5"),
        QDRANT_URL=qdrant_server.url,
        QDRANT_QUANTIZATION="int8",
    )
    assert said.count("recall@10 1.0000 of 5 searches") == 2
    assert "int8" in said
    held = httpx.get(f"{qdrant_server.url}/collections", trust_env=False).json()["result"]
    assert not [one for one in held["collections"] if one["name"].startswith("recall-")]


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


def test_batches_of_writes_are_timed_each() -> None:
    said = run("write_batches", "--products", "512", "--rounds", "1")
    assert [line.split(" a write")[0].split() for line in said.splitlines()] == [
        [kind, size] for kind in ("new", "replaced") for size in ("64", "128", "256")
    ]
