"""A ledger on a real server, empty for each test."""

import pytest
import redis

from shared.ledger import Generations, Jobs, Ledger

LEASE_SECONDS = 0.3


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    return Ledger(
        client, lease_seconds=LEASE_SECONDS, job_retention_seconds=600, max_pending=100_000
    )


@pytest.fixture
def jobs(client: redis.Redis) -> Jobs:
    return Jobs(client)


@pytest.fixture
def generations(client: redis.Redis) -> Generations:
    return Generations(client)
