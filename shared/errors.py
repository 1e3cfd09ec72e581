"""Every failure that crosses a boundary of this project.

Errors of outside libraries are translated where they arise, into one of two families:
`TransientError` (the same call may succeed later, so retry) and `PermanentError` (it won't, so
report it). `api/responses/problems.py` maps them to HTTP, the worker maps them to an item's
outcome.
"""

from enum import StrEnum
from typing import Final


class ItemCode(StrEnum):
    """Why one item of a job failed, or its warning; stable, part of the public contract.

    IMAGE_BLANK, ATTRIBUTE_TYPE_MISMATCH and GTIN_CHECK_DIGIT fail no item: the product is indexed
    with its picture, and they are its warning.
    """

    INVALID_URL = "invalid_url"
    IMAGE_BLOCKED_ADDRESS = "image_blocked_address"
    IMAGE_UNREACHABLE = "image_unreachable"
    IMAGE_TIMEOUT = "image_timeout"
    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_HTTP_ERROR = "image_http_error"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_MANY_PIXELS = "image_too_many_pixels"
    NOT_AN_IMAGE = "not_an_image"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_UNSUPPORTED_FORMAT = "image_unsupported_format"
    IMAGE_BLANK = "image_blank"
    EMBEDDING_FAILED = "embedding_failed"
    ATTRIBUTE_TYPE_MISMATCH = "attribute_type_mismatch"
    GTIN_CHECK_DIGIT = "gtin_check_digit"
    INTERNAL_ERROR = "internal_error"


REMARKS: Final = frozenset(
    {ItemCode.IMAGE_BLANK, ItemCode.ATTRIBUTE_TYPE_MISMATCH, ItemCode.GTIN_CHECK_DIGIT}
)
"""Codes of products that have landed whole: sending the same again would change nothing."""


class VitrineError(Exception):
    """Base of all; `code` is stable and machine-readable, `message` is for people."""

    code = "internal_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TransientError(VitrineError):
    """May succeed when tried again; `retry_after` is the least wait in seconds, if known."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(VitrineError):
    """Fails the same way however often it is tried."""


class QdrantUnavailable(TransientError):
    """Qdrant is gone, frozen or overloaded. Whether a write took effect is unknown."""

    code = "qdrant_unavailable"


class LedgerUnavailable(TransientError):
    """The ledger's Redis is gone or frozen. Whether a write took effect is unknown."""

    code = "ledger_unavailable"


class LedgerFull(TransientError):
    """The ledger accepts nothing now: too little memory left, or too much waiting."""

    code = "ledger_full"


class EncoderBusy(TransientError):
    """More queries wait for the encoder than it can answer within the deadline."""

    code = "encoder_busy"


class DiskRefused(TransientError):
    """The disk takes or gives no large picture now: it is full, say. No picture's fault."""

    code = "disk_refused"


class SearchTimeout(TransientError):
    """A search that could not be answered within its deadline."""

    code = "search_timeout"


class QdrantRejected(PermanentError):
    """Qdrant understood the request and refused it: a fault of ours or of its set-up."""

    code = "qdrant_rejected"


class CollectionMismatch(QdrantRejected):
    """The collection holds other vectors than the model gives; the message says what to do."""

    code = "collection_mismatch"


class ModelUnavailable(PermanentError):
    """The configured model can't be loaded; the message names the settings to change."""

    code = "model_unavailable"


class IdempotencyConflict(PermanentError):
    """The same Idempotency-Key came with another body."""

    code = "idempotency_conflict"


class ProductNotFound(PermanentError):
    """A patch of a product that is not there, or a search by one."""

    code = "product_not_found"


class SourcesCancelOut(PermanentError):
    """The vectors of a search's several sources add up to nothing, so that they name no place."""

    code = "sources_cancel_out"


class CatalogueTooLarge(PermanentError):
    """A request without a source on a catalogue that is too large to be held in columns."""

    code = "catalogue_too_large"


class RangeNotIndexed(PermanentError):
    """A range on an attribute without an index, when no more may be made."""

    code = "range_not_indexed"


class NothingToRetry(PermanentError):
    """No item of the job failed in a way that may pass and is still the shop's last wish."""

    code = "nothing_to_retry"


class InvalidCursor(PermanentError):
    """A listing's cursor that this service never gave out."""

    code = "invalid_cursor"


class ItemTransient(TransientError):
    """A fault of one item that may pass: a slow or failing picture server."""

    def __init__(self, code: ItemCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after)
        self.code = code


class ItemPermanent(PermanentError):
    """A fault of one item that stays until the shop sends another picture or URL."""

    def __init__(self, code: ItemCode, message: str) -> None:
        super().__init__(message)
        self.code = code


ItemFault = ItemTransient | ItemPermanent


class QueryPictureFault(PermanentError):
    """A query's picture that can't be used. Its code is the item's."""

    def __init__(self, field: str, fault: ItemFault, sha256: str | None = None) -> None:
        """`field` names the picture's field in the request, `sha256` the picture, once it is
        there.
        """
        super().__init__(fault.message)
        self.code = fault.code
        self.field = field
        self.fault = fault
        self.sha256 = sha256

    @property
    def retryable(self) -> bool:
        """Whether the same picture may do later, as if its server doesn't answer now."""
        return isinstance(self.fault, ItemTransient)
