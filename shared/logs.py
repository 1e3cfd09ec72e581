"""Structured logs: one line an event, JSON unless a person is watching."""

import contextlib
import logging
import sys
from typing import Final

import structlog

# A line per call to Qdrant, per doorbell or per odd header of a picture server drowns the rest.
_QUIETED: Final = {
    "httpx": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "celery.app.trace": logging.WARNING,
    "urllib3": logging.ERROR,
}


def configure_logging(level: str, process: str) -> None:
    """Sends the logs of this project and of its libraries to stdout in one format.

    What a request binds with `structlog.contextvars` (its request id) stands in each of its lines.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        _naming(process),
    ]
    rendered: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if sys.stdout.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for library, least in _QUIETED.items():
        logging.getLogger(library).setLevel(least)
    # Our own lines don't go through `logging`, which takes twice as long as all the rest of a line.
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Output,
        cache_logger_on_first_use=True,
    )


class _Output:
    """Writes whole lines to stdout under a logger's name."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def write(self, line: str) -> None:
        """Nothing that is logged fails because nobody reads it any more, the disk is full, or a
        terminal has no characters for it.
        """
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    debug = info = warning = error = critical = write


def _naming(process: str) -> structlog.types.Processor:
    def name(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["process"] = process
        return event

    return name
