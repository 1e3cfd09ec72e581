"""Starting the API process, or ending it with a message."""

import sys
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from flask import Flask

from api.access.key_file import KeysFileError
from api.app import create_app
from api.bootstrap import build_parts, build_services
from shared.errors import CollectionMismatch, ModelUnavailable
from shared.logs import configure_logging
from shared.loopback import OpenToTheNetwork
from shared.settings import get_settings, unknown_names
from shared.watchdog import Watchdog

_WILL_NOT_START = 3
"""With this status gunicorn stops as a whole; with any other it would start the worker anew for
ever. It is gunicorn's Arbiter.WORKER_BOOT_ERROR."""


def start() -> Flask:
    """The app, built in the worker process. What can't be served ends it with a message."""
    settings = get_settings()
    configure_logging(settings.log_level, "api", settings.log_format)
    for warning in unknown_names():
        structlog.get_logger("api").warning("unknown_setting", reason=warning)
    watchdog = Watchdog.of(settings)
    try:
        app = create_app(build_parts(build_services(settings, watchdog)))
    except (OpenToTheNetwork, KeysFileError, ModelUnavailable, CollectionMismatch) as err:
        structlog.get_logger("api").critical("will_not_start", reason=str(err))
        sys.exit(_WILL_NOT_START)
    app.wsgi_app = _Watched(app.wsgi_app, watchdog)  # type: ignore[method-assign]
    watchdog.start()
    return app


class _Watched:
    """Requests may take their time, but none may keep all others from running."""

    def __init__(self, wsgi: WSGIApplication, watchdog: Watchdog) -> None:
        self._wsgi = wsgi
        self._watchdog = watchdog

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._watchdog.work():
            return self._wsgi(environ, start_response)
