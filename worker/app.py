"""The Celery application of the workers: `celery -A worker.app worker --pool threads -Q …`."""

import os
import sys
from typing import Final

import structlog
from celery import Celery, signals
from celery.worker import WorkController
from celery.worker.consumer import Consumer

from shared.doorbell import celery_app
from shared.errors import PermanentError
from shared.logs import configure_logging
from shared.metrics import serve_metrics
from shared.models.change import Lane
from shared.ready_marks import mark_ready
from shared.settings import SETTINGS_FAULT, Settings, get_settings, unknown_names
from worker.bootstrap import PICTURE_LANES, Runtime, build
from worker.tasks import register

log = structlog.get_logger(__name__)

_NICENESS: Final = 10
"""How far a worker that embeds pictures steps back for others on the same machine. A search takes
milliseconds and somebody waits for it; an import takes minutes and loses next to nothing. It keeps
its share if nobody else wants the cores."""


def create_app(settings: Settings) -> Celery:
    """A Celery app that builds its collaborators once the worker knows its queues."""
    app = celery_app(settings.celery_broker_url)
    running: list[Runtime] = []

    # Celery's first signal: all it says goes through our format, under the process's own name.
    @signals.celeryd_init.connect(weak=False)
    def log_in_our_format(sender: str, **_: object) -> None:
        configure_logging(settings.log_level, _name(sender), settings.log_format)

    @signals.setup_logging.connect(weak=False)
    def keep_our_format(**_: object) -> None:
        """Celery sets up no logs of its own if this signal has a receiver."""

    @signals.worker_init.connect(weak=False)
    def start(sender: WorkController, **_: object) -> None:
        lanes = _lanes(sender)
        for warning in unknown_names():
            log.warning("unknown_setting", reason=warning)
        # Celery only logs errors of a signal's receiver, and would go on without any task.
        try:
            if PICTURE_LANES.intersection(lanes):
                os.nice(_NICENESS)  # before any thread starts: on Linux each inherits it
            runtime = build(settings, app, lanes, sender.concurrency)
            if settings.metrics_port and settings.prometheus_multiproc_dir is None:
                serve_metrics(settings.metrics_host, settings.metrics_port)
        except PermanentError as err:
            print(f"worker: {err.code}: {err.message}", file=sys.stderr, flush=True)  # noqa: T201
            sys.exit(SETTINGS_FAULT)
        except Exception:
            log.exception("worker_start_failed")
            sys.exit(1)
        register(app, runtime.bells)
        runtime.start()
        running.append(runtime)

    # Celery's signal once the queues are joined.
    @signals.worker_ready.connect(weak=False)
    def tell(sender: Consumer, **_: object) -> None:
        log.info("worker_ready", lanes=[str(lane) for lane in _lanes(sender)])
        if settings.prometheus_multiproc_dir:
            mark_ready(settings.prometheus_multiproc_dir, _name(sender.hostname))

    @signals.worker_shutting_down.connect(weak=False)
    def take_no_more(**_: object) -> None:
        for runtime in running:
            runtime.bells.close()

    @signals.worker_shutdown.connect(weak=False)
    def stop(**_: object) -> None:
        for runtime in running:
            runtime.stop()

    return app


def _lanes(part: WorkController | Consumer) -> list[Lane]:
    return [lane for lane in Lane if lane in part.app.amqp.queues.consume_from]


def _name(hostname: str) -> str:
    """The process's name, as the Procfile has it, of Celery's `name@host`."""
    return hostname.partition("@")[0]


app = create_app(get_settings())
