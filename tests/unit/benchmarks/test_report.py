"""The benchmark's page."""

from pathlib import Path

import pytest

from benchmarks.report import DOCUMENT, write
from benchmarks.results import Measured, Results, Row

ROWS = [
    Row(name="ours ÷ theirs", values=[1.5, 2.5, 2.25], unit="×", target=2, at_least=True),
    Row(name="waiting", values=[130], unit="ms", target=100, digits=0, note="slow disk"),
    Row(name="memory", values=[1234], unit="MB", digits=0),
]
MACHINE = {
    "processor": "Some CPU",
    "cores": 2,
    "flags": ["avx2"],
    "memory_gb": 8.0,
    "system": "Linux",
    "temporary_files": "ext4",
    "versions": {"torch": "2"},
    "load_before": 0.1,
}
RUN = {
    "date": "2026-01-02",
    "form": "full",
    "minutes": 12,
    "model": "ViT-B-32",
    "encoders": {"worker": "openvino fp32"},
    "pictures": "drawn",
}


def results(**machine: object) -> Results:
    measured = {"one": Measured(rows=ROWS[:1]), "two": Measured(rows=ROWS[1:])}
    return Results(machine={**MACHINE, **machine}, run=RUN, measured=measured)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The project's own page as it stands, elsewhere."""
    copy = tmp_path / "performance.md"
    copy.write_text(DOCUMENT.read_text())
    return copy


def test_the_table_shows_each_row_beside_its_target(page: Path) -> None:
    write(results(), page)
    text = page.read_text()
    assert "| ours ÷ theirs | 2.25× | ≥ 2.00× | met |" in text
    assert "| waiting<br><small>slow disk</small> | 130 ms | ≤ 100 ms | **missed** |" in text
    assert "| memory | 1,234 MB |  |  |" in text
    assert "Some CPU, 2 cores (avx2)" in text
    assert "ViT-B-32 (worker: openvino fp32)" in text
    assert "busy" not in text.split("## How to measure")[0]


def test_writing_anew_replaces_what_was_written_and_nothing_else(page: Path) -> None:
    before = page.read_text()
    write(results(processor="An older CPU"), page)
    write(results(), page)
    once = page.read_text()
    write(results(), page)
    assert page.read_text() == once
    assert "An older CPU" not in once
    assert once.endswith(before[before.index("<!-- The end") :])


def test_a_busy_machine_is_named(page: Path) -> None:
    write(results(load_before=1.9), page)
    assert "The machine was busy already (load 1.9)" in page.read_text()


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Other things")
    with pytest.raises(ValueError, match="no place"):
        write(results(), page)
    assert page.read_text() == "# Other things"


def test_a_run_survives_its_file() -> None:
    assert Results.model_validate_json(results().model_dump_json()) == results()
