"""The tenant of a request, from its key and from nothing else."""

from flask import Blueprint, Request, current_app, g, request
from structlog.contextvars import bind_contextvars

from api.access.key_file import DEFAULT_TENANT, Key
from api.access.key_ring import KeyRing
from api.access.rates import SEARCH, WRITE, RateLimiter
from api.openapi.describe import Operation, operation_of
from api.requests.idempotency import key_digest
from api.responses.problems import Problem
from shared.loopback import check_closed
from shared.settings import Settings


def key_ring(settings: Settings) -> KeyRing | None:
    """The keys to ask for; None if there is no file and only this machine can reach the API.

    Raises `OpenToTheNetwork` and `KeysFileError`.
    """
    check_closed(settings)
    return KeyRing(settings.api_keys_file) if settings.api_keys_file else None


def protect(blueprint: Blueprint, keys: KeyRing | None, rates: RateLimiter) -> Blueprint:
    """Lets only requests with a key into the blueprint, and no more of them than its limits allow.

    Sets `g.tenant`, and `g.caller`, the name under which the request counts.
    """

    @blueprint.before_request
    def authenticate() -> None:
        if request.method == "OPTIONS":
            return  # nothing of a tenant is in the answer, and browsers ask without a key
        if keys is None:
            g.tenant, g.caller = DEFAULT_TENANT, request.remote_addr or ""
        else:
            key = _key(keys, request)
            g.tenant, g.caller = key.tenant, key.digest
        bind_contextvars(tenant=g.tenant)
        if not _operation(request).is_write:
            rates.spend(SEARCH, g.caller)
            return
        # The cost of a write is known once its body is read, which costs something, too.
        digest = key_digest(request)
        if digest is None or not rates.was_accepted(WRITE, g.caller, digest):
            rates.check(WRITE, g.caller)

    return blueprint


def _operation(inbound: Request) -> Operation:
    operation = operation_of(current_app.view_functions[inbound.endpoint or ""])
    assert operation is not None  # noqa: S101 - `routes_of` adds no other views
    return operation


def _key(keys: KeyRing, inbound: Request) -> Key:
    presented = _presented(inbound)
    key = keys.key(presented) if presented else None
    if key is None:
        raise Problem(
            401,
            "unauthorized",
            "this key is not known" if presented else "send a key: Authorization: Bearer …",
            headers={"WWW-Authenticate": 'Bearer realm="vitrine"'},
        )
    return key


def _presented(inbound: Request) -> str:
    scheme, _, token = inbound.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return inbound.headers.get("X-API-Key", "").strip()
