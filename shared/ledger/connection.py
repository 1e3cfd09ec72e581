"""Connections to the ledger's Redis, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import LedgerFull, LedgerUnavailable

PREFIX: Final = "vitrine:"


SOCKET_TIMEOUT_SECONDS: Final = 5.0
"""Above a script's milliseconds and a slow disk's fsync, below a caller's patience."""

RETRY_AFTER_SECONDS: Final = 5.0

_PASSING: Final = frozenset({"MISCONF", "BUSY", "NOREPLICAS", "MASTERDOWN", "LOADING", "TRYAGAIN"})
"""Refusals that pass: a full disk, a long script, a lost replica, a restart under way."""


def connect(url: str, *, timeout: float = SOCKET_TIMEOUT_SECONDS) -> redis.Redis:
    """A pooled client of the ledger; opens no connection yet.

    A connection that turns out closed is replaced once. A timeout is never repeated here: whether
    the command took effect is unknown, and the caller knows what that means.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 2.0),
        health_check_interval=30,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turns redis-py's errors into ours. Any other error is a fault of our own scripts."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as err:
        raise LedgerFull("the ledger's Redis is out of memory", RETRY_AFTER_SECONDS) from err
    except (
        redis.ConnectionError,
        redis.TimeoutError,
        redis.exceptions.ReadOnlyError,
    ) as err:
        raise LedgerUnavailable(
            f"the ledger's Redis does not answer: {err}", RETRY_AFTER_SECONDS
        ) from err
    except redis.ResponseError as err:
        if str(err).partition(" ")[0] not in _PASSING:
            raise
        raise LedgerUnavailable(
            f"the ledger's Redis takes nothing now: {err}", RETRY_AFTER_SECONDS
        ) from err


def moment(microseconds: str) -> datetime:
    """The time that a script wrote as microseconds since 1970."""
    return datetime.fromtimestamp(int(microseconds) / 1e6, UTC)
