"""What comes in, what is refused, and that nothing good is lost over it."""

import gzip
import json
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.models.change import Change, Lane, Outcome, Report
from tests.integration.api.conftest import MakeShop, Shop, product
from worker.reconcile.reports import RetryPolicy, landed

ONE = "/api/v1/index-product"
MANY = "/api/v1/index-products"


def _ndjson(*lines: Any) -> bytes:
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )


def _pending(shop: Shop) -> dict[Lane, int]:
    return {lane.lane: lane.pending for lane in shop.services.ledger.backlog()}


def _rings(shop: Shop, lane: Lane) -> int:
    return shop.services.doorbell.waiting(lane)


def test_single_products_bulk_ones_and_deletes_wait_in_lanes_of_their_own(shop: Shop) -> None:
    shop.http.post(ONE, json=product("a"))
    shop.http.post(MANY, json={"products": [product("b"), product("c")]})
    shop.http.delete("/api/v1/products/d")
    assert _pending(shop) == {Lane.SINGLE: 1, Lane.BULK: 2, Lane.FAST: 1}
    assert [_rings(shop, lane) for lane in (Lane.SINGLE, Lane.BULK, Lane.FAST)] == [1, 1, 1]


def test_while_no_worker_answers_one_bell_waits_for_all(shop: Shop) -> None:
    for number in range(5):
        shop.http.post(ONE, json=product(f"p{number}"))
    assert _pending(shop)[Lane.SINGLE] == 5
    assert _rings(shop, Lane.SINGLE) == 1


GOOD, BAD = product("good"), product("bad", price=-1)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps({"products": [BAD, GOOD]}).encode(), {"Content-Type": "application/json"}),
        (
            json.dumps({"products": [BAD, GOOD]}).encode(),
            {"Content-Type": "application/json; charset=UTF-8"},
        ),
        (_ndjson(BAD, GOOD), {"Content-Type": "application/x-ndjson"}),
        (_ndjson(b"", BAD, b"  ", GOOD).rstrip(), {"Content-Type": "application/x-ndjson"}),
        (
            _ndjson(BAD, GOOD).replace(b"\n", b"\r\n"),
            {"Content-Type": "application/x-ndjson"},
        ),
        (
            gzip.compress(json.dumps({"products": [BAD, GOOD]}).encode(), mtime=0),
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ),
        (
            gzip.compress(_ndjson(BAD), mtime=0) + gzip.compress(_ndjson(GOOD), mtime=0),
            {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
        ),
    ],
    ids=["json", "charset", "ndjson", "blank lines", "crlf", "gzip", "two gzip members"],
)
def test_a_batch_comes_as_json_or_lines_plain_or_packed_and_its_good_items_go_in(
    shop: Shop, body: bytes, headers: dict[str, str]
) -> None:
    answer = shop.http.post(MANY, data=body, headers=headers)
    assert answer.status_code == 202
    assert answer.json["accepted"] == 1
    [rejected] = answer.json["rejected"]
    assert (rejected["position"], rejected["product_id"]) == (0, "bad")
    assert rejected["errors"] == [
        {
            "field": "price",
            "code": "greater_than_equal",
            "message": "must be greater than or equal to 0",
        }
    ]
    shop.work()
    [item] = shop.http.get(answer.json["status_url"] + "/items").json["items"]
    assert (item["position"], item["product_id"], item["outcome"]) == (1, "good", "indexed")


def test_lines_that_are_no_json_are_rejected_at_their_positions(shop: Shop) -> None:
    body = _ndjson(
        GOOD, b"{", b"\xff", b"[" * 100_000, b'{"price": NaN}', b"null", b"[1]", b'{"id": 7}'
    )
    answer = shop.http.post(MANY, data=body, content_type="application/x-ndjson")
    assert answer.json["accepted"] == 1
    rejected = answer.json["rejected"]
    assert [entry["position"] for entry in rejected] == [1, 2, 3, 4, 5, 6, 7]
    assert {entry["product_id"] for entry in rejected} == {None}
    codes = [entry["errors"][0]["code"] for entry in rejected]
    assert codes == ["malformed_json"] * 4 + ["model_type"] * 2 + ["string_type"]


@pytest.mark.parametrize("unit", [1, 10**3, 10**6])
def test_a_version_of_the_far_future_is_refused_wherever_one_is_sent(shop: Shop, unit: int) -> None:
    fine, ahead = (int((time.time() + days * 86_400) * unit) for days in (0.9, 1.1))
    items = [product("a", version=ahead), product("b", version=fine)]
    for body, media_type in (
        (json.dumps({"products": items}).encode(), "application/json"),
        (_ndjson(*items), "application/x-ndjson"),
    ):
        answer = shop.http.post(MANY, data=body, content_type=media_type)
        (rejected,) = answer.json["rejected"]
        assert (answer.json["accepted"], rejected["product_id"]) == (1, "a")
        assert [fault["code"] for fault in rejected["errors"]] == ["version_ahead"]
    assert shop.http.post(ONE, json=items[0]).json["errors"][0]["code"] == "version_ahead"
    refused = shop.http.delete(f"/api/v1/products/b?version={ahead}")
    assert refused.json["errors"][0]["code"] == "version_ahead"
    assert shop.http.delete(f"/api/v1/products/b?version={fine}").status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", ONE, GOOD),
        ("POST", MANY, {"products": [GOOD]}),
        ("PATCH", "/api/v1/products/there", {"price": 3}),
        ("POST", "/api/v1/search", {"text_query": "red"}),
    ],
)
def test_a_byte_order_mark_is_skipped_and_utf16_called_by_its_name(
    shop: Shop, method: str, path: str, body: Any
) -> None:
    shop.http.post(ONE, json=product("there"))
    text = json.dumps(body)
    for data, packed, status in (
        (text.encode("utf-8-sig"), False, {200, 202}),
        (text.encode("utf-8-sig"), True, {200, 202}),
        (text.encode("utf-16"), False, {400}),
        (text.encode("utf-16-be"), True, {400}),
    ):
        answer = shop.http.open(
            path,
            method=method,
            data=gzip.compress(data) if packed else data,
            content_type="application/json",
            headers={"Content-Encoding": "gzip"} if packed else {},
        )
        assert answer.status_code in status
        assert status != {400} or "UTF-16" in answer.json["detail"]


def test_the_same_id_twice_in_one_call_the_later_counts(shop: Shop) -> None:
    items = [product("twice", name="First"), product("twice", name="Second")]
    answer = shop.http.post(MANY, json={"products": items})
    shop.work()
    outcomes = [
        item["outcome"]
        for item in shop.http.get(answer.json["status_url"] + "/items").json["items"]
    ]
    assert outcomes == ["superseded", "indexed"]
    assert shop.http.get("/api/v1/products/twice").json["name"] == "Second"


def test_where_nothing_is_good_nothing_is_queued(shop: Shop) -> None:
    answer = shop.http.post(MANY, json={"products": [BAD, {}, None]})
    assert (answer.status_code, answer.json["code"]) == (422, "nothing_accepted")
    assert [entry["position"] for entry in answer.json["rejected"]] == [0, 1, 2]
    assert sum(_pending(shop).values()) == 0


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ([], 422, "validation_failed", ""),
        (None, 422, "validation_failed", ""),
        ({}, 422, "validation_failed", "products"),
        ({"products": []}, 422, "validation_failed", "products"),
        ({"products": None}, 422, "validation_failed", "products"),
        ({"products": {}}, 422, "validation_failed", "products"),
        ({"products": [GOOD], "mode": "x"}, 422, "validation_failed", "mode"),
    ],
)
def test_a_document_that_is_no_batch_is_refused_by_field(
    shop: Shop, body: Any, status: int, code: str, field: str
) -> None:
    answer = shop.http.post(MANY, data=json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.json["errors"][0]["field"] == field


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_a_million_items_are_refused_at_once(shop: Shop, kind: str) -> None:
    body = b'{"products":[' + b"{}," * 999_999 + b"{}]}" if "x-" not in kind else b"{}\n" * 10**6
    started = time.thread_time()
    answer = shop.http.post(MANY, data=body, content_type=kind)
    assert (answer.status_code, answer.json["code"]) == (413, "too_many_items")
    assert time.thread_time() - started < 2


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_ten_thousand_and_one_items_are_refused(shop: Shop, kind: str) -> None:
    item = json.dumps(GOOD).encode()
    body = (
        _ndjson(*[item] * 10_001)
        if "x-" in kind
        else b'{"products":[' + b",".join([item] * 10_001) + b"]}"
    )
    answer = shop.http.post(MANY, data=body, content_type=kind)
    assert (answer.status_code, answer.json["code"]) == (413, "too_many_items")
    assert sum(_pending(shop).values()) == 0


def test_every_fault_of_a_product_is_named(shop: Shop) -> None:
    body = {
        "id": "a\r\n",
        "price": "12",
        "image_url": "ftp://x",
        "embedding": [0.1],
        "colour": "red",
        "attributes": {"a": {"b": 1}, "c": 2**60},
    }
    answer = shop.http.post(ONE, json=body)
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert {(fault["field"], fault["code"]) for fault in answer.json["errors"]} == {
        ("embedding", "embedding_not_accepted"),
        ("id", "control_character"),
        ("name", "missing"),
        ("image_url", "invalid_url"),
        ("price", "number_type"),
        ("attributes.a", "attribute_type"),
        ("attributes.c", "number_range"),
        ("colour", "extra_forbidden"),
    }


BAD_VALUES: list[tuple[str, bytes, str]] = [
    ("price", b"1e400", "less_than_equal"),
    ("price", b"-0.01", "greater_than_equal"),
    ("price", b"true", "number_type"),
    ("version", str(2**53).encode(), "less_than_equal"),
    ("version", str(2**63).encode(), "less_than_equal"),
    ("version", b"-1", "greater_than_equal"),
    ("version", b'"1"', "int_type"),
    ("version", b"true", "int_type"),
    ("version", b"1.5", "int_type"),
    ("name", b"null", "string_type"),
    ("name", b'""', "string_too_short"),
    ("name", b'"' + b"x" * 600_000 + b'"', "string_too_long"),
    ("id", b'"a\\u0000"', "control_character"),
    ("id", b'"a\\r\\nb"', "control_character"),
    ("id", b'""', "string_too_short"),
    ("id", b'"' + b"x" * 129 + b'"', "string_too_long"),
    ("id", b"7", "string_type"),
    ("image_url", b'"file:///etc/passwd"', "invalid_url"),
    ("image_url", b'"http://a/b\\r\\nc"', "invalid_url"),
    ("image_url", b'"http://a/' + b"x" * 10_000 + b'"', "string_too_long"),
    ("created_at", b"1700000000", "datetime_type"),
    ("created_at", b'"soon"', "datetime_from_date_parsing"),
    ("created_at", b'"1700000000"', "datetime_type"),
    ("created_at", b'"-1.5"', "datetime_type"),
    ("created_at", b'"0001-01-01T00:00:00+14:00"', "datetime_range"),
    ("version", b"1e2", "int_type"),
    ("price", b"1e999999999", "less_than_equal"),
    ("attributes", b'{"a": 1e400}', "finite_number"),
    ("attributes", b'{"a": [1e400]}', "attribute_type"),
    ("attributes", b'{"a": {"b": 1e400}}', "attribute_type"),
    ("attributes", b'{"a": [true]}', "attribute_type"),
    ("attributes", b'{"": 1}', "string_too_short"),
    ("attributes", b'{"a\\u2028b": 1}', "control_character"),
    ("attributes", b"[]", "dict_type"),
    ("attributes", b'{"a": null}', "attribute_type"),
]


@pytest.mark.parametrize(
    ("field", "value", "code"), BAD_VALUES, ids=[f"{f}={v[:20]!r}" for f, v, _ in BAD_VALUES]
)
def test_a_bad_value_is_refused_with_its_field_and_code(
    shop: Shop, field: str, value: bytes, code: str
) -> None:
    rest = {name: held for name, held in product("p").items() if name != field}
    body = json.dumps(rest).encode()[:-1] + b', "%s": %s}' % (field.encode(), value)
    answer = shop.http.post(ONE, data=body, content_type="application/json")
    assert answer.status_code == 422
    [fault] = answer.json["errors"]
    assert (fault["field"].split(".")[0], fault["code"]) == (field, code)


MALFORMED = [
    b"",
    b"{",
    b"{} x",
    b"\xff\xfe",
    b'"\xff"',
    b'{"id": "\xed\xa0\x80"}',
    b'{"id": "\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 40_000,
    b'{"price": NaN}',
    b'{"price": Infinity}',
    b'{"price": -Infinity}',
    b'{"price": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("path", [ONE, MANY, "/api/v1/search"])
@pytest.mark.parametrize("body", MALFORMED, ids=[repr(body[:20]) for body in MALFORMED])
def test_what_is_no_json_is_malformed(shop: Shop, path: str, body: bytes) -> None:
    answer = shop.http.post(path, data=body, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (400, "malformed")


def test_duplicate_keys_do_no_harm(shop: Shop) -> None:
    body = json.dumps(product("a")).encode()[:-1] + b', "id": "b"}'
    answer = shop.http.post(ONE, data=body, content_type="application/json")
    assert answer.json["product_id"] == "b"


@pytest.mark.parametrize("path", [ONE, MANY, "/api/v1/search"])
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/xml", "application/json; charset=latin-1"]
)
def test_another_content_type_is_refused(shop: Shop, path: str, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = shop.http.post(path, data=b"{}", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")


def test_lines_are_refused_where_one_product_is_expected(shop: Shop) -> None:
    answer = shop.http.post(ONE, data=_ndjson(GOOD), content_type="application/x-ndjson")
    assert answer.status_code == 415


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip"])
def test_another_packing_is_refused(shop: Shop, coding: str) -> None:
    answer = shop.http.post(ONE, json=GOOD, headers={"Content-Encoding": coding})
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_content_encoding")
    assert answer.headers["Accept-Encoding"] == "gzip, identity"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (gzip.compress(b" " * (64 * 2**20), mtime=0), 413, "body_too_large"),
        (gzip.compress(b'{"products": []}', mtime=0)[:-6], 400, "malformed"),
        (b"no gzip", 400, "malformed"),
        (gzip.compress(b"{}", mtime=0) + b"rest", 400, "malformed"),
        (gzip.compress(b"", mtime=0) * 5000, 400, "malformed"),
    ],
    ids=["bomb", "cut short", "none", "with a tail", "many members"],
)
def test_packed_bodies_that_are_none_or_too_much(
    shop: Shop, body: bytes, status: int, code: str
) -> None:
    answer = shop.http.post(
        MANY, data=body, content_type="application/json", headers={"Content-Encoding": "gzip"}
    )
    assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "size"), [(ONE, 2**20 + 1), (MANY, 32 * 2**20 + 1), ("/api/v1/search", 2**18 + 1)]
)
def test_a_body_beyond_its_bound_is_refused(shop: Shop, path: str, size: int) -> None:
    answer = shop.http.post(path, data=b" " * size, content_type="application/json")
    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


def test_a_repeat_with_the_same_key_gives_the_same_answer(shop: Shop) -> None:
    headers = {"Idempotency-Key": "push 17"}
    body = json.dumps({"products": [GOOD, BAD]}).encode()
    headers["Content-Type"] = "application/json"
    first = shop.http.post(MANY, data=body, headers=headers)
    again = shop.http.post(MANY, data=body, headers=headers)
    packed = shop.http.post(
        MANY, data=gzip.compress(body), headers={**headers, "Content-Encoding": "gzip"}
    )
    assert first.json == again.json == packed.json
    assert first.status_code == again.status_code == packed.status_code == 202
    assert first.json["rejected"][0]["product_id"] == "bad"
    assert _pending(shop)[Lane.BULK] == 1


def test_a_key_used_for_something_else_is_a_conflict(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k"}
    shop.http.post(ONE, json=product("a"), headers=headers)
    for answer in (
        shop.http.post(ONE, json=product("b"), headers=headers),
        shop.http.post(MANY, json={"products": [product("a")]}, headers=headers),
        shop.http.delete("/api/v1/products/a", headers=headers),
    ):
        assert (answer.status_code, answer.json["code"]) == (409, "idempotency_conflict")


def test_waiting_longer_for_the_same_request_is_no_conflict(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k"}
    first = shop.http.post(ONE + "?wait=0.05", json=product("a"), headers=headers)
    shop.work()
    again = shop.http.post(ONE + "?wait=5", json=product("a"), headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json["job_id"] == first.json["job_id"]


def test_a_delete_of_another_version_under_the_same_key_is_a_conflict(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k"}
    assert shop.http.delete("/api/v1/products/a?version=1", headers=headers).status_code == 202
    assert shop.http.delete("/api/v1/products/a?version=1", headers=headers).status_code == 202
    assert shop.http.delete("/api/v1/products/a?version=2", headers=headers).status_code == 409


@pytest.mark.parametrize(
    ("path", "first", "again"),
    [
        (ONE, "", "?refetch=false"),
        (ONE, "?refetch=false", "?refetch="),
        (ONE, "?refetch=true", "?refetch=1&wait=0"),
        (MANY, "?refetch=false", ""),
        (MANY, "?refetch=true", "?refetch=True"),
    ],
)
def test_one_request_written_in_two_ways_is_one_request(
    shop: Shop, path: str, first: str, again: str
) -> None:
    body = product("a") if path == ONE else {"products": [product("a")]}
    answers = [
        shop.http.post(path + query, json=body, headers={"Idempotency-Key": "k"})
        for query in (first, again)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json["job_id"] == answers[1].json["job_id"]


def test_fetching_anew_is_another_request(shop: Shop) -> None:
    headers = {"Idempotency-Key": "k"}
    assert shop.http.post(ONE, json=product("a"), headers=headers).status_code == 202
    answer = shop.http.post(ONE + "?refetch=true", json=product("a"), headers=headers)
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
def test_an_unusable_idempotency_key_is_refused(shop: Shop, key: str) -> None:
    answer = shop.http.post(ONE, json=GOOD, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert sum(_pending(shop).values()) == 0


def _work_soon(shop: Shop, **outcomes: Any) -> threading.Timer:
    timer = threading.Timer(0.2, shop.work, kwargs=outcomes)
    timer.start()
    return timer


def test_who_waits_is_told_once_the_product_is_searchable(shop: Shop) -> None:
    timer = _work_soon(shop)
    answer = shop.http.post(ONE + "?wait=10", json=product("a"))
    timer.join()
    assert answer.status_code == 200
    assert answer.json == {
        "status": "success",
        "product_id": "a",
        "job_id": answer.json["job_id"],
        "outcome": "indexed",
    }
    assert shop.http.get("/api/v1/search?q=red+shirt").json["total_results"] == 1


def test_who_waits_is_told_why_the_product_failed(shop: Shop) -> None:
    timer = _work_soon(shop, fail={"a": "image_not_found"})
    answer = shop.http.post(ONE + "?wait=10", json=product("a"))
    timer.join()
    assert (answer.status_code, answer.json["code"]) == (422, "image_not_found")
    assert answer.json["detail"] == "told so"
    assert shop.http.get(f"/api/v1/jobs/{answer.json['job_id']}").json["state"] == "failed"


def test_who_waits_is_told_that_the_new_picture_is_not_the_one_that_is_found(shop: Shop) -> None:
    def work() -> None:
        held = shop.services.ledger.claim([Lane.SINGLE], 1)
        (wanted,) = held.wanted
        report = landed(wanted, Outcome.INDEXED, ItemPermanent(ItemCode.NOT_AN_IMAGE, "x"))
        shop.services.ledger.report(held, [report])

    timer = threading.Timer(0.2, work)
    timer.start()
    answer = shop.http.post(ONE + "?wait=10", json=product("a"))
    timer.join()
    assert (answer.status_code, answer.json["outcome"]) == (200, "indexed")
    assert answer.json["warnings"] == ["not_an_image"]


def test_who_waits_is_told_what_the_picture_waits_for(shop: Shop) -> None:
    queued = shop.http.post(ONE + "?wait=0.05", json=product("a")).json
    assert "waiting" not in queued
    held = shop.services.ledger.claim([Lane.SINGLE], 1)
    (wanted,) = held.wanted
    fault = ItemTransient(ItemCode.IMAGE_HTTP_ERROR, "HTTP 429", 3600)
    retry = RetryPolicy(5, 3.0).after_fault(wanted, fault, of_picture=True)
    shop.services.ledger.report(held, [retry])
    answer = shop.http.patch(
        "/api/v1/products/a?wait=0.05", json={"price": 5}, headers={"Idempotency-Key": "k"}
    )
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    waiting = answer.json["waiting"]
    assert (waiting["code"], waiting["attempts"]) == ("image_http_error", 1)
    assert waiting["message"] == "HTTP 429"
    assert waiting["next_try_at"] > "20"
    without = shop.http.patch(
        "/api/v1/products/a", json={"price": 5}, headers={"Idempotency-Key": "k"}
    )
    assert without.json == {name: answer.json[name] for name in answer.json if name != "waiting"}


def test_a_stale_product_is_told_as_such(shop: Shop) -> None:
    shop.http.post(ONE, json=product("a", version=7))
    shop.work()
    answer = shop.http.post(ONE + "?wait=10", json=product("a", version=6))
    assert (answer.status_code, answer.json["outcome"]) == (200, "stale")


def test_when_the_time_is_up_the_answer_is_as_without_waiting(shop: Shop) -> None:
    answer = shop.http.post(ONE + "?wait=0.05", json=product("a"))
    assert (answer.status_code, answer.json["status"]) == (202, "queued")


def test_no_seconds_to_wait_are_no_waiting(shop: Shop) -> None:
    answer = shop.http.post(ONE + "?wait=0", json=product("a"))
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    asked = shop.http.get(answer.json["status_url"] + "?wait=0.0")
    assert (asked.status_code, asked.json["state"]) == (200, "queued")
    shop.work()
    again = shop.http.post(ONE + "?wait=0", json=product("a"))
    assert (again.status_code, again.json["status"]) == (202, "queued")


@pytest.mark.parametrize("wait", ["-0.1", "-1", "30.1", "nan", "inf", "soon", "1&wait=2"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ONE),
        ("PATCH", "/api/v1/products/a"),
        ("DELETE", "/api/v1/products/a"),
        ("GET", "/api/v1/jobs/x"),
    ],
)
def test_an_impossible_wait_is_refused(shop: Shop, method: str, path: str, wait: str) -> None:
    answer = shop.http.open(f"{path}?wait={wait}", method=method, json=GOOD)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "wait"


def test_a_broker_that_is_gone_takes_nothing_back(make_shop: MakeShop) -> None:
    shop = make_shop(broker_url="redis://127.0.0.1:9/0")
    assert shop.http.post(ONE, json=product("a")).status_code == 202
    took = []
    for _ in range(5):
        started = time.perf_counter()
        assert shop.http.post(ONE, json=product("b")).status_code == 202
        took.append(time.perf_counter() - started)
    assert min(took) < 0.5, "each request paid for the broker's absence"
    shop.work()
    assert shop.http.get("/api/v1/products/a").status_code == 200


def test_a_full_ledger_asks_to_come_back(make_shop: MakeShop) -> None:
    shop = make_shop(ledger_max_pending=1)
    assert shop.http.post(ONE, json=product("a")).status_code == 202
    shop.services.ledger._capacity_checked = float("-inf")
    answer = shop.http.post(ONE, json=product("b"))
    assert (answer.status_code, answer.json["code"]) == (503, "ledger_full")


SINGLE_WRITES = [
    ("POST", ONE, product("a", name="Red Coat"), "indexed"),
    ("PATCH", "/api/v1/products/a", {"price": 9}, "indexed"),
    ("DELETE", "/api/v1/products/a", None, "deleted"),
]


@pytest.mark.parametrize(("method", "path", "body", "outcome"), SINGLE_WRITES)
def test_every_single_write_answers_who_waits_with_its_end(
    shop: Shop, method: str, path: str, body: Any, outcome: str
) -> None:
    shop.http.post(ONE, json=product("a"))
    shop.work()

    def work(*, fail: bool) -> None:
        claim = shop.services.ledger.claim(list(Lane), 10)
        for wanted in claim.wanted:
            end = Outcome.FAILED if fail else Outcome(outcome)
            code = "internal_error" if fail else ""
            shop.services.ledger.report(
                claim,
                [Report(wanted.tenant, wanted.product_id, wanted.rev, end, code, "told so")],
            )

    def sent(wait: str, timer: threading.Timer | None = None) -> Any:
        if timer:
            timer.start()
        answer = shop.http.open(f"{path}?wait={wait}", method=method, json=body)
        if timer:
            timer.join()
        return answer

    failed = sent("10", threading.Timer(0.2, work, kwargs={"fail": True}))
    assert (failed.status_code, failed.json["code"]) == (422, "internal_error")
    assert (failed.json["product_id"], failed.json["detail"]) == ("a", "told so")
    late = sent("0.05")
    assert (late.status_code, late.json["status"]) == (202, "queued")
    assert late.headers["Location"] == late.json["status_url"]
    landed_now = sent("10", threading.Timer(0.2, work, kwargs={"fail": False}))
    assert landed_now.status_code == 200
    assert landed_now.json == {
        "status": "success",
        "product_id": "a",
        "job_id": landed_now.json["job_id"],
        "outcome": outcome,
    }


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("", False), ("?refetch=true", True), ("?refetch=false", False), ("?refetch=", False)],
)
def test_a_picture_is_fetched_anew_where_the_shop_says_so(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, query: str, wanted: bool
) -> None:
    taken: list[bool] = []
    accept = shop.services.ledger.accept

    def noted(tenant: str, lane: Lane, changes: Sequence[Change], **how: Any) -> Any:
        taken.extend(change.refetch for change in changes)
        return accept(tenant, lane, changes, **how)

    monkeypatch.setattr(shop.services.ledger, "accept", noted)
    shop.http.post(ONE + query, json=product("a"))
    shop.http.post(MANY + query, json={"products": [product("b"), BAD, product("c")]})
    lines = _ndjson(product("d"))
    shop.http.post(MANY + query, data=lines, content_type="application/x-ndjson")
    assert taken == [wanted] * 4


@pytest.mark.parametrize("refetch", ["maybe", "2", "true&refetch=true"])
def test_an_impossible_refetch_is_refused(shop: Shop, refetch: str) -> None:
    answer = shop.http.post(f"{ONE}?refetch={refetch}", json=GOOD)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "refetch")


def test_an_unknown_parameter_is_refused_by_name(shop: Shop) -> None:
    for answer in (
        shop.http.post(ONE + "?wiat=1", json=GOOD),
        shop.http.post(MANY + "?wait=1", json={"products": [GOOD]}),
        shop.http.get("/api/v1/products?catgory=x"),
    ):
        assert answer.status_code == 422
        assert answer.json["errors"][0]["code"] == "extra_forbidden"
