"""gunicorn's own words in the format of all other logs."""

import logging
from typing import Any

from gunicorn.glogging import Logger

from shared.logs import configure_logging
from shared.settings import get_settings


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Leaves starts, stops and failures to the root logger, in the master and its worker."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn once its settings are read."""
        settings = get_settings()
        configure_logging(settings.log_level, "api", settings.log_format)
        self.cfg = cfg
        self.loglevel = logging.getLevelNamesMapping()[settings.log_level]
        self.error_log.handlers = []
        self.error_log.propagate = True
        self.error_log.setLevel(self.loglevel)
