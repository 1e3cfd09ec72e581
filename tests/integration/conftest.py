"""The servers that integration tests share; each package's fixtures begin with them emptied."""

from collections.abc import Iterator

import pytest
import redis

from shared.ledger import connect
from shared.qdrant.service import QdrantService
from tests.servers import EmbeddedQdrantProcess, RedisServer


@pytest.fixture(scope="session")
def ledger_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("ledger"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cache_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("cache"), "cache")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def qdrant_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedQdrantProcess]:
    server = EmbeddedQdrantProcess(tmp_path_factory.mktemp("qdrant"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(ledger_server: RedisServer) -> Iterator[redis.Redis]:
    """A connection to the ledger's Redis, which is empty."""
    client = connect(ledger_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def qdrant(qdrant_server: EmbeddedQdrantProcess) -> QdrantService:
    """The index, which is empty."""
    return qdrant_server.kept_collection()
