"""What a service finds for rated queries, and the scores of that."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from vitrine.api import Api
from vitrine.faults import ExitCode, Fault
from vitrine.relevance.bootstrap import Estimate, estimate
from vitrine.relevance.metrics import Ratings, ndcg, ndcg_of_rated, recall

NDCG: Final = "nDCG@10"
NDCG_OF_RATED: Final = "nDCG@10, rated only"
RECALL: Final = "recall@100"
EMPTY: Final = "empty answers"
METRICS: Final = (NDCG, NDCG_OF_RATED, RECALL, EMPTY)

_PAGE: Final = 100
"""As many as the API shows at once; recall@100 needs them anyway."""

_MAX_OFFSET: Final = 1_000
_RATED_NEEDED: Final = 10
"""Once so many rated products are found, further pages change no score."""

_TRIES: Final = 5
"""So often a query's pages are read anew if the catalogue changes between them."""


@dataclass(frozen=True)
class QueryScores:
    """The scores of one query. None if its ratings allow none."""

    scores: Mapping[str, float | None]
    """By metric; an empty answer counts 1 under `EMPTY`, any other 0."""
    total_results: int
    first: Sequence[str]
    """The ids of the first ten products."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of all queries of one run."""

    queries: Mapping[str, QueryScores]

    def values(self, metric: str) -> Sequence[float]:
        """The metric's value of each query that has one."""
        scores = (query.scores[metric] for query in self.queries.values())
        return [score for score in scores if score is not None]

    def estimates(self, seed: int) -> Mapping[str, Estimate]:
        """The mean of each metric with its interval."""
        found = {metric: estimate(self.values(metric), seed) for metric in METRICS}
        return {metric: each for metric, each in found.items() if each is not None}


def evaluate(
    api: Api,
    queries: Mapping[str, Ratings],
    request: Mapping[str, Any],
    at_once: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Asks the service for each query, `at_once` of them at one time, and scores the answers.

    `request`: further fields of each search. `advance` is told of each query that is done. Raises
    `Fault`.
    """

    def scored(query: str) -> QueryScores:
        scores = score(*_found(api, {**request, "text_query": query}, queries[query]))
        advance(1)
        return scores

    with ThreadPoolExecutor(at_once) as threads:
        try:
            done = dict(zip(queries, threads.map(scored, queries), strict=True))
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return Evaluation(done)


def score(found: Sequence[str], total_results: int, ratings: Ratings) -> QueryScores:
    """The scores of the products found, best first."""
    scores = {
        NDCG: ndcg(found, ratings),
        NDCG_OF_RATED: ndcg_of_rated(found, ratings),
        RECALL: recall(found, ratings),
        EMPTY: 0.0 if found else 1.0,
    }
    return QueryScores(scores, total_results, found[:10])


def _found(
    api: Api, request: Mapping[str, Any], ratings: Ratings
) -> tuple[Sequence[str], int, Ratings]:
    """What `score` takes: the ids, best first, as far as scores depend on them."""
    for _ in range(_TRIES):
        found: dict[str, None] = {}
        generations = set()
        for answer in _pages(api, request):
            generations.add(answer.get("generation"))
            found |= dict.fromkeys(result["product_id"] for result in answer["results"])
            if len(ratings.keys() & found.keys()) >= min(_RATED_NEEDED, len(ratings)):
                break
        if len(generations) == 1:
            return list(found), answer["total_results"], ratings
    raise Fault(
        ExitCode.UNAVAILABLE,
        f"the catalogue changed between the pages of {request['text_query']!r}, {_TRIES} times in "
        "a row; evaluate while nothing is pushed",
    )


def _pages(api: Api, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The answer's pages until nothing more comes."""
    for offset in range(0, _MAX_OFFSET + 1, _PAGE):
        answer = api.search({**request, "top_k": _PAGE, "offset": offset})
        yield answer
        if len(answer["results"]) < _PAGE:
            return
