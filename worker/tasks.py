"""The tasks: one, and it only answers the doorbell."""

from celery import Celery

from shared.doorbell import RECONCILE_TASK
from worker.bells import Bells


def register(app: Celery, bells: Bells) -> None:
    """Binds the task to this process's bells."""

    @app.task(name=RECONCILE_TASK, ignore_result=True)
    def reconcile() -> None:
        bells.serve_all()
