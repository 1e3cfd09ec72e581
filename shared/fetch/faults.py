"""What goes wrong while a picture is fetched: the errors of libraries as item faults."""

import contextlib
import ssl
import time
from collections.abc import Iterator
from typing import Final

from urllib3 import exceptions

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.fetch.answers import too_large
from shared.fetch.transport import AnswerTooLong

NEVER_CONNECTED: Final = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError)
"""Nothing was sent yet, so that another address may be tried."""

_NO_WAY: Final = "The picture server can't be reached, or broke off."


@contextlib.contextmanager
def faults_translated(max_bytes: int) -> Iterator[None]:
    """Turn urllib3's errors, in sending and in reading the body, into item faults."""
    try:
        yield
    except exceptions.NewConnectionError as err:  # a timeout, too, by urllib3's classes
        raise unreachable(_NO_WAY) from err
    except exceptions.TimeoutError as err:
        raise timed_out() from err
    except exceptions.SSLError as err:
        if _caused_by(err, ssl.SSLCertVerificationError):
            raise ItemPermanent(
                ItemCode.IMAGE_UNREACHABLE,
                "The picture server's certificate is not valid for its name, or has expired.",
            ) from err
        raise unreachable("The picture server's TLS connection failed.") from err
    # urllib3 asks for as many bytes as a chunk says it has, negative numbers, too: ValueError.
    except (exceptions.HTTPError, OSError, ValueError) as err:
        if _caused_by(err, AnswerTooLong):
            raise too_large(max_bytes) from err
        raise unreachable(_NO_WAY) from err


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error of `kind` stands behind `error`, however the libraries wrapped it."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if isinstance(current, kind):
            return True
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            waiting += [*current.args, getattr(current, "reason", None), current.__cause__]
            waiting.append(current.__context__)
    return False


def timed_out() -> ItemTransient:
    """The time for the picture is up."""
    return ItemTransient(ItemCode.IMAGE_TIMEOUT, "The picture server took too long to answer.")


def unreachable(message: str) -> ItemTransient:
    """There is no way to the picture's server now; the message says which step failed."""
    return ItemTransient(ItemCode.IMAGE_UNREACHABLE, message)


def seconds_left(deadline: float) -> float:
    """Until the deadline (monotonic seconds). Raises the fault of `timed_out` where none are."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise timed_out()
    return left
