"""`bulk-load` and `tune-index`, as processes on a server of their own."""

import uuid
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from shared.embedding.identity import collection_name
from shared.qdrant.recovery.index import VectorIndex
from shared.qdrant.recovery.transfer import PointTransfer
from shared.settings import Settings
from tests.integration.operations.conftest import run
from tests.servers import DIMENSIONS


@pytest.mark.slow
def test_the_index_is_held_back_while_much_is_loaded_and_built_as_the_settings_say(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    name = collection_name(Settings(_env_file=None, clip_model="demo"))
    index = VectorIndex(environ["QDRANT_URL"], name)
    code, said = run(tmp_path, environ, "bulk-load", "on")
    assert (code, index.state().held_back) == (0, True)
    assert "until `bulk-load off`" in said
    code, said = run(tmp_path, {**environ, "QDRANT_QUANTIZATION": "int8"}, "bulk-load", "off")
    assert (code, index.state().held_back, index.state().quantized) == (0, False, True)
    assert "int8" in said
    assert run(tmp_path, environ, "tune-index")[0] == 0
    assert not index.state().quantized
    index.close()


def test_a_server_that_is_gone_is_told_with_the_next_step(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    gone = {**environ, "QDRANT_URL": "http://127.0.0.1:1"}
    code, said = run(tmp_path, gone, "tune-index")
    assert code == 69
    assert "QDRANT_URL" in said
    assert "Traceback" not in said


def test_products_of_an_earlier_release_are_upgraded_once(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    name = collection_name(Settings(_env_file=None, clip_model="demo"))
    points = PointTransfer(environ["QDRANT_URL"], name)
    points.ensure_collection(DIMENSIONS, [])
    fields = {"id": "old", "name": "old", "category": "Hats", "tenant": uuid.uuid4().hex, "rev": 1}
    body = {"points": [{"id": str(uuid.uuid4()), "vector": {}, "payload": fields}]}
    url = f"{environ['QDRANT_URL']}/collections/{name}/points"
    httpx.put(f"{url}?wait=true", json=body).raise_for_status()
    code, said = run(tmp_path, environ, "upgrade-index")
    assert (code, "1 product upgraded" in said) == (0, True), said
    assert sum(points.upgrade()) == 0
    assert "0 products upgraded" in run(tmp_path, environ, "upgrade-index")[1]
    httpx.post(f"{url}/delete?wait=true", json={"filter": {}}).raise_for_status()
    points.close()
