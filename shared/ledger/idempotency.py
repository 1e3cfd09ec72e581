"""The request behind a client's Idempotency-Key."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's Idempotency-Key and what it stands for: a digest of the whole request."""

    key: str
    fingerprint: str

    @classmethod
    def of(cls, key: str, request: str, body: bytes) -> "Idempotency":
        """`request` is method and path; the key is digested, because it may hold anything."""
        fingerprint = hashlib.sha256(request.encode() + b"\n" + body).hexdigest()
        return cls(hashlib.sha256(key.encode()).hexdigest(), fingerprint)
