"""Builds the ledger from the settings, the same for everybody who writes to it."""

import redis

from shared.ledger.ledger import Ledger
from shared.settings import Settings


def build_ledger(client: redis.Redis, settings: Settings) -> Ledger:
    """The ledger on a connection of `connect`; asks nothing of it yet."""
    return Ledger(
        client,
        lease_seconds=settings.lease_seconds,
        job_retention_seconds=settings.job_retention_seconds,
        max_pending=settings.ledger_max_pending,
    )
