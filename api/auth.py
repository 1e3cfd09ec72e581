"""Who asks: the tenant, from the request's key and from nothing else."""

from ipaddress import ip_address

from flask import Blueprint, Request, g, request
from structlog.contextvars import bind_contextvars

from api.keys import DEFAULT_TENANT, KeyRing
from api.problems import Problem
from shared.settings import Settings


class OpenToTheNetwork(Exception):
    """The process would serve everybody who can reach it."""


def key_ring(settings: Settings) -> KeyRing | None:
    """The keys to ask for; None where there is no file and only this machine can reach the API.

    Raises `OpenToTheNetwork` and `KeysFileError`.
    """
    if settings.api_keys_file is not None:
        return KeyRing(settings.api_keys_file)
    if not _is_loopback(settings.api_host):
        raise OpenToTheNetwork(
            f"API_HOST is {settings.api_host} and API_KEYS_FILE is not set: anybody on the network "
            "could change the catalogue. Set API_KEYS_FILE (make a key with "
            "`python -m api.keys add --file …`), or API_HOST to 127.0.0.1."
        )
    return None


def protect(blueprint: Blueprint, keys: KeyRing | None) -> Blueprint:
    """Lets only requests with a key into the blueprint, and notes their tenant in `g.tenant`."""

    @blueprint.before_request
    def authenticate() -> None:
        g.tenant = DEFAULT_TENANT if keys is None else _tenant(keys, request)
        bind_contextvars(tenant=g.tenant)

    return blueprint


def _tenant(keys: KeyRing, asked: Request) -> str:
    presented = _presented(asked)
    tenant = keys.tenant(presented) if presented else None
    if tenant is None:
        raise Problem(
            401,
            "unauthorized",
            "this key is not known" if presented else "send a key: Authorization: Bearer …",
            headers={"WWW-Authenticate": 'Bearer realm="vitrine"'},
        )
    return tenant


def _presented(asked: Request) -> str:
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return asked.headers.get("X-API-Key", "").strip()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
