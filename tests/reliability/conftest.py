"""The servers that reliability tests share; each example starts from an empty ledger."""

from collections.abc import Iterator

import pytest

from shared.ledger import connect
from shared.qdrant.service import QdrantService
from tests.pictures import PictureServer
from tests.reliability.shop import Servers, serve_pictures
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess, RedisServer


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    redis_server = RedisServer(tmp_path_factory.mktemp("ledger"))
    qdrant_server = EmbeddedQdrantProcess(tmp_path_factory.mktemp("qdrant"))
    redis_server.start()
    qdrant_server.start()
    qdrant = QdrantService(qdrant_server.url, "products-order", dimensions=DIMENSIONS)
    qdrant.ensure_collection([])
    client = connect(redis_server.url)
    with PictureServer() as pictures:
        serve_pictures(pictures)
        yield Servers(client, qdrant, pictures)
    client.close()
    qdrant.close()
    qdrant_server.stop()
    redis_server.stop()
