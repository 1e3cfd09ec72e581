"""The commands on a service whose answers are chosen here."""

import base64
import json
from pathlib import Path

import pytest

from tests.integration.client.conftest import Reply, Request, Service, problem
from vitrine.faults import ExitCode

HIT = {
    "product_id": "prod_001",
    "name": "Red [bold]Shirt",
    "price": 29.99,
    "sale_price": 19.5,
    "category": "clothing",
    "score": 0.93,
    "similarity_score": 0.3125,
}
ANSWER = {
    "results": [HIT, {**HIT, "product_id": "prod_002", "sale_price": None, "score": None}],
    "total_results": 1000,
    "total_relation": "gte",
    "facets": {
        "attributes.color": {"values": [{"value": "red", "count": 2}]},
        "price": {"min": 19.5, "max": 29.99},
    },
    "corrected": {"shrit": "shirt"},
    "degraded": ["looks"],
    "execution_time_ms": 12.41,
    "cached": True,
}


def test_a_search_sends_what_was_given_and_nothing_else(service: Service) -> None:
    service.answer = lambda _: Reply(200, ANSWER)
    assert service.run("search", "red", "shirt").exit_code == 0
    options = "--top 5 --offset 10 --match words --brand A --brand B --in-stock --price-max 30"
    more = "--attribute color=red --attribute color=pink --attribute size=M=L --no-group"
    assert service.run("search", *options.split(), *more.split()).exit_code == 0
    assert [request.body for request in service.requests] == [
        {"text_query": "red shirt"},
        {
            "top_k": 5,
            "offset": 10,
            "match": "words",
            "brand_filter": ["A", "B"],
            "in_stock": True,
            "price_max": 30.0,
            "attributes": {"color": ["red", "pink"], "size": ["M=L"]},
            "group": False,
        },
    ]


def test_a_search_shows_hits_facets_and_remarks(service: Service) -> None:
    service.answer = lambda _: Reply(200, ANSWER)
    shown = service.run("search", "shrit").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["1", "prod_001", "Red", "[bold]Shirt", "clothing", "19.50", "0.93", "0.312"] in lines
    assert ["2", "prod_002", "Red", "[bold]Shirt", "clothing", "29.99", "0.312"] in lines
    assert shown.endswith(
        "attributes.color: red (2)\nprice: 19.5 to 29.99\n"
        "also looked for: shirt (shrit is not in the catalogue)\nnot answered by: looks\n"
        "2 of at least 1000 (12.4 ms, cached)\n"
    )


def test_a_search_as_json_is_the_answer_itself(service: Service) -> None:
    service.answer = lambda _: Reply(200, ANSWER)
    assert json.loads(service.run("search", "x", "--json").stdout) == ANSWER


def test_a_picture_is_a_file_or_a_url(service: Service, tmp_path: Path) -> None:
    service.answer = lambda _: Reply(200, ANSWER)
    (tmp_path / "a.png").write_bytes(b"picture")
    service.run("search", "--image", str(tmp_path / "a.png"))
    service.run("search", "--image", "https://shop.example/a.png")
    assert [request.body for request in service.requests] == [
        {"image_base64": base64.b64encode(b"picture").decode()},
        {"image_url": "https://shop.example/a.png"},
    ]


def test_bad_input_never_reaches_the_service(service: Service, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate((10 << 20) + 1)
    for arguments, code, said in (
        (("--image", str(tmp_path / "no.png")), ExitCode.DATA, "can't be read"),
        (("--image", str(tmp_path)), ExitCode.DATA, "can't be read"),
        (("--image", str(large)), ExitCode.DATA, "larger than 10 MiB"),
        (("--attribute", "color"), ExitCode.USAGE, "NAME=VALUE"),
        (("--top", "0"), ExitCode.USAGE, "--top"),
        (("--nope",), ExitCode.USAGE, "--nope"),
    ):
        ran = service.run("search", *arguments)
        assert (ran.exit_code, said in ran.stderr) == (code, True), ran.stderr
    assert service.run("--nope").exit_code == ExitCode.USAGE
    assert service.run("nonsense").exit_code == ExitCode.USAGE
    assert service.requests == []


def job(failed: int, finished: bool = True) -> dict[str, object]:
    counts = {"received": 3, "indexed": 3 - failed, "failed": failed, "pending": 0}
    return {
        "job_id": "j1",
        "state": "succeeded" if finished else "running",
        "progress": 1.0 if finished else 0.5,
        "counts": counts,
        "created_at": "2026-01-01T10:00:00.123Z",
        "finished_at": "2026-01-01T10:00:01Z" if finished else None,
    }


def test_a_job_is_waited_for_and_its_failures_end_with_one(service: Service) -> None:
    failure = {"product_id": "p2", "code": "image_not_found", "message": "No picture."}
    replies = [
        Reply(200, job(0, finished=False)),
        Reply(200, job(1)),
        Reply(200, {"items": [failure], "next_cursor": None}),
    ]
    service.answer = lambda _: replies.pop(0)
    ran = service.run("jobs", "show", "j1", "--wait")
    assert ran.exit_code == ExitCode.SOME_FAILED
    assert "j1: succeeded (100%); 3 received, 2 indexed, 1 failed" in ran.stdout
    assert "p2: image_not_found: No picture." in ran.stdout
    assert [request.path.partition("/api/v1")[2] for request in service.requests] == [
        "/jobs/j1?wait=30",
        "/jobs/j1?wait=30",
        "/jobs/j1/items?status=failed&limit=20",
    ]


def test_a_job_without_failures_ends_with_zero_and_jobs_are_listed(service: Service) -> None:
    service.answer = lambda request: Reply(
        200, {"jobs": [job(0)], "next_cursor": None} if "limit" in request.path else job(0)
    )
    assert service.run("jobs", "show", "j1").exit_code == 0
    listed = service.run("jobs", "list")
    assert listed.exit_code == 0
    row = ["j1", "succeeded", "2026-01-01T10:00:00", "3", "0", "0"]
    assert row in [line.split() for line in listed.stdout.splitlines()]


def catalogue(request: Request) -> Reply:
    """Finds what a query names, as `25 of a` finds a-0 to a-24."""
    if "refuse" in request.body["text_query"]:
        return problem(422, "validation_failed", "text_query: not this one")
    count, _, letter = request.body["text_query"].split()
    found = [{"product_id": f"{letter}-{number}"} for number in range(int(count))]
    page = found[request.body["offset"] : request.body["offset"] + request.body["top_k"]]
    return Reply(200, {"results": page, "total_results": len(found), "generation": "1"})


RATINGS = """query,product_id,rating
25 of a,a-0,3
25 of a,a-1,0
250 of b,b-249,3
250 of b,b-100,1
0 of c,c-1,3
"""


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text(RATINGS)
    return path


def test_an_evaluation_scores_each_query_and_all(
    service: Service, ratings: Path, tmp_path: Path
) -> None:
    service.answer = catalogue
    output = tmp_path / "run.json"
    ran = service.run("evaluate", str(ratings), "--json", str(output), "--match", "words")
    assert ran.exit_code == 0, ran.stderr
    run = json.loads(output.read_text())
    assert run["request"] == {"match": "words", "group": False}
    queries = run["queries"]
    assert queries["25 of a"]["scores"]["nDCG@10"] == 1
    # b-100 and b-249 are found first and second of what is rated, and beyond rank 100.
    assert queries["250 of b"]["scores"] == {
        "nDCG@10": 0.0,
        "nDCG@10, rated only": pytest.approx((1 + 3 * 0.63093) / (3 + 0.63093), abs=1e-4),
        "recall@100": 0.0,
        "empty answers": 0.0,
    }
    assert queries["0 of c"]["scores"]["empty answers"] == 1
    assert run["totals"]["nDCG@10"]["mean"] == pytest.approx(1 / 3)
    assert run["totals"]["empty answers"]["mean"] == pytest.approx(1 / 3)
    assert ["empty", "answers", "0.333"] in [line.split()[:3] for line in ran.stdout.splitlines()]


def test_pages_are_read_only_as_far_as_scores_depend_on_them(
    service: Service, ratings: Path
) -> None:
    service.answer = catalogue
    service.run("evaluate", str(ratings))
    asked = sorted((one.body["text_query"], one.body["offset"]) for one in service.requests)
    assert asked == [("0 of c", 0), ("25 of a", 0), *(("250 of b", at) for at in (0, 100, 200))]


def test_a_comparison_names_what_got_better_and_worse(
    service: Service, ratings: Path, tmp_path: Path
) -> None:
    service.answer = catalogue
    before = tmp_path / "before.json"
    service.run("evaluate", str(ratings), "--json", str(before))
    run = json.loads(before.read_text())
    run["queries"]["25 of a"]["scores"]["nDCG@10"] = 0.25
    run["queries"]["0 of c"]["scores"]["nDCG@10"] = 0.5
    run["ratings_sha256"] = "another"
    before.write_text(json.dumps(run))
    ran = service.run("evaluate", str(ratings), "--compare", str(before))
    assert ran.exit_code == 0
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert ["25", "of", "a", "0.250", "1.000", "+0.750"] in lines
    assert ["0", "of", "c", "0.500", "0.000", "-0.500"] in lines
    assert "may be chance" in ran.stdout
    assert "was made with other ratings" in ran.stderr


def test_a_catalogue_that_changes_between_pages_is_read_anew(
    service: Service, ratings: Path
) -> None:
    changes = iter(["1", "2"])

    def changing(request: Request) -> Reply:
        reply = catalogue(request)
        if request.body["text_query"] == "250 of b":
            reply.body["generation"] = next(changes, "3")
        return reply

    service.answer = changing
    assert service.run("evaluate", str(ratings), "--at-once", "1").exit_code == 0
    offsets = [one.body["offset"] for one in service.requests if "250" in one.body["text_query"]]
    assert offsets == [0, 100, 200, 0, 100, 200]


def test_a_catalogue_that_never_rests_is_no_measure(service: Service, ratings: Path) -> None:
    numbers = iter(range(10_000))

    def restless(request: Request) -> Reply:
        reply = catalogue(request)
        reply.body["generation"] = str(next(numbers))
        return reply

    service.answer = restless
    ran = service.run("evaluate", str(ratings))
    assert ran.exit_code == ExitCode.UNAVAILABLE
    assert "the catalogue changed between the pages of '250 of b'" in ran.stderr


def test_a_refused_query_ends_the_evaluation(service: Service, ratings: Path) -> None:
    service.answer = catalogue
    ratings.write_text(RATINGS + "refuse me,a-1,3\n")
    ran = service.run("evaluate", str(ratings))
    assert (ran.exit_code, "not this one" in ran.stderr) == (ExitCode.DATA, True)


def test_bad_files_end_before_the_first_search(service: Service, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("nonsense")
    good.write_text(RATINGS)
    for arguments in ([str(bad)], [str(good), "--compare", str(bad)], [str(tmp_path / "no.csv")]):
        ran = service.run("evaluate", *arguments)
        assert ran.exit_code == ExitCode.DATA
    assert service.requests == []
