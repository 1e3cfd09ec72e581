"""How the vector index is tuned: what is asked of the server, and what it says afterwards.

On a real server too, where TEST_QDRANT_URL names one.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from shared.models.search.filters import Filters
from shared.qdrant.recovery.index import VectorIndex
from shared.qdrant.service import QdrantService
from shared.qdrant.tuning import IndexTuning
from tests.integration.qdrant.conftest import MakePoint, direction
from tests.servers import DIMENSIONS

INT8 = IndexTuning(indexing_threshold=20_000, quantized=True)


@pytest.fixture
def name(http: httpx.Client) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    yield name
    http.delete(f"/collections/{name}").raise_for_status()


@pytest.fixture
def index(server_url: str, name: str) -> Iterator[VectorIndex]:
    index = VectorIndex(server_url, name)
    yield index
    index.close()


def service(server_url: str, name: str, tuning: IndexTuning | None = None) -> QdrantService:
    made = QdrantService(server_url, name, dimensions=DIMENSIONS, tuning=tuning)
    made.ensure_collection([])
    return made


def test_a_collection_is_made_as_the_settings_say(
    server_url: str, http: httpx.Client, name: str, index: VectorIndex
) -> None:
    service(server_url, name, INT8).close()
    assert index.state().quantized
    config = http.get(f"/collections/{name}").json()["result"]["config"]
    assert config["optimizer_config"]["indexing_threshold"] == 20_000
    scalar = config["quantization_config"]["scalar"]
    assert (scalar["type"], scalar["always_ram"]) == ("int8", True)


def test_the_optimizers_bounds_are_set_and_given_up(
    server_url: str, http: httpx.Client, name: str, index: VectorIndex
) -> None:
    def held() -> tuple[float, int | None, int]:
        config = http.get(f"/collections/{name}").json()["result"]["config"]
        optimizer = config["optimizer_config"]
        threads = optimizer.get("max_optimization_threads")
        return (
            optimizer["deleted_threshold"],
            threads,
            config["hnsw_config"]["max_indexing_threads"],
        )

    service(server_url, name, IndexTuning(deleted_threshold=0.5, indexing_threads=1)).close()
    assert held() == (0.5, 1, 1)
    index.tune(IndexTuning())
    assert held() == (0.2, None, 0)
    index.tune(IndexTuning(deleted_threshold=0.4, indexing_threads=2))
    assert held() == (0.4, 1, 2)


def test_without_settings_nothing_is_quantized(
    server_url: str, name: str, index: VectorIndex
) -> None:
    service(server_url, name).close()
    assert not index.state().quantized
    assert not index.state().held_back


def test_an_index_is_held_back_and_tuned_as_often_as_one_likes(
    server_url: str, name: str, index: VectorIndex
) -> None:
    service(server_url, name).close()
    for _ in range(2):
        index.hold_back()
        assert index.state().held_back
    for tuning in (INT8, INT8, IndexTuning()):
        index.tune(tuning)
        assert not index.state().held_back
        assert index.state().quantized is tuning.quantized


def test_a_collection_that_exists_is_left_as_it_is_and_that_is_said(
    server_url: str, name: str, index: VectorIndex
) -> None:
    service(server_url, name).close()
    with capture_logs() as lines:
        service(server_url, name).close()
        assert not lines
        service(server_url, name, INT8).close()
    assert "operations tune-index" in lines[0]["reason"]
    assert not index.state().quantized


@pytest.mark.parametrize("tuning", [IndexTuning(), INT8], ids=["whole", "int8"])
@pytest.mark.parametrize("exact", [False, True])
def test_results_are_ordered_by_the_whole_vectors(
    *,
    server_url: str,
    name: str,
    tenant: str,
    make_point: MakePoint,
    tuning: IndexTuning,
    exact: bool,
) -> None:
    held = service(server_url, name, tuning)
    held.upsert_products([make_point(f"p{seed}", 1, seed=seed) for seed in range(20)])
    for seed in range(20):
        hits = held.search(tenant, direction(seed), Filters(), 3, exact=exact)
        assert hits[0].product_id == f"p{seed}"
        assert hits[0].similarity_score == pytest.approx(1, abs=1e-5)
    held.close()


@pytest.fixture
def asked() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that finds nothing, and what it was sent: one that is exact can't show that."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = b'{"result": {"points": []}, "status": "ok", "time": 0.0}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("tuning", [IndexTuning(hnsw_ef=300), INT8], ids=["whole", "int8"])
def test_each_search_says_how_wide_it_is_and_an_exact_one_that_it_is_exact(
    asked: tuple[str, list[dict[str, Any]]], tuning: IndexTuning
) -> None:
    url, bodies = asked
    held = QdrantService(url, "products", tuning=tuning)
    for exact in (False, True):
        held.search("default", direction(0), Filters(), 10, exact=exact)
    held.close()
    assert [body["params"] for body in bodies] == [
        tuning.search_params,
        {"exact": True, "quantization": {"ignore": True}},
    ]
