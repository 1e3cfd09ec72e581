"""Pages join without gaps or repetitions, whatever Qdrant does with equal scores."""

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from shared.qdrant.paging import Scored, Window, windows


class Index:
    """Answers as Qdrant does: by falling score, and equal scores in any order, anew each time."""

    def __init__(self, scores: Sequence[int], seed: int) -> None:
        self._hits = [Scored(f"p{at:04}", score / 10, {}) for at, score in enumerate(scores)]
        self._random = random.Random(seed)
        self.queries = 0

    def read(self, window: Window) -> list[Scored]:
        self.queries += 1
        self._random.shuffle(self._hits)
        found = sorted(self._hits, key=lambda hit: -hit.score)
        return found[window.start : window.start + window.limit]

    def page(self, offset: int, top_k: int) -> list[Scored]:
        for window in windows(offset, top_k):
            page = window.page(self.read(window), offset, top_k)
            if page is not None:
                return page
        raise AssertionError("no window gave the page")

    @property
    def ordered(self) -> list[Scored]:
        return sorted(self._hits, key=lambda hit: (-hit.score, hit.product_id))


@given(
    scores=st.lists(st.integers(0, 5), max_size=150) | st.lists(st.integers(), max_size=60),
    seed=st.integers(0, 9),
    top_k=st.integers(1, 20),
)
def test_pages_put_together_are_all_hits_in_order(scores: list[int], seed: int, top_k: int) -> None:
    index = Index(scores, seed)
    pages = [index.page(offset, top_k) for offset in range(0, len(scores) + top_k, top_k)]
    assert [hit for page in pages for hit in page] == index.ordered
    assert pages[-1] == []


def test_a_product_in_all_its_sizes_costs_no_second_query() -> None:
    index = Index([score for score in range(100) for _ in range(8)], 1)
    for offset in (0, 3, 10, 500):
        index.queries = 0
        index.page(offset, 10)
        assert index.queries == 1


def test_a_thousand_equal_ones_cost_few() -> None:
    index = Index([1] * 1000, 1)
    assert index.page(0, 10) == index.ordered[:10]
    assert index.queries <= 3


def test_an_endless_run_of_equal_scores_ends_the_reading() -> None:
    assert max(window.limit for window in windows(1000, 100)) == 2048
    assert all(window.page([], 1000, 100) == [] for window in windows(1000, 100))
