"""A point's vectors under their names."""

import numpy as np
import pytest

from shared.qdrant.vectors import VectorSet


@pytest.mark.parametrize(
    "vector",
    [
        np.ones((1, 4)),
        [],
        [0.5, float("nan")],
        np.full(4, np.inf, np.float32),
        [1e39, 0],
    ],
)
def test_a_vector_that_would_sink_its_batch_is_refused_alone(vector: object) -> None:
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="the vector image"):
        VectorSet({"image": vector})  # type: ignore[dict-item]


def test_vectors_are_kept_in_single_precision_and_contiguous() -> None:
    (vector,) = VectorSet.of_image(np.ones((4, 2))[:, 0]).values()
    assert vector.dtype == np.float32
    assert vector.flags.c_contiguous


def test_every_vector_of_a_record_is_kept_whatever_its_name() -> None:
    vectors = VectorSet.of_record({"image": [1.0, 0.0], "other": [0.5]})
    assert {name: vector.tolist() for name, vector in vectors.items()} == {
        "image": [1.0, 0.0],
        "other": [0.5],
    }
    assert vectors.as_json().keys() == {"image", "other"}


@pytest.mark.parametrize("record", [None, {}])
def test_a_record_without_vectors_has_an_empty_set(record: object) -> None:
    assert len(VectorSet.of_record(record)) == len(VectorSet()) == 0
