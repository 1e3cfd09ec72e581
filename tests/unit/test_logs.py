"""Lines of logs: one JSON object each, whoever writes it, and no failure where nobody reads."""

import json
import os
import subprocess
import sys
from typing import Any

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
            timeout=30,
            check=False,
        )
    finally:
        os.close(writer)
    assert ended.returncode == 7


def _run(source: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=30, check=True
    ).stdout


def _common(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("logger", "level", "process", "request_id")}
