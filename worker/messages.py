"""Which messages reach a worker: doorbells as we ring them, and nothing else.

Celery's own handling is not enough. An entry of a queue that is no JSON ends the worker, one that
Celery's callback stumbles over keeps its place among the prefetched for an hour, and the others are
written into the log, bodies and all. So entries are compared with what a doorbell is, before Celery
sees them.
"""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any, Final

import structlog
from kombu.transport import redis as redis_transport

from shared.doorbell import RECONCILE_TASK
from shared.metrics import MESSAGES_REFUSED

log = structlog.get_logger(__name__)

_ABSENT: Final = ("eta", "expires", "compression", "timelimit", "group", "chain", "chord")
"""Headers that would have the message kept, unpacked or passed on."""

_NO_CALL: Final[tuple[list[object], dict[str, object]]] = ([], {})


def fault(entry: object) -> str | None:
    """Why an entry of a queue is no doorbell; None where it is one. Never raises."""
    match entry:
        case {
            "body": str(body),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": str(task), "id": str(), **headers},
            "properties": {
                "delivery_tag": str(),
                "delivery_info": {"exchange": str(), "routing_key": str()},
                "body_encoding": "base64",
            },
        }:
            pass
        case {"content-type": str(kind)} if kind != "application/json":
            return "content_type"
        case _:
            return "unknown_message"
    if task != RECONCILE_TASK:
        return "unknown_task"
    if any(_says(headers.get(name)) for name in _ABSENT):
        return "unknown_message"
    return _fault_of_call(body)


def _says(header: object) -> bool:
    return header is not None and header != [None, None]


def _fault_of_call(body: str) -> str | None:
    try:
        call = json.loads(b64decode(body, validate=True))
    except (Base64Error, ValueError, RecursionError):
        return "unreadable"
    match call:
        case [arguments, named, Mapping() as embedded]:
            if (arguments, named) != _NO_CALL or any(embedded.values()):
                return "arguments"
            return None
        case _:
            return "unreadable"


class DoorbellChannel(redis_transport.Channel):
    """kombu's channel to Redis, with a guard in front of every consumer."""

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """As usual; what is no doorbell is taken from the queue and goes no further."""
        consuming = super().basic_consume(queue, *args, **kwargs)  # type: ignore[no-untyped-call]
        deliver = self.connection._callbacks[queue]

        def guarded(entry: object) -> Any:
            if reason := fault(entry):
                return _refuse(reason, queue)
            return deliver(entry)

        self.connection._callbacks[queue] = guarded
        return consuming

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError):
            # No JSON at all; it has been taken from the queue already.
            _refuse("unreadable", None)
            return True


def guard() -> None:
    """Has the process's connections to Redis pass on nothing but doorbells.

    Other brokers than Redis are left to Celery.
    """
    redis_transport.Transport.Channel = DoorbellChannel


def _refuse(reason: str, queue: str | None) -> None:
    MESSAGES_REFUSED.labels(reason).inc()
    log.warning("message_refused", reason=reason, queue=queue)
