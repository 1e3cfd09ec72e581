"""No header's value makes an error of ours."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.integration.api.conftest import Shop, product

HEADERS = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Access-Control-Request-Headers",
    "Access-Control-Request-Method",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Forwarded",
    "Idempotency-Key",
    "If-Modified-Since",
    "If-None-Match",
    "Origin",
    "Range",
    "X-API-Key",
    "X-Forwarded-For",
    "X-HTTP-Method-Override",
    "X-Request-ID",
]

# As servers hand them over: each character is a byte.
values = st.text(alphabet=st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60)
lists = st.lists(
    st.sampled_from(
        [
            "text/*",
            "application/x-ndjson",
            ";q=",
            "0.5",
            "nan",
            "-1",
            ",",
            "=",
            '"',
            "\\",
            "*/*",
            "charset=",
            "utf-8",
            "utf-8''%E9",
            "boundary=",
            "gzip",
            "Bearer",
            "bytes=",
            "é",
        ]
    ),
    max_size=8,
).map("".join)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(HEADERS), values | lists)
@example("Accept", "application/x-ndjson;q=nan")
@example("Content-Type", "multipart/form-data; boundary=\xff")
@example("Content-Type", "multipart/form-data; boundary*=utf-8''%E9")
@example("Content-Type", "application/json; charset*=utf-8''%E9")
@example("Authorization", "Bearer \xff")
@example("X-API-Key", "\xff")
def test_whatever_a_header_says_the_answer_is_one(shop: Shop, name: str, value: str) -> None:
    for method, path, body in (
        ("POST", "/api/v1/index-product", json.dumps(product("a")).encode()),
        ("POST", "/api/v1/search", b'{"text_query": "red"}'),
        ("DELETE", "/api/v1/products/a", b""),
        ("GET", "/api/v1/jobs", b""),
        ("OPTIONS", "/api/v1/search", b""),
    ):
        headers: dict[str, Any] = {"Content-Type": "application/json", name: value}
        answer = shop.http.open(path, method=method, data=body, headers=headers)
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "head",
    [
        "name=\"image\"; filename*=utf-8''%E9.jpg",
        "name*=utf-8''%E9",
        'name="text_query"; filename="',
        'name="te\\"xt"',
        "name=" + "x" * 5000,
        "name=\ud83d",
        'name=""',
        "",
    ],
)
def test_whatever_a_forms_part_is_called_the_answer_is_one(shop: Shop, head: str) -> None:
    raw = head.encode("utf-8", "surrogatepass")
    body = b"--b\r\nContent-Disposition: form-data; " + raw + b"\r\n\r\nred\r\n--b--\r\n"
    answer = shop.http.post(
        "/api/v1/search", data=body, content_type="multipart/form-data; boundary=b"
    )
    assert answer.status_code < 500


@pytest.mark.parametrize(
    "attributes",
    [
        b'{"a": NaN}',
        rb'{"a": "\ud83d"}',
        b'{"a": "\xe9"}',
        b"[" * 5000,
        b'{"a": 1e400}',
        b"null",
        b"{",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a\\\\b": 1}',
        b'{"a": {"b": 1}}',
    ],
)
def test_json_in_a_forms_field_is_read_as_strictly_as_in_a_body(
    shop: Shop, attributes: bytes
) -> None:
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n"
        for name, value in ((b"text_query", b"red"), (b"attributes", attributes))
    )
    answer = shop.http.post(
        "/api/v1/search", data=body + b"--b--\r\n", content_type="multipart/form-data; boundary=b"
    )
    assert answer.status_code in (400, 422)
