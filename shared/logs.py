"""Structured logs: one line an event, JSON unless a person is watching."""

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
        structlog.stdlib.ExtraAdder(),
    ]
    watched = sys.stdout.isatty()
    render: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if watched else structlog.processors.JSONRenderer()
    )
    final: list[structlog.types.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta
    ]
    if not watched:
        final.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*final, render])
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for library, least in _QUIETED.items():
        logging.getLogger(library).setLevel(least)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _naming(process: str) -> structlog.types.Processor:
    def name(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["process"] = process
        return event

    return name
