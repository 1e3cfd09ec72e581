"""Forms: in memory, bounded, each field once."""

import pytest
from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.test import EnvironBuilder

from api.requests.forms import MULTIPART, Form, parse_form
from api.requests.parameters import lists, read_texts
from api.responses.problems import Problem
from shared.models.search.requests import SearchRequest


def _part(name: str, value: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def _parsed(*parts: bytes, end: bytes = b"--b--\r\n", boundary: str = "; boundary=b") -> Form:
    environ = EnvironBuilder(method="POST").get_environ()
    environ["CONTENT_TYPE"] = f"{MULTIPART}{boundary}"
    return parse_form(Request(environ), b"".join(parts) + end)


def test_texts_and_files_come_apart() -> None:
    picture = bytes(range(256)) * 10_000
    form = _parsed(_part("top_k", b"5"), _part("image", picture, "a.jpg"))
    assert form == Form(MultiDict({"top_k": "5"}), {"image": picture})


def test_a_form_of_nothing_is_one() -> None:
    assert _parsed() == Form(MultiDict(), {})


@pytest.mark.parametrize(
    ("parts", "end", "boundary"),
    [
        ((), b"", "; boundary=b"),
        ((b"nonsense",), b"", "; boundary=b"),
        ((_part("a", b"b"),), b"", "; boundary=b"),
        ((_part("a", b"b"),), b"--b--\r\n", ""),
        ((_part("a", b"b"),), b"--b--\r\n", "; boundary=é"),
        ((_part("a", b"b").replace(b"name=", b"game="),), b"--b--\r\n", "; boundary=b"),
        ((b"--b\r\nX: y\r\n\r\nz\r\n",), b"--b--\r\n", "; boundary=b"),
        ((b"--b\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\r\n",), b"", "; boundary=b"),
    ],
)
def test_what_is_no_form_is_called_malformed(
    parts: tuple[bytes, ...], end: bytes, boundary: str
) -> None:
    with pytest.raises(Problem) as caught:
        _parsed(*parts, end=end, boundary=boundary)
    assert (caught.value.status, caught.value.code) == (400, "malformed")


@pytest.mark.parametrize(
    "parts", [[_part("a", b"x" * 300_000)], [_part(f"a{number}", b"") for number in range(300)]]
)
def test_texts_and_parts_are_bounded(parts: list[bytes]) -> None:
    with pytest.raises(RequestEntityTooLarge):
        _parsed(*parts)


def test_a_field_comes_once_as_text_or_file() -> None:
    for second in (_part("image", b"x"), _part("image", b"x", "x.jpg")):
        with pytest.raises(Problem) as caught:
            _parsed(_part("image", b"x", "a.jpg"), second)
        assert caught.value.extensions == {
            "errors": [{"field": "image", "code": "repeated", "message": "must be given once"}]
        }


def _of_charset(charset: str, value: bytes) -> bytes:
    return _part("text_query", value).replace(
        b"\r\n\r\n", f"\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode(), 1
    )


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (_part("text_query", "\ufeffété".encode()), "été"),
        (_part("text_query", "\ufffd".encode()), "\ufffd"),
        (_of_charset("utf-8", "été".encode()), "été"),
        (_of_charset("iso-8859-1", "été".encode("latin-1")), "été"),
    ],
    ids=["byte order mark", "replacement character", "utf-8", "latin-1, and it says so"],
)
def test_texts_are_read_as_they_were_written(part: bytes, text: str) -> None:
    assert _parsed(_part("a", b""), part, _part("z", b"1")).texts["text_query"] == text


@pytest.mark.parametrize(
    "part",
    [
        _part("text_query", "été".encode("latin-1")),
        _part("text_query", b"\xc0\xaf"),
        _part("text_query", b"\xed\xa0\x80"),
        _part("text_query", "red".encode("utf-16")),
        _of_charset("us-ascii", "été".encode()),
        _of_charset("windows-1252", b"\x80"),
    ],
    ids=["latin-1", "overlong", "surrogate", "utf-16", "not ascii", "another charset"],
)
def test_texts_that_are_no_utf8_are_refused(part: bytes) -> None:
    with pytest.raises(Problem) as caught:
        _parsed(_part("a", b"1"), part)
    assert (caught.value.status, caught.value.code) == (400, "malformed")
    assert "text_query" in caught.value.detail


def test_a_file_that_nobody_chose_is_none() -> None:
    assert _parsed(_part("image", b"", "")).files == {}
    assert _parsed(_part("image", b"", "empty.jpg")).files == {"image": b""}
    assert _parsed(_part("image", b"x", "")).files == {"image": b"x"}


def test_a_name_that_takes_a_list_may_come_several_times() -> None:
    parts = [_part("brand_filter", b"Acme"), _part("brand_filter", b"Legere")]
    environ = EnvironBuilder(method="POST").get_environ()
    environ["CONTENT_TYPE"] = f"{MULTIPART}; boundary=b"
    body = b"".join(parts) + b"--b--\r\n"
    form = parse_form(Request(environ), body, lists(SearchRequest))
    assert form.texts.getlist("brand_filter") == ["Acme", "Legere"]
    assert read_texts(SearchRequest, form.texts)["brand_filter"] == ["Acme", "Legere"]
    with pytest.raises(Problem):
        parse_form(Request(environ), body)
