"""One item that is no JSON costs no other one of its document."""

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.requests.batch import MAX_ITEMS, Batch, read_batch
from api.requests.bodies import JSON, NDJSON
from api.requests.json_items import cut_items, named_id
from api.responses.problems import Problem

BOM = b"\xef\xbb\xbf"

# What stands for one product, and the id that can be read of it.
BROKEN: list[tuple[bytes, str | None]] = [
    (rb'{"id": "p", "name": "Shirt \ud83d"}', "p"),
    (rb'{"id": "p", "name": "Shirt \udc15 x"}', "p"),
    (rb'{"id": "p", "\ud83d": 1}', "p"),
    (rb'{"id": "p", "attributes": {"a": ["\ud83d"]}}', "p"),
    (b'{"id": "p", "name": "caf\xe9"}', "p"),
    (b'{"id": "p", "caf\xe9": 1}', "p"),
    (b'{"id": "p", "name": "\xc0\xaf"}', "p"),
    (b'{"id": "p", "name": "\xed\xa0\xbd"}', "p"),
    (b'{"id": "p", "name": "\xff\xfe"}', "p"),
    (b'{"id": "p", "name": "a\tb"}', "p"),
    (b'{"id": "p", "name": "a\x00b"}', "p"),
    (rb'{"id": "p", "name": "\q"}', "p"),
    (rb'{"id": "p", "name": "\u12"}', "p"),
    (b'{"id": "p", "price": NaN}', "p"),
    (b'{"id": "p", "price": -Infinity}', "p"),
    (b'{"id": "p", "price": 1e400}', "p"),
    (b'{"id": "p", "price": .5}', "p"),
    (b'{"id": "p", "price": 05}', "p"),
    (b'{"id": "p", "price": ' + b"9" * 5000 + b"}", "p"),
    (b'{"id": "p", "price": undefined}', "p"),
    (b'{"id": "p", "attributes": ' + b"[" * 300 + b"]" * 300 + b"}", "p"),
    (b'{"id": "p", "name": "a",}', "p"),
    (b'{"id": "p" "name": "a"}', "p"),
    (b'{"id": "p", "attributes": [1}}', "p"),
    (b'{"attributes": {"id": "not this"}, "id": "p", "name": NaN}', "p"),
    (b'{"attributes": {"id": "not this"}, "name": NaN}', None),
    (b'{"id": "caf\xe9"}', None),
    (rb'{"id": "\ud83d"}', None),
    (b'{"id": 7, "name": NaN}', None),
    (b"{'id': 'p'}", None),
    (b"NaN", None),
    (b"nul", None),
    (rb'"\ud83d"', None),
]


def _product(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"p{number}", "name": "a", "image_url": "https://a.example/a.jpg", **fields}


def _document(*items: bytes) -> bytes:
    return b'{"products": [' + b" ,\n".join(items) + b"]}"


GOOD = json.dumps(_product(0, description='brackets ]}[{ and "quotes" \\')).encode()


@pytest.mark.parametrize(("item", "product_id"), BROKEN)
@pytest.mark.parametrize("media_type", [JSON, NDJSON])
def test_an_item_that_is_no_json_is_rejected_alone(
    media_type: str, item: bytes, product_id: str | None
) -> None:
    lines = [GOOD, item, GOOD]
    body = _document(*lines) if media_type == JSON else b"\n".join(lines)
    batch = read_batch(body, media_type)
    assert [change.position for change in batch.changes] == [0, 2]
    (rejected,) = batch.rejected
    assert (rejected["position"], rejected["product_id"]) == (1, product_id)
    if b"1e400" not in item:  # JSON, and too large
        assert rejected["errors"][0]["code"] == "malformed_json"


def test_every_item_may_be_broken() -> None:
    batch = read_batch(_document(*(item for item, _ in BROKEN)), JSON)
    assert [entry["product_id"] for entry in batch.rejected] == [each for _, each in BROKEN]
    assert [entry["position"] for entry in batch.rejected] == list(range(len(BROKEN)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"products": [',
        _document(GOOD, b"NaN")[:-1],
        _document(GOOD, b"NaN")[:-2],
        _document(GOOD, b"NaN") + b"}",
        _document(GOOD, b"NaN", b""),
        _document(GOOD, b"", b"NaN"),
        _document(b"", b"NaN"),
        _document(GOOD, b"NaN {} {}"),
        _document(GOOD + b" " + GOOD, b"NaN"),
        _document(GOOD, b'{"name": "5" screen"}'),
        _document(GOOD, b'{"a": [1}'),
        _document(GOOD, b'{"name": "a'),
        b'{"products": {"a": NaN, "b": 1}}',
        b'{"products": NaN}',
        b'{"products": [] "x": [NaN]}',
        rb'{"\ud83d": 1, "products": [NaN]}',
        b"[NaN]",
        b"NaN",
        b"]",
    ],
)
def test_a_document_whose_frame_cant_be_read_is_refused_whole_with_the_place(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        read_batch(body, JSON)
    assert (caught.value.status, caught.value.code) == (400, "malformed")
    assert "line 1 column" in caught.value.detail or "line 2 column" in caught.value.detail


def test_a_broken_item_hides_no_other_fault_of_the_document() -> None:
    with pytest.raises(Problem) as caught:
        read_batch(b'{"products": [NaN], "more": [NaN, {}]}', JSON)
    assert (caught.value.status, caught.value.extensions["errors"][0]["field"]) == (422, "more")
    with pytest.raises(Problem) as caught:
        read_batch(_document(*[b"1"] * MAX_ITEMS, b"NaN"), JSON)
    assert (caught.value.status, caught.value.code) == (413, "too_many_items")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(_values), st.booleans(), st.sampled_from([None, 1, "\t"]))
@example([], False, None)
@example([[], {}, "", "]", '"', "\\", "\\\\", '\\"'], False, None)
def test_items_are_cut_where_json_has_them(
    items: list[Any], ascii_only: bool, indent: int | str | None
) -> None:
    text = json.dumps({"products": items, "other": 1}, ensure_ascii=ascii_only, indent=indent)
    frame, cut = cut_items(text.encode(), 1000)
    assert frame == {"products": list(range(len(items))), "other": 1}
    assert [json.loads(item) for item in cut] == items


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5), st.data())
def test_a_byte_spoilt_in_a_text_spoils_that_item_alone(
    names: list[str], data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(names) - 1))
    spoilt = data.draw(st.sampled_from([b"\xe9", b"\x00", b"\t", rb"\ud800", rb"\x", b"\xf5\x80"]))
    items = [json.dumps(_product(n, description=name)).encode() for n, name in enumerate(names)]
    items[which] = items[which].replace(b'"description": "', b'"description": "' + spoilt)
    batch: Batch = read_batch(_document(*items), JSON)
    assert [change.product_id for change in batch.changes] == [
        f"p{n}" for n in range(len(names)) if n != which
    ]
    assert [entry["product_id"] for entry in batch.rejected] == [f"p{which}"]


MIB = 2**20
# Made when a test asks: together they are 250 MiB.
WORST: dict[str, Callable[[], bytes]] = {
    "quotes": lambda: b'"' * (31 * MIB),
    "one text": lambda: b'"' + rb"\"" * (15 * MIB),
    "commas": lambda: b"1," * 3_900_000 + b"x",
    "blank": lambda: b" " * (31 * MIB) + b"x",
    "opened": lambda: b"[" * 999_000,
    "lists": lambda: b"{" + b"[]" * 490_000 + b"}",
    "lists of lists": lambda: (b"[" + b"[]," * 3000) * 160,
    "deep lists": lambda: b"{" + b"[[[[[]]]]]" * 199_000 + b"}",
    "objects": lambda: b'{"id":' * 990_000,
    "opened again and again": lambda: (b"[[[" + b"1" * 20) * 330_000,
    "a long text in each": lambda: (b'["' + b"a" * 900_000 + b'"') * 31,
    "ids": lambda: b"{" + b'"id" ' * (6 * MIB),
    "ids and spaces": lambda: b"{" + (b'"id"' + b" " * 1000) * (30 * 1024),
}


@pytest.fixture(scope="module")
def usual() -> float:
    """Seconds that a large good body costs."""
    good = _document(*[json.dumps(_product(1, description="x" * 2900)).encode()] * MAX_ITEMS)
    started = time.process_time()
    read_batch(good, JSON)
    return time.process_time() - started


@pytest.mark.parametrize("worst", WORST.values(), ids=WORST)
def test_the_worst_bodies_cost_little_more_than_good_ones(
    worst: Callable[[], bytes], usual: float
) -> None:
    filling = worst()
    started = time.process_time()
    try:
        read_batch(_document(filling), JSON)
    except Problem as problem:
        assert problem.status in (400, 413)
    named_id(filling)
    assert time.process_time() - started < 5 * usual + 0.5


@pytest.mark.parametrize("end", [b"NaN]}", b"]}, NaN"])
def test_brackets_cost_a_batch_with_a_broken_item_little(end: bytes) -> None:
    def seconds(filling: bytes) -> float:
        item = b'{"id": "p", "attributes": {"a": [' + filling + end
        body = _document(*[item] * MAX_ITEMS)
        started = time.process_time()
        with contextlib.suppress(Problem):
            read_batch(body, JSON)
        return time.process_time() - started

    # As long as texts cost, on any machine; the fastest of a few, because the cores are shared.
    assert min(seconds(b"[]," * 40) for _ in range(3)) < 3 * seconds(b'"a",' * 30)


@pytest.mark.parametrize("media_type", [JSON, NDJSON])
def test_a_byte_order_mark_is_no_part_of_the_text(media_type: str) -> None:
    body = (
        _document(GOOD) if media_type == JSON else BOM + b"\r\n" + BOM + GOOD + b"\r\n\r\n" + GOOD
    )
    batch = read_batch(BOM + body, media_type)
    assert batch.rejected == []
    assert [change.product_id for change in batch.changes] == ["p0"] * len(batch.changes)


def test_joined_files_may_have_a_mark_each() -> None:
    batch = read_batch(BOM + GOOD + b"\r\n" + BOM + GOOD + b"\n" + BOM, NDJSON)
    assert (len(batch.changes), batch.rejected) == (2, [])
    # Within a line it is no white space.
    assert len(read_batch(GOOD + b"\n" + GOOD + BOM, NDJSON).rejected) == 1


@pytest.mark.parametrize("media_type", [JSON, NDJSON])
@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_other_encodings_are_called_by_their_name(media_type: str, encoding: str) -> None:
    with pytest.raises(Problem) as caught:
        read_batch(_document(GOOD).decode().encode(encoding), media_type)
    assert caught.value.status == 400
    assert "UTF-16" in caught.value.detail
