"""Which entries of a queue are doorbells."""

import base64
import json
from typing import Any

import pytest

from shared.doorbell import RECONCILE_TASK
from worker.messages import fault

CALL: list[object] = [[], {}, {"callbacks": None, "chain": None}]


def encoded(call: object) -> str:
    return base64.b64encode(json.dumps(call).encode()).decode()


def doorbell(**changes: Any) -> dict[str, Any]:
    """A message as we ring it; `changes` of its headers, or of the parts that have those names."""
    message: dict[str, Any] = {
        "body": encoded(CALL),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": RECONCILE_TASK, "id": "1", "eta": None, "timelimit": [None, None]},
        "properties": {
            "delivery_tag": "t",
            "delivery_info": {"exchange": "", "routing_key": "single"},
            "body_encoding": "base64",
        },
    }
    for name, value in changes.items():
        part = message if name.replace("_", "-") in message else message["headers"]
        part[name.replace("_", "-") if part is message else name] = value
    return message


def test_a_doorbell_is_passed_on() -> None:
    assert fault(doorbell()) is None


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (doorbell(content_type="application/x-python-serialize"), "content_type"),
        (doorbell(content_type="text/odd"), "content_type"),
        (doorbell(content_encoding="binary"), "unknown_message"),
        (doorbell(task="os.system"), "unknown_task"),
        (doorbell(eta="2030-01-01"), "unknown_message"),
        (doorbell(chord={"task": "x"}), "unknown_message"),
        (doorbell(timelimit=[1, None]), "unknown_message"),
        (doorbell(headers=None), "unknown_message"),
        (doorbell(properties={}), "unknown_message"),
        (doorbell(body=7), "unknown_message"),
        (doorbell(body="%"), "unreadable"),
        (doorbell(body=base64.b64encode(b"\x80\x04").decode()), "unreadable"),
        (doorbell(body=base64.b64encode(b"[" * 100_000).decode()), "unreadable"),
        (doorbell(body=encoded(7)), "unreadable"),
        (doorbell(body=encoded([["rm"], {}, {}])), "arguments"),
        (doorbell(body=encoded([[], {"a": 1}, {}])), "arguments"),
        (doorbell(body=encoded([[], {}, {"chain": [1]}])), "arguments"),
        (7, "unknown_message"),
        (None, "unknown_message"),
        ({}, "unknown_message"),
    ],
)
def test_what_is_no_doorbell_is_refused_with_its_reason(entry: object, reason: str) -> None:
    assert fault(entry) == reason
