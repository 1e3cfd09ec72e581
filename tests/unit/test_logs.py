"""Lines of logs: one JSON object each or for people, whoever writes; none fails, none is obeyed."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

LINES = """
import logging
import structlog
from shared.logs import configure_logging

configure_logging("INFO", "test")
log = structlog.get_logger("ours")
structlog.contextvars.bind_contextvars(request_id="r-1")
log.debug("too_fine")
log.info("said", odd=object, lone="\\ud800", large=2**80)
try:
    1 // 0
except ZeroDivisionError:
    log.exception("failed")
logging.getLogger("theirs").warning("number %d", 5, extra={"more": 1})
"""


def test_our_lines_and_those_of_libraries_look_alike() -> None:
    said, failed, theirs = (json.loads(line) for line in _run(LINES).splitlines())
    for line, logger, level in ((said, "ours", "info"), (theirs, "theirs", "warning")):
        assert _common(line) == {
            "logger": logger,
            "level": level,
            "process": "test",
            "request_id": "r-1",
        }
        assert line["timestamp"].endswith("Z")
    assert (said["event"], said["large"]) == ("said", 2**80)
    assert failed["level"] == "error"
    assert "ZeroDivisionError" in failed["exception"]
    assert (theirs["event"], theirs["more"]) == ("number 5", 1)


def test_a_line_that_nobody_reads_fails_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ending = "\nimport os\nos._exit(7)"  # without the flush of an orderly end, which is Python's
    try:
        ended = subprocess.run(
            [sys.executable, "-c", LINES + ending],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert ended.returncode == 7


HOSTILE = """
import logging
import structlog
from shared.logs import configure_logging

configure_logging("INFO", "test", FORMAT)
bad = "a\\x1b[2J\\x9b31m\\x7f\\r\\n12:00:00 [info] forged\\u202e\\u2028\\ud800"
log = structlog.get_logger("ours")
log.info(bad, **{bad: bad}, held=[bad], odd=type("Odd", (), {"__str__": lambda _: bad})())
try:
    raise ValueError(bad)
except ValueError:
    log.exception("failed", name="shirt")
    logging.getLogger("theirs").exception("%s", bad)
"""


def test_nothing_that_is_logged_is_obeyed_by_a_terminal_or_passes_for_a_line() -> None:
    out = _run(HOSTILE.replace("FORMAT", '"console"'))
    assert out.isprintable() or {sign for sign in out if not sign.isprintable()} == {"\n"}
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith("    ")] == [lines[0], *_of(lines, "[e")]
    assert len(_of(lines, "[error")) == 2
    assert out.count("\\x1b[2J") >= 6
    assert "failed [ours] name=shirt process=test" in out
    assert "    ValueError: a\\x1b[2J" in out
    assert "locals" not in out


@pytest.mark.parametrize("wanted", ["auto", "json", "console"])
def test_lines_are_for_people_on_a_terminal_unless_said_otherwise(wanted: str) -> None:
    source = LINES.replace('"test")', f'"test", "{wanted}")')
    leader, follower = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", source], stdout=follower, timeout=60, check=True)
        shown = os.read(leader, 65536).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert shown.startswith("{") == (wanted == "json")
    assert "\x1b" not in shown
    assert _run(source).startswith("{") == (wanted != "console")


def _of(lines: list[str], part: str) -> list[str]:
    return [line for line in lines if part in line and not line.startswith("    ")]


def _run(source: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=30, check=True
    ).stdout


def _common(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("logger", "level", "process", "request_id")}
