"""Rules for browsers: by default a page may do nothing on their behalf."""

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, request
from flask_cors import CORS

from api.responses.answers import PREFIX
from api.responses.problems import Problem
from shared.loopback import is_loopback
from shared.settings import Settings

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PREFLIGHT_SECONDS: Final = 600


def register_cors(app: Flask, settings: Settings) -> None:
    """Lets the pages of CORS_ORIGINS search and read products, and nothing else."""
    if not settings.cors_origins:
        return
    reads = {"methods": ["GET", "HEAD"]}
    CORS(
        app,
        resources={
            rf"{PREFIX}/search": {"methods": ["GET", "HEAD", "POST"]},
            rf"{PREFIX}/similar": reads,
            rf"{PREFIX}/products(?:/.*)?": reads,
        },
        origins=list(settings.cors_origins),
        allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        expose_headers=["Retry-After", "X-Request-ID"],
        max_age=_PREFLIGHT_SECONDS,
        # Keys are sent by the page's own code; cookies mean nothing here.
        supports_credentials=False,
    )


def register_hosts(app: Flask, settings: Settings) -> None:
    """Without keys, serves programs of this machine alone, and no pages in its browsers.

    A page may have its own name resolved to 127.0.0.1 (DNS rebinding), and would then be of the
    same origin as this API. A page of any origin may send requests, though it can't read the
    answers.
    """
    names = frozenset(name.lower() for name in settings.api_allowed_hosts)
    origins = frozenset(settings.cors_origins)

    @app.before_request
    def only_this_machine() -> None:
        # Without a Host header (HTTP/1.0) there was no name to be deceived by.
        host = _name(f"//{request.environ.get('HTTP_HOST', 'localhost')}")
        if not (is_loopback(host) or host in names):
            raise Problem(
                403,
                "host_not_allowed",
                "this name is not one of the service's; set API_ALLOWED_HOSTS, or keys",
            )
        origin = request.headers.get("Origin")
        if origin is None or request.method in _SAFE_METHODS or origin in origins:
            return
        if _authority(origin) != request.environ.get("HTTP_HOST", "").lower():
            raise Problem(403, "origin_not_allowed", "pages of other sites may change nothing here")


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _authority(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
