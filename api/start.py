"""Starting the API process, or ending it with a message."""

import sys

import structlog
from flask import Flask

from api.app import create_app
from api.auth import OpenToTheNetwork
from api.bootstrap import build_services
from api.keys import KeysFileError
from shared.errors import ModelUnavailable
from shared.logs import configure_logging
from shared.settings import get_settings, unknown_names

# With this status gunicorn stops as a whole; with any other it would start the worker anew for
# ever. It is gunicorn's Arbiter.WORKER_BOOT_ERROR.
_WILL_NOT_START = 3


def start() -> Flask:
    """The app, built in the worker process. What can't be served ends it with a message."""
    settings = get_settings()
    configure_logging(settings.log_level, "api")
    for warning in unknown_names():
        structlog.get_logger("api").warning("unknown_setting", reason=warning)
    try:
        return create_app(build_services(settings))
    except (OpenToTheNetwork, KeysFileError, ModelUnavailable) as err:
        structlog.get_logger("api").critical("will_not_start", reason=str(err))
        sys.exit(_WILL_NOT_START)
