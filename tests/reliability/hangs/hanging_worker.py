"""The workers' Celery app with hangs planted."""

import tests.reliability.hangs.planted  # noqa: F401 - plants them
from worker.app import app

__all__ = ["app"]
