"""What is particular to the embedded server: its directory, its bounds, its manner of dying."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.errors import QdrantUnavailable
from shared.qdrant.points import Tombstone
from shared.qdrant.service import QdrantService
from shared.qdrant.tuning import IndexTuning
from stack.ports import free_port
from tests.integration.qdrant.conftest import MakePoint
from tests.servers import DIMENSIONS, EmbeddedQdrantProcess

VECTORS = {"vectors": {"image": {"size": 4, "distance": "Cosine"}}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedQdrantProcess]:
    """One of the test's own, to be killed."""
    server = EmbeddedQdrantProcess(tmp_path / "qdrant")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def embedded(qdrant_server: EmbeddedQdrantProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=qdrant_server.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def collection(embedded: httpx.Client) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    embedded.put(f"/collections/{name}", json=VECTORS).raise_for_status()
    yield name
    embedded.delete(f"/collections/{name}").raise_for_status()


def test_no_acknowledged_write_is_lost_by_kill_9(
    server: EmbeddedQdrantProcess, tenant: str, make_point: MakePoint
) -> None:
    QdrantService(server.url, "products", dimensions=DIMENSIONS).ensure_collection(["color"])
    acknowledged: dict[str, int] = {}
    batches = threading.Semaphore(0)
    stop = threading.Event()

    def write(writer: int, rev: int) -> None:
        service = QdrantService(server.url, "products")
        for batch in range(10_000):
            if stop.is_set():
                break
            # New products, and the writer's first ones over and over again.
            names = [
                f"{writer}-{number}" for number in (*range(4), *range(batch * 4, batch * 4 + 4))
            ]
            points = [make_point(name, rev + batch, price=rev + batch) for name in names]
            try:
                service.upsert_products([*points, Tombstone(tenant, f"{writer}-t", rev + batch)])
            except QdrantUnavailable:
                break
            acknowledged.update(dict.fromkeys([*names, f"{writer}-t"], rev + batch))
            batches.release()
        service.close()

    for kill in range(3):
        stop.clear()
        with ThreadPoolExecutor(3) as pool:
            writers = [pool.submit(write, writer, 1 + kill * 100_000) for writer in range(3)]
            for _ in range(20):
                assert batches.acquire(timeout=60)
            time.sleep(random.random() / 20)  # at any moment of a write
            server.kill9()
            stop.set()
            for writer in writers:
                writer.result()
        server.start()
        service = QdrantService(server.url, "products")
        assert service.ready()
        names = list(acknowledged)
        assert len(names) > 30
        for first in range(0, len(names), 64):
            part = names[first : first + 64]
            stored = service.stored([(tenant, name) for name in part])
            for name in part:
                found = stored[tenant, name]
                # A write under way at the kill may stand, too; nothing older than acknowledged.
                assert found.rev >= acknowledged[name]
                assert found.is_tombstone == name.endswith("-t")
                if found.product:
                    assert found.product.product.price == found.rev
        service.close()


@pytest.mark.parametrize("of_shape", [True, False])
def test_a_vector_that_was_added_is_there_after_a_kill(tmp_path: Path, *, of_shape: bool) -> None:
    server = EmbeddedQdrantProcess(tmp_path / "qdrant")
    server.start()
    collection = f"{server.url}/collections/a"
    added = {"sparse": {"modifier": "idf"}}
    words = {"indices": [7, 3], "values": [2, 1]}
    httpx.put(collection, json=VECTORS).raise_for_status()
    shape = (tmp_path / "qdrant/collections/a/collection.json").read_bytes()
    point = {"id": 1, "vector": {"image": [1, 0, 0, 0]}, "payload": {"rev": 1}}
    httpx.put(f"{collection}/points", json={"points": [point]}).raise_for_status()
    httpx.put(f"{collection}/vectors/words", json=added).raise_for_status()
    update = {"points": [{"id": 1, "vector": {"words": words}}]}
    operations = {"operations": [{"update_vectors": update}]}
    httpx.post(f"{collection}/points/batch", json=operations).raise_for_status()
    server.kill9()
    if not of_shape:  # killed before the shape was written
        (tmp_path / "qdrant/collections/a/collection.json").write_bytes(shape)
    server.start()
    httpx.put(f"{collection}/vectors/words", json=added).raise_for_status()
    info = httpx.get(collection).json()["result"]["config"]["params"]
    assert info["sparse_vectors"] == {"words": {"modifier": "idf"}}
    nearest = {"query": {"indices": [7], "values": [1]}, "using": "words"}
    found = httpx.post(f"{collection}/points/query", json=nearest).json()["result"]["points"]
    assert [hit["id"] for hit in found] == [1]
    read = httpx.post(f"{collection}/points", json={"ids": [1], "with_vector": ["words"]}).json()
    (record,) = read["result"]
    assert record["vector"] == {"words": {"indices": [3, 7], "values": [1, 2]}}
    server.stop()


def test_an_orderly_end_keeps_everything(tmp_path: Path) -> None:
    server = EmbeddedQdrantProcess(tmp_path / "qdrant")
    server.start()
    points = [{"id": i, "vector": {"image": [1, 0, 0, i]}, "payload": {"n": i}} for i in range(50)]
    httpx.put(f"{server.url}/collections/a", json=VECTORS).raise_for_status()
    httpx.put(
        f"{server.url}/collections/a/index", json={"field_name": "n", "field_schema": "integer"}
    ).raise_for_status()
    httpx.put(f"{server.url}/collections/a/points", json={"points": points}).raise_for_status()
    httpx.put(f"{server.url}/collections/b", json=VECTORS).raise_for_status()
    httpx.delete(f"{server.url}/collections/b").raise_for_status()
    server.stop()
    server.start()
    names = httpx.get(f"{server.url}/collections").json()["result"]["collections"]
    assert names == [{"name": "a"}]
    info = httpx.get(f"{server.url}/collections/a").json()["result"]
    assert info["points_count"] == 50
    assert info["payload_schema"]["n"] == {"data_type": "integer", "points": 50}
    server.stop()


def test_a_creation_that_was_cut_short_leaves_no_trace(tmp_path: Path) -> None:
    half_made = tmp_path / "qdrant" / "collections" / "half" / "shard"
    half_made.mkdir(parents=True)
    server = EmbeddedQdrantProcess(tmp_path / "qdrant")
    server.start()
    assert httpx.get(f"{server.url}/collections").json()["result"]["collections"] == []
    assert httpx.put(f"{server.url}/collections/half", json=VECTORS).status_code == 200
    server.stop()


def test_a_second_process_on_the_directory_is_refused(
    server: EmbeddedQdrantProcess, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "stack.qdrant", "--port", "1"]
    second = subprocess.run(
        [*command, "--data", str(tmp_path / "qdrant")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 78
    assert "another process already serves" in second.stdout
    assert httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_it_binds_to_loopback_only(tmp_path: Path, host: str) -> None:
    command = [sys.executable, "-m", "stack.qdrant", "--host", host]
    refused = subprocess.run(
        [*command, "--data", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 2
    assert "must be a loopback address" in refused.stderr


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/collections/{c}/points/query/batch", {"searches": []}, "points/query/batch"),
        ("POST", "/collections/{c}/facet", {"key": "a", "exact": True}, "exact"),
        ("PUT", "/collections/{c}/vectors/a", {"dense": {"size": 4}}, "dense"),
        ("PUT", "/collections/{c}/vectors/a", {"sparse": {}}, "idf"),
        ("PUT", "/collections/{c}/vectors/a", {"sparse": {"datatype": "uint8"}}, "datatype"),
        ("PUT", "/collections/{c}/points/vectors", {"points": []}, "points/vectors"),
        ("POST", "/collections/{c}/points/batch", {"operations": [{"upsert": {}}]}, "upsert"),
        ("PATCH", "/collections/{c}", {"params": {"replication_factor": 2}}, "params"),
        (
            "PATCH",
            "/collections/{c}",
            {"quantization_config": {"binary": {"always_ram": True}}},
            "binary",
        ),
        ("GET", "/cluster", None, "/cluster"),
        ("POST", "/collections/{c}/points/query", {"prefetch": []}, "prefetch"),
        ("POST", "/collections/{c}/points/query", {"query": {"fusion": "rrf"}}, "fusion"),
        ("POST", "/collections/{c}/points/query", {"query": [[1, 0, 0, 0]]}, "nearest to a vector"),
        ("POST", "/collections/{c}/points/query", {"query": 1, "using": "image"}, "a vector"),
        ("POST", "/collections/{c}/points/payload", {"payload": {}}, "points/payload"),
        ("POST", "/collections/{c}/points/delete", {"points": [1]}, "`points`"),
        ("POST", "/collections/{c}/points", {"ids": [1], "with_vector": {"a": 1}}, "selector"),
        (
            "POST",
            "/collections/{c}/points",
            {"ids": [1], "with_payload": {"exclude": ["a"]}},
            "selector",
        ),
        ("PUT", "/collections/{c}/points", {"batch": {"ids": [], "vectors": []}}, "batch"),
        ("PUT", "/collections/{c}-2", {"vectors": {"a": {"size": 4, "distance": "Dot"}}}, "Dot"),
        ("POST", "/collections/{c}/points/scroll", {"order_by": "price"}, "order_by"),
        (
            "POST",
            "/collections/{c}/points/count",
            {"filter": {"must": [{"nested": {"key": "a", "filter": {}}}]}},
            "nested",
        ),
        (
            "POST",
            "/collections/{c}/points/count",
            {"filter": {"must": [{"key": "a", "match": {"text": "x"}}]}},
            "text",
        ),
        (
            "PUT",
            "/collections/{c}-2",
            {"vectors": {}, "sparse_vectors": {"a": {}}},
            "idf",
        ),
        ("PUT", "/collections/{c}/index", {"field_name": "a", "field_schema": "text"}, "text"),
        (
            "PUT",
            "/collections/{c}/points",
            {"points": [{"id": 1, "vector": {"image": [[1, 0, 0, 0]]}}]},
            "dense",
        ),
    ],
)
def test_what_is_not_served_is_answered_501_by_name(
    *,
    embedded: httpx.Client,
    collection: str,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    named: str,
) -> None:
    answer = embedded.request(method, path.replace("{c}", collection), json=body)
    assert answer.status_code == 501
    assert named in answer.json()["status"]["error"]


def test_a_batch_with_one_wrong_vector_writes_nothing_even_after_a_kill(
    server: EmbeddedQdrantProcess,
) -> None:
    httpx.put(f"{server.url}/collections/a", json=VECTORS).raise_for_status()
    points = [{"id": 1, "vector": {"image": [1, 0, 0, 0]}}, {"id": 2, "vector": {"image": [1, 0]}}]
    refused = httpx.put(f"{server.url}/collections/a/points", json={"points": points})
    assert refused.status_code == 400
    server.kill9()
    server.start()
    assert httpx.get(f"{server.url}/collections/a").json()["result"]["points_count"] == 0


def test_too_many_waiting_requests_are_refused_and_the_others_served(tmp_path: Path) -> None:
    server = EmbeddedQdrantProcess(tmp_path / "qdrant", "--queue", "1")
    server.start()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        client.put("/collections/a", json=VECTORS).raise_for_status()
        points = [{"id": i, "vector": {"image": [1, 0, 0, i]}} for i in range(2_000)]
        client.put("/collections/a/points", json={"points": points}).raise_for_status()

        def scroll(_: int) -> httpx.Response:
            return client.post("/collections/a/points/scroll", json={"limit": 2_000})

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(scroll, range(96)))
    refused = [answer for answer in answers if answer.status_code == 503]
    served = [answer for answer in answers if answer.status_code == 200]
    assert len(refused) + len(served) == len(answers)
    assert refused
    assert served
    assert refused[0].headers["Retry-After"] == "1"
    assert "too many requests" in refused[0].json()["status"]["error"]
    server.stop()


def test_a_body_beyond_the_bound_is_refused(embedded: httpx.Client, collection: str) -> None:
    body = b'{"points": ["' + b"x" * (33 * 2**20) + b'"]}'
    answer = embedded.put(
        f"/collections/{collection}/points",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413


def test_a_web_page_can_neither_post_nor_rebind(embedded: httpx.Client, collection: str) -> None:
    path = f"/collections/{collection}/points/delete"
    plain = embedded.post(path, content=b'{"filter": {}}', headers={"Content-Type": "text/plain"})
    assert plain.status_code == 400
    rebound = embedded.post(path, json={"filter": {}}, headers={"Host": "attacker.example"})
    assert rebound.status_code == 403


def test_a_frozen_server_is_given_up_in_time_and_used_again_afterwards(
    server: EmbeddedQdrantProcess,
) -> None:
    service = QdrantService(
        server.url, "products", dimensions=DIMENSIONS, read_timeout=1, write_timeout=30
    )
    service.ensure_collection([])
    server.send(signal.SIGSTOP)
    with pytest.raises(QdrantUnavailable, match="no answer in time"):
        service.stored_revs([("default", "a")])
    assert not service.ready()
    server.send(signal.SIGCONT)
    assert service.stored_revs([("default", "a")]) == {}
    service.close()


def test_connections_survive_a_restart_of_the_server(server: EmbeddedQdrantProcess) -> None:
    service = QdrantService(server.url, "products", dimensions=DIMENSIONS, write_timeout=30)
    service.ensure_collection([])
    server.kill9()
    server.start()
    assert service.ready()
    service.close()


def test_how_a_collection_was_tuned_is_known_after_a_restart(
    server: EmbeddedQdrantProcess, tmp_path: Path
) -> None:
    tuned = IndexTuning(indexing_threshold=5, quantized=True)
    for name in ("products", "older"):
        service = QdrantService(server.url, name, dimensions=DIMENSIONS, tuning=tuned)
        service.ensure_collection([])
        service.close()
    server.stop()
    shape_file = tmp_path / "qdrant" / "collections" / "older" / "collection.json"
    shape = json.loads(shape_file.read_text())
    assert shape.pop("tuning")
    shape_file.write_text(json.dumps(shape))  # as it was before tuning was kept
    server.start()
    configs = {}
    for name in ("products", "older"):
        answer = httpx.get(f"{server.url}/collections/{name}", trust_env=False)
        configs[name] = answer.json()["result"]["config"]
    assert configs["products"]["optimizer_config"]["indexing_threshold"] == 5
    assert configs["products"]["quantization_config"]["scalar"]["type"] == "int8"
    assert configs["older"]["quantization_config"] is None


def test_a_connection_that_stays_silent_does_not_hold_up_an_orderly_end(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "stack.qdrant", "--port", str(port)]
    with subprocess.Popen([*command, "--data", str(tmp_path)], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        while b"serving" not in server.stdout.readline():
            assert server.poll() is None
        with _connected(port):
            server.terminate()
            assert server.wait(60) == 0


def _connected(port: int) -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
