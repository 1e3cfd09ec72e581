"""The ledger: every product's wanted state, and the jobs that asked for it, in Redis."""

from shared.ledger.connection import connect
from shared.ledger.generations import GENERATION_TIMEOUT_SECONDS, Generations
from shared.ledger.jobs import Jobs
from shared.ledger.ledger import Idempotency, LaneBacklog, Ledger

__all__ = [
    "GENERATION_TIMEOUT_SECONDS",
    "Generations",
    "Idempotency",
    "Jobs",
    "LaneBacklog",
    "Ledger",
    "connect",
]
