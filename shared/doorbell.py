"""The doorbell: a Celery message that says "this lane has work", and nothing else.

The work itself stands in the ledger, so a message may be lost, doubled, late or out of order.
Tasks are sent by name: the API needs nothing of the worker's code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError

from shared.errors import TransientError
from shared.models.change import Lane

RECONCILE_TASK: Final = "vitrine.reconcile"

_SEND_TIMEOUT_SECONDS: Final = 2.0
"""A ring that can't be sent within these seconds is given up: the sweeper rings instead."""


class DoorbellFailed(TransientError):
    """The broker did not take the message. Nothing is lost: the sweeper will ring."""

    code = "doorbell_failed"


def celery_app(broker_url: str) -> Celery:
    """The Celery application, as both sides configure it."""
    app = Celery("vitrine", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        # Never pickle, which runs code from its input. Who can write to the queues can write to the
        # ledger beside them, so nothing more is checked.
        accept_content=["json"],
        task_default_queue=Lane.BULK.value,
        task_create_missing_queues=True,
        # A thread takes one message at a time; work waits in the ledger.
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis without memory refuses kombu's bookkeeping; Celery would end the worker over it.
        broker_channel_error_retry=True,
        # Tasks are acknowledged before they run, so there is nothing to cancel: leases keep order.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "socket_timeout": 5.0,
            "socket_connect_timeout": _SEND_TIMEOUT_SECONDS,
            # One more try at once. Otherwise a ring takes 6 s to find out that the broker is gone.
            "max_retries": 1,
            "interval_start": 0.0,
            "interval_step": 0.0,
            "interval_max": 0.0,
            "global_keyprefix": "vitrine:queue:",
        },
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
    )
    return app


class Doorbell:
    """Rings for a lane, and tells how many rings are not answered yet."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, lane: Lane) -> None:
        """Sends one doorbell. Raises `DoorbellFailed`."""
        with self._translated(f"no doorbell for lane {lane}"):
            self._app.send_task(RECONCILE_TASK, queue=lane.value, ignore_result=True, retry=False)

    def waiting(self, lane: Lane) -> int:
        """Messages in the lane's queue. Raises `DoorbellFailed`."""
        with (
            self._translated(f"can't look into lane {lane}"),
            self._app.connection_for_read() as connection,
            connection.channel() as channel,
        ):
            return int(channel.queue_declare(lane.value, passive=False).message_count)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._passing as err:
            raise DoorbellFailed(f"{what}: {err}") from err

    @cached_property
    def _passing(self) -> tuple[type[Exception], ...]:
        """The transport's own errors differ from broker to broker; kombu knows them, and makes a
        connection to tell them."""
        with self._app.connection_for_write() as unopened:
            known = (*unopened.connection_errors, *unopened.channel_errors)
        return (OperationalError, OSError, *known)
