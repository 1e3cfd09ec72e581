"""The API for tests: it dies on order right after a script of the ledger, before it can answer."""

import os
import signal
from typing import Any

import shared.ledger.bootstrap
from api.start import start
from shared.ledger import Ledger
from shared.settings import get_settings
from tests.reliability.faults import light_model
from tests.reliability.faults.orders import folder_of
from tests.reliability.faults.phases import Phases

PHASES = Phases(folder_of(get_settings().data_dir))
PHASES.process = "api"


class DeadlyLedger(Ledger):
    """After the script has run in Redis, nobody here learns of it any more."""

    def _run(self, name: str, *arguments: Any) -> Any:
        answer = super()._run(name, *arguments)
        if PHASES.is_ordered(name):
            # gunicorn's first process, too; its supervisor starts both again.
            os.kill(os.getppid(), signal.SIGKILL)
            PHASES.die(name)
        return answer


light_model.plant()
shared.ledger.bootstrap.Ledger = DeadlyLedger  # type: ignore[misc]
app = start()
