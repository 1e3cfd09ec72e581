"""Structured logs: one line an event, JSON unless a person is watching."""

import contextlib
import logging
import re
import sys
from typing import Final, Literal

import structlog

_QUIETED: Final = {
    "httpx": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,
    "celery.app.trace": logging.WARNING,
    "urllib3": logging.ERROR,
}
"""A line per call to Qdrant, per doorbell or per odd header of a picture server drowns the rest."""


_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, C1 and "delete" among them; those that turn the direction of writing; halves
of pairs. A terminal would obey them."""

LogFormat = Literal["auto", "json", "console"]


def configure_logging(level: str, process: str, log_format: LogFormat = "auto") -> None:
    """Sends the logs of this project and of its libraries to stdout in one format.

    `log_format`: `json`, an object a line; `console`, lines for people; `auto`: these if stdout
    is a terminal. The values that a request binds with `structlog.contextvars` (its request id)
    stand in each of its lines.
    """
    for_people = log_format == "console" or (log_format == "auto" and sys.stdout.isatty())
    stamper = structlog.processors.TimeStamper
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        stamper(fmt="%H:%M:%S", utc=False) if for_people else stamper(fmt="iso"),
        _naming(process),
    ]
    # Without colours: if `make run` runs the process, it writes into a pipe.
    lines = [_printable, structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)]
    rendered: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        *(lines if for_people else [structlog.processors.JSONRenderer()]),
    ]
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


def _printable(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Escapes control characters: names, ids and errors of others stand in the values."""
    trace = event.pop("exception", None)
    shown = {_escaped(name): _escaped(value) for name, value in event.items()}
    if trace:
        # Indented, so that no line of an error's text can pass for one of the log.
        shown["exception"] = "\n".join(f"    {_escaped(line)}" for line in str(trace).split("\n"))
    return shown


def _escaped(value: object) -> str:
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], str(value))


def _naming(process: str) -> structlog.types.Processor:
    def name(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["process"] = process
        return event

    return name
