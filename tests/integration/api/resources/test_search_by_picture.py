"""Searches by picture and by product over HTTP: every way in, every refusal, and the bounds."""

import base64
import io
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from PIL import Image
from werkzeug.test import TestResponse

from tests.integration.api.conftest import MakeShop, Shop, product
from tests.integration.fetch.picture_server import ScriptedServer, head
from tests.pictures import PictureServer, picture

RED, BLUE = picture((200, 30, 30)), picture((30, 30, 200))
COLOURS = {"red": RED, "blue": BLUE, "pink": picture((230, 150, 170))}


@pytest.fixture
def pictures() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


@pytest.fixture
def coloured(make_shop: MakeShop) -> Shop:
    shop = make_shop(
        image_allowed_networks=(ip_network("127.0.0.0/8"),), search_timeout_seconds=1.0
    )
    for colour, data in COLOURS.items():
        shop.pictures[colour] = data
        body = product(colour, name=colour, category="tops", attributes={"color": colour})
        assert shop.http.post("/api/v1/index-product", json=body).status_code == 202
    shop.work()
    return shop


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def upload(shop: Shop, data: bytes, **fields: Any) -> TestResponse:
    # By hand: the test client would write what is large to the disk, and leave the file open.
    head = 'Content-Disposition: form-data; name="{}"'
    parts = [f"{head.format(name)}\r\n\r\n{value}".encode() for name, value in fields.items()]
    parts.append(f'{head.format("image")}; filename="query.jpg"\r\n\r\n'.encode() + data)
    body = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"
    content_type = "multipart/form-data; boundary=frontier"
    return shop.http.post("/api/v1/search", data=body, content_type=content_type)


def ids(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["product_id"] for result in answer.json["results"]]


def test_url_base64_and_upload_give_the_same_answer(
    coloured: Shop, pictures: PictureServer
) -> None:
    url = pictures.add("/red.jpg", RED)
    answers = [
        coloured.http.post("/api/v1/search", json={"image_base64": encoded(RED), "top_k": 2}),
        coloured.http.post("/api/v1/search", json={"image_url": url, "top_k": 2}),
        upload(coloured, RED, top_k="2"),
    ]
    assert [answer.json["cached"] for answer in answers] == [False, True, True]
    for answer in answers:
        assert (answer.json["query_type"], answer.json["top_k"]) == ("image", 2)
        assert ids(answer)[0] == "red"
        assert answer.json["results"] == answers[0].json["results"]
    assert answers[0].json["results"][0]["similarity_score"] == pytest.approx(1, abs=1e-5)


def test_a_form_takes_all_that_a_document_takes(coloured: Shop) -> None:
    fields = {
        "text_query": "red",
        "product_id": "blue",
        "top_k": 2,
        "offset": 1,
        "min_score": -1,
        "category_filter": "tops",
        "attributes": {"color": ["red", "blue", "pink"]},
    }
    form = upload(coloured, RED, **{**fields, "attributes": json.dumps(fields["attributes"])})
    document = coloured.http.post("/api/v1/search", json={**fields, "image_base64": encoded(RED)})
    assert form.json["query_type"] == "mixed"
    assert len(ids(form)) == 2
    assert document.json["cached"] is True
    assert document.json["results"] == form.json["results"]


def test_filters_hold_for_pictures_and_in_urls(coloured: Shop) -> None:
    assert ids(upload(coloured, RED, attributes='{"color": "blue"}')) == ["blue"]
    assert ids(upload(coloured, RED, category_filter="shoes")) == []
    asked = "product_id=red&attributes=%7B%22color%22:[%22blue%22,%22red%22]%7D"
    assert ids(coloured.http.get(f"/api/v1/similar?{asked}")) == ["blue"]
    asked = "q=red&min_score=-1&offset=2&attributes=%7B%22color%22:[%22red%22,%22blue%22]%7D"
    assert ids(coloured.http.get(f"/api/v1/search?{asked}")) == []


def test_similar_leaves_out_the_product(coloured: Shop) -> None:
    answer = coloured.http.get("/api/v1/similar?product_id=red&top_k=1")
    assert ids(answer) == ["pink"]
    assert answer.json["query_type"] == "product"
    assert coloured.http.get("/api/v1/similar?product_id=red&top_k=1").json["cached"] is True
    assert ids(coloured.http.post("/api/v1/search", json={"product_id": "red"}))[0] == "red"


def test_a_product_that_is_not_there_is_404(coloured: Shop, make_shop: MakeShop) -> None:
    other = make_shop()
    for answer in (
        coloured.http.get("/api/v1/similar?product_id=green"),
        coloured.http.post("/api/v1/search", json={"product_id": "green"}),
        coloured.http.post("/api/v1/search", json={"text_query": "a", "product_id": "green"}),
        other.http.get("/api/v1/similar?product_id=red"),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "product_not_found")


BLOCKED = [
    "http://127.0.0.1:6379/",
    "http://localhost:6333/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0/",
    "http://[::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:7f00:1::]/",
    "http://[fec0::1]/",
    "http://[fd00:ec2::254]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://224.0.0.1/",
    "http://10.0.0.1/",
    "http://93.184.216.34:22/",
]
INVALID = [
    "https://good@127.0.0.1/",
    "file:///etc/passwd",
    "gopher://shop.example/",
    "data:image/png;base64,AAAA",
    "http://shop.example/a\r\nb",
    "//shop.example/a",
]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        *((url, "image_blocked_address") for url in BLOCKED),
        *((url, "invalid_url") for url in INVALID),
    ],
)
def test_a_url_that_must_not_be_fetched_is_refused_with_its_code(
    shop: Shop, url: str, code: str
) -> None:
    answer = shop.http.post("/api/v1/search", json={"image_url": url})
    assert answer.status_code == 422
    assert [(f["field"], f["code"]) for f in answer.json["errors"]] == [("image_url", code)]


def test_loopback_is_not_reached_unless_it_is_allowed(shop: Shop, pictures: PictureServer) -> None:
    answer = shop.http.post("/api/v1/search", json={"image_url": pictures.add("/red.jpg", RED)})
    assert (answer.status_code, answer.json["code"]) == (422, "image_blocked_address")
    assert (answer.json["retryable"], pictures.requests) == (False, [])


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://10.0.0.1/a.jpg", "image_blocked_address"),
        ("http://[::1]/a.jpg", "image_blocked_address"),
        ("http://169.254.169.254/", "image_blocked_address"),
        ("file:///etc/passwd", "invalid_url"),
        ("/again", "image_http_error"),
    ],
)
def test_a_redirect_leads_nowhere_that_a_url_does_not(
    coloured: Shop, location: str, code: str
) -> None:
    def redirect(connection: Any, _path: str, _head: str) -> None:
        answer = head(f"Location: {location}", "Content-Length: 0", status="302 Found")
        connection.sendall(answer)

    server = ScriptedServer(redirect)
    answer = coloured.http.post("/api/v1/search", json={"image_url": server.url()})
    server.close()
    assert (answer.status_code, answer.json["code"]) == (422, code)


def _png_that_claims(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


BAD_PICTURES = [
    (b"", "not_an_image"),
    (b"<html><body>hello</body></html>", "not_an_image"),
    (b"%PDF-1.4 and so on", "image_unsupported_format"),
    (RED[:400], "image_corrupt"),
    (_png_that_claims(50_000, 50_000), "image_too_many_pixels"),
    (RED + bytes(10 * 2**20), "image_too_large"),
]


@pytest.mark.parametrize(("data", "code"), BAD_PICTURES, ids=[code for _, code in BAD_PICTURES])
def test_a_picture_that_is_none_is_refused_with_its_code_and_field(
    coloured: Shop, data: bytes, code: str
) -> None:
    sent = coloured.http.post("/api/v1/search", json={"image_base64": encoded(data)})
    for answer, field in ((sent, "image_base64"), (upload(coloured, data), "image")):
        assert (answer.status_code, answer.json["code"]) == (422, code)
        assert [(f["field"], f["code"]) for f in answer.json["errors"]] == [(field, code)]
        assert answer.json["retryable"] is False


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [(404, "image_not_found", False), (500, "image_http_error", True)],
)
def test_a_picture_server_that_fails_is_told_with_whether_it_may_pass(
    coloured: Shop, pictures: PictureServer, status: int, code: str, retryable: bool
) -> None:
    url = pictures.add("/red.jpg", RED)
    pictures.statuses["/red.jpg"] = status
    answer = coloured.http.post("/api/v1/search", json={"image_url": url})
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert answer.json["retryable"] is retryable


def test_a_slow_picture_server_is_given_up_within_a_searchs_time(
    coloured: Shop, pictures: PictureServer
) -> None:
    url = pictures.add("/red.jpg", RED)
    pictures.delays["/red.jpg"] = threading.Event()
    answer = coloured.http.post("/api/v1/search", json={"image_url": url})
    assert (answer.status_code, answer.json["code"]) == (422, "image_timeout")
    assert answer.json["retryable"] is True


@pytest.mark.parametrize(
    ("data", "field", "code"),
    [
        ({"match": "words"}, "match", "words_alone"),
        ({"image": "text"}, "image", "file_missing"),
        ({"other": (io.BytesIO(b"x"), "x")}, "other", "extra_forbidden"),
        ({"image_base64": "AAAA"}, "image_base64", "extra_forbidden"),
        ({"text_query": "a", "top_k": "x"}, "top_k", "int_type"),
        ({"text_query": "a", "top_k": ["1", "2"]}, "top_k", "repeated"),
        ({"text_query": "a", "attributes": "red"}, "attributes", "dict_type"),
        ({"image_url": "ftp://a/b"}, "image_url", "invalid_url"),
    ],
)
def test_a_bad_form_is_refused_with_its_field(
    shop: Shop, data: dict[str, Any], field: str, code: str
) -> None:
    answer = shop.http.post(
        "/api/v1/search", data=data or {"top_k": "5"}, content_type="multipart/form-data"
    )
    assert answer.status_code == 422
    assert [(f["field"], f["code"]) for f in answer.json["errors"]] == [(field, code)]


def test_what_is_no_form_is_malformed(shop: Shop) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = shop.http.post("/api/v1/search", data=b"nonsense", content_type=content_type)
        assert (answer.status_code, answer.json["code"]) == (400, "malformed")


def test_only_a_picture_makes_a_large_body_welcome(shop: Shop) -> None:
    for body in ({"text_query": "x" * 300_000}, {"image_base64": "A" * (16 * 2**20)}):
        answer = shop.http.post("/api/v1/search", json=body)
        assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")
    answer = upload(shop, bytes(16 * 2**20))
    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


def test_a_picture_of_nearly_ten_mebibytes_goes_through_also_where_json_is_escaped(
    coloured: Shop,
) -> None:
    data = RED + b"\xff" * (10 * 2**20 - len(RED))
    text = json.dumps({"image_base64": encoded(data)}).replace("/", "\\/", 100_000)
    assert (
        ids(coloured.http.post("/api/v1/search", data=text, content_type="application/json"))[0]
        == "red"
    )
    assert ids(upload(coloured, data))[0] == "red"


def test_searches_by_picture_beyond_their_places_are_sent_away_and_words_go_on(
    make_shop: MakeShop, pictures: PictureServer
) -> None:
    shop = make_shop(image_allowed_networks=(ip_network("127.0.0.0/8"),), api_picture_queries=2)
    url = pictures.add("/red.jpg", RED)
    gate = pictures.delays["/red.jpg"] = threading.Event()
    held: list[int] = []

    def search() -> None:
        with shop.http.application.test_client() as client:
            answer = client.post(
                "/api/v1/search",
                json={"image_url": url},
                headers={"Authorization": shop.http.environ_base["HTTP_AUTHORIZATION"]},
            )
            held.append(answer.status_code)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    _until(lambda: len(pictures.requests) == 2)
    large = RED + bytes(300_000)
    for answer in (
        shop.http.post("/api/v1/search", json={"image_url": url}),
        shop.http.post("/api/v1/search", json={"image_base64": encoded(RED)}),
        shop.http.post("/api/v1/search", json={"image_base64": encoded(large)}),
        upload(shop, RED),
        upload(shop, large),
    ):
        assert (answer.status_code, answer.json["code"]) == (503, "encoder_busy")
        assert answer.headers["Retry-After"] == "1"
    assert shop.http.post("/api/v1/search", json={"text_query": "a"}).status_code == 200
    gate.set()
    for thread in threads:
        thread.join(60)
    assert held == [200, 200]
    assert shop.http.post("/api/v1/search", json={"image_base64": encoded(RED)}).status_code == 200


def _until(holds: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(500):
        if holds():
            return
        waited.wait(0.01)
    raise AssertionError("it did not come to hold within five seconds")
