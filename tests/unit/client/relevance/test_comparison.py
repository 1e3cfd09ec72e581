"""Runs written, read again, and held against each other."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vitrine.faults import ExitCode, Fault
from vitrine.relevance.comparison import compare
from vitrine.relevance.evaluation import EMPTY, METRICS, NDCG, Evaluation, QueryScores, score
from vitrine.relevance.record import Record, read_record, write_record


def run(**scores: float | None) -> Evaluation:
    """A run in which each query has this nDCG@10."""
    return Evaluation(
        {
            query: QueryScores({**dict.fromkeys(METRICS, 0.5), NDCG: value}, 3, ["p1"])
            for query, value in scores.items()
        }
    )


def test_queries_are_told_by_how_much_they_changed() -> None:
    before, after = run(a=0.2, b=0.5, c=0.9, d=0.4), run(a=0.8, b=0.5, c=0.1, d=0.4001)
    found = compare(before, after, seed=1)
    assert [change.query for change in found.changes] == ["c", "a"]
    assert found.changes[0].difference == pytest.approx(-0.8)
    assert found.differences[NDCG].mean == pytest.approx((0.6 - 0.8 + 0.0001) / 4)
    assert found.only_one_has == 0


def test_a_small_gain_of_every_query_is_told_from_chance() -> None:
    """Paired: queries differ among each other by far more than the two runs do."""
    hard_and_easy = {f"q{number}": number / 40 for number in range(40)}
    better = {query: value + 0.01 for query, value in hard_and_easy.items()}
    found = compare(run(**hard_and_easy), run(**better), seed=1).differences[NDCG]
    assert found.differs_from_zero
    assert found.low == pytest.approx(0.01)


def test_queries_of_one_run_alone_and_without_score_are_left_out() -> None:
    found = compare(run(a=0.5, b=0.5, n=None), run(a=0.7, c=0.1, n=0.3), seed=1)
    assert [change.query for change in found.changes] == ["a"]
    assert found.differences[NDCG].queries == 1
    assert found.differences[EMPTY].queries == 2
    assert found.only_one_has == 2


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    evaluation = Evaluation(
        {"rød": score(["p2", "p1"], 2, {"p1": 3}), "nothing": score([], 0, {"p1": 0})}
    )
    record = Record(evaluation, "abc", {"match": "words"}, "2026-01-01T00:00:00+00:00")
    write_record(record, tmp_path / "run.json", seed=1)
    assert read_record(tmp_path / "run.json") == record
    totals = json.loads((tmp_path / "run.json").read_text())["totals"]
    assert totals[EMPTY]["mean"] == 0.5
    assert totals[NDCG] == {
        "mean": pytest.approx(0.6309, abs=1e-4),
        "low": pytest.approx(0.6309, abs=1e-4),
        "high": pytest.approx(0.6309, abs=1e-4),
        "queries": 1,
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"format": 2}',
        "[" * 100_000,
        "\xff",
        '{"format": 1, "queries": []}',
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(Fault, match=r"other\.json is not what") as caught:
        read_record(path)
    assert caught.value.code == ExitCode.DATA


def test_faults_of_files_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="can't be read"):
        read_record(tmp_path / "nowhere.json")
    with pytest.raises(Fault, match="can't be written") as caught:
        write_record(Record(run(a=1), "abc", {}), tmp_path / "no" / "folder.json", seed=1)
    assert caught.value.code == ExitCode.CANT_CREATE


def test_a_run_without_scores_writes_no_means(tmp_path: Path) -> None:
    record = replace(Record(Evaluation({}), "abc", {}), at="now")
    write_record(record, tmp_path / "run.json", seed=1)
    assert read_record(tmp_path / "run.json") == record
