"""Failures between us and a picture server, as item faults."""

import ssl
import time
from typing import Final

from shared.errors import ItemCode, ItemPermanent, ItemTransient

_VALIDITY: Final = {9: "is not valid yet", 10: "has expired"}
_SELF_SIGNED: Final = frozenset({18, 19})
_UNKNOWN_ISSUER: Final = frozenset({2, 20, 21})
_OTHER_NAME: Final = frozenset({62, 64})
"""OpenSSL's numbers (X509_V_ERR_…) of the checks that a certificate fails."""


class AnswerFault(ItemTransient):
    """A fault in an answer that came. It says nothing against the server's other pictures."""


class AnswerTooLong(Exception):
    """More came than any answer that we take may have."""


def timed_out() -> ItemTransient:
    """The time for the picture is up."""
    return ItemTransient(ItemCode.IMAGE_TIMEOUT, "The picture server took too long to answer.")


def unreachable(message: str = "The picture server can't be reached.") -> ItemTransient:
    """There is no way to the picture's server now; the message says which step failed."""
    return ItemTransient(ItemCode.IMAGE_UNREACHABLE, message)


def bad_answer(message: str) -> AnswerFault:
    """An answer came, but it broke off or can't be read; the message says why."""
    return AnswerFault(ItemCode.IMAGE_UNREACHABLE, message)


def too_large(max_bytes: int) -> ItemPermanent:
    """The fault of a picture of more than `max_bytes`."""
    return ItemPermanent(
        ItemCode.IMAGE_TOO_LARGE, f"The picture is larger than {max_bytes:,} bytes."
    )


def bad_certificate(error: ssl.SSLCertVerificationError) -> ItemPermanent:
    """The fault of a certificate that fails its check; the message says why, and how to mend it."""
    number = error.verify_code
    if number in _VALIDITY:
        what = f"{_VALIDITY[number]}; its owner has to renew it"
    elif number in _OTHER_NAME:
        what = "is for another name than the URL's"
    elif number in _SELF_SIGNED:
        what = "is signed by itself or by a private authority, which nobody else can check"
    elif number in _UNKNOWN_ISSUER:
        what = (
            "has an issuer that is not known; most often its server does not send the "
            "intermediate certificate, which its owner has to add"
        )
    else:
        what = "can't be verified"
    return ItemPermanent(ItemCode.IMAGE_UNREACHABLE, f"The picture server's certificate {what}.")


def seconds_left(deadline: float) -> float:
    """Until the deadline (monotonic seconds). Raises the fault of `timed_out` if none are left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise timed_out()
    return left
