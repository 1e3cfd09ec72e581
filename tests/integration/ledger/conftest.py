"""A ledger on a real server, empty for each test."""

from collections.abc import Iterator

import pytest
import redis

from shared.ledger import Generations, Jobs, Ledger, connect
from tests.servers import RedisServer

LEASE_SECONDS = 0.3


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("ledger"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    client = connect(redis_server.url)
    client.flushall()
    yield client
    client.close()


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
