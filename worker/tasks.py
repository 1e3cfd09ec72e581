"""The tasks: one, and it only answers the doorbell."""

from celery import Celery

from shared.doorbell import RECONCILE_TASK
from worker.reconcile.reconciler import Reconciler


def register(app: Celery, reconciler: Reconciler) -> None:
    """Binds the task to this process's reconciler."""

    @app.task(name=RECONCILE_TASK, ignore_result=True)
    def reconcile() -> None:
        reconciler.answer_all()
