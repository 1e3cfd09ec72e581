"""The REST API that this project uses, exchange by exchange, on every server."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

SCENARIOS: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    Path(__file__).with_name("exchanges.yaml").read_text()
)
METHODS = ("get", "put", "post", "patch", "delete")
VOLATILE = frozenset({"operation_id", "version"})


@pytest.fixture
def collection(http: httpx.Client) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    created = http.put(
        f"/collections/{name}", json={"vectors": {"image": {"size": 4, "distance": "Cosine"}}}
    )
    assert created.json()["result"] is True
    yield name
    assert http.delete(f"/collections/{name}").json()["result"] is True


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_exchange(http: httpx.Client, collection: str, scenario: str) -> None:
    for step in SCENARIOS[scenario]:
        method = next(name for name in METHODS if name in step)
        path = step[method].replace("{c}", collection)
        body = {"content": step["raw"]} if "raw" in step else {"json": step.get("body")}
        headers = {"Content-Type": "application/json"}
        answer = http.request(method, path, headers=headers, **body)
        where = f"{scenario}: {method.upper()} {step[method]}: {answer.text}"
        assert answer.status_code == step.get("status", 200), where
        content = answer.json()
        assert isinstance(content["time"], float), where
        if "error" in step:
            assert step["error"] in content["status"]["error"], where
            continue
        assert content["status"] == "ok", where
        if "holds" in step:
            assert holds(content["result"], step["holds"]), where
        else:
            assert same(content["result"], step["result"]), where


def same(actual: Any, expected: Any) -> bool:
    """Equal but for volatile members, members that are null, and the last digits."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(
            same(actual.get(name), expected.get(name))
            for name in (actual.keys() | expected.keys()) - VOLATILE
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return len(actual) == len(expected) and all(map(same, actual, expected))
    if isinstance(expected, float) or isinstance(actual, float):
        return actual == pytest.approx(expected, abs=1e-6)
    return bool(actual == expected)


def holds(actual: Any, expected: Any) -> bool:
    """Every member that is expected is there; others may be too."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            holds(actual.get(name), value) for name, value in expected.items()
        )
    return same(actual, expected)
