"""What the demo prints: complete, in plain words, and readable where nobody watches."""

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.client import Searched
from demo.report import LOG_LINES, Report, as_json, price, tail, times

RESULT: dict[str, Any] = {
    "product_id": "prod_001",
    "name": "Red [b]Shirt[/b]",
    "category": "clothing",
    "price": 30.0,
    "similarity_score": 0.30449,
}


def searched(*results: dict[str, Any], cached: bool = False) -> Searched:
    return Searched({"text_query": "robe à pois", "top_k": 5}, results, 12.345, 15.0, cached)


def reporting(**options: Any) -> tuple[Report, io.StringIO]:
    written = io.StringIO()
    return Report(Console(file=written, width=80, highlight=False, **options)), written


def test_a_search_shows_request_results_and_times_within_80_columns() -> None:
    report, written = reporting()
    report.search(searched(RESULT, {"product_id": "p/2", "name": "Bag", "similarity_score": 0.2}))
    text = written.getvalue()
    assert '{"text_query": "robe à pois", "top_k": 5}' in text
    for cell in ("prod_001", "Red [b]Shirt[/b]", "clothing", "30.00", "0.304", "p/2", "0.200"):
        assert cell in text
    assert "2 results · server 12.3 ms · wall 15.0 ms · cached: false" in text
    assert max(map(len, text.splitlines())) <= 80


def test_times_tell_one_result_from_many_and_a_cached_answer_from_a_new_one() -> None:
    assert times(searched(RESULT, cached=True)).startswith("1 result · ")
    assert times(searched()).startswith("0 results · ")
    assert times(searched(cached=True)).endswith("cached: true")


def test_a_request_is_shown_as_it_can_be_sent() -> None:
    request = {"text_query": "écharpe", "price_max": 60}
    assert "écharpe" in as_json(request)
    assert json.loads(as_json(request)) == request


def test_a_line_is_meant_for_copying_and_stays_as_it_is() -> None:
    report, written = reporting()
    line = "curl http://127.0.0.1/[x] " + "-d y " * 30 + "\\"
    report.line(line)
    assert written.getvalue() == line + "\n"


def test_prices_have_their_cents_and_may_be_absent() -> None:
    assert (price(5), price(29.99), price(None)) == ("5.00", "29.99", "")


def test_without_a_terminal_a_progress_is_a_few_lines() -> None:
    report, written = reporting(force_terminal=False)
    with report.progress("drawn", 200) as advance:
        for done in range(201):
            advance(done)
    assert written.getvalue().split() == [
        word for done in (50, 100, 150, 200) for word in ("drawn:", f"{done}/200")
    ]


def test_a_failure_shows_the_end_of_the_logs_that_there_are(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)) + "x" * 5000 + "\n")
    report, written = reporting()
    report.failure("no answer", [log, tmp_path / "absent.log"])
    text = written.getvalue()
    assert "The demo failed: no answer" in text
    assert "the end of api.log" in text
    assert "absent" not in text
    assert "line 99" in text
    assert "line 50" not in text
    assert len(text) < 2000
    assert len(tail(log, LOG_LINES)) == LOG_LINES


def test_a_failed_check_stands_out() -> None:
    report, written = reporting()
    report.checks({"all indexed": True, "cached": False})
    assert written.getvalue().splitlines() == ["   ok     all indexed", "   FAILED cached"]
