"""Errors of the service and of the way there: a sentence, the next step and an exit code."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from stack.ports import free_port
from tests.integration.client.conftest import Reply, Service, problem
from vitrine.api import Api
from vitrine.faults import ExitCode, Fault


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (
            problem(401, "unauthorized", "this key is unknown"),
            ExitCode.NO_PERMISSION,
            "VITRINE_KEY",
        ),
        (problem(403, "forbidden", "no browsers"), ExitCode.NO_PERMISSION, "refuses the key"),
        (problem(422, "validation_failed", "top_k: too large"), ExitCode.DATA, "top_k: too large"),
        (problem(404, "not_found", "no such job"), ExitCode.DATA, "no such job"),
        (problem(500, "internal_error", "sorry"), ExitCode.UNAVAILABLE, "can't answer now: sorry"),
        (Reply(200, b"<html>"), ExitCode.UNAVAILABLE, "not as Vitrine does"),
        (Reply(502, b"<html>"), ExitCode.UNAVAILABLE, "HTTP 502"),
        (Reply(404, {"error": "?"}), ExitCode.UNAVAILABLE, "VITRINE_URL is the address"),
        (Reply(200, [1]), ExitCode.UNAVAILABLE, "not as Vitrine does"),
        (Reply(301, b"", {"Location": "https://b/"}), ExitCode.UNAVAILABLE, "on to https://b/"),
    ],
)
def test_each_error_is_a_sentence_and_an_exit_code(
    service: Service, reply: Reply, code: ExitCode, said: str
) -> None:
    service.answer = lambda _: reply
    ran = service.run("search", "shirt")
    assert (ran.exit_code, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert ran.stderr.startswith("vitrine: ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_service_is_asked_again_when_it_says(service: Service, status: int) -> None:
    replies = [problem(status, "busy", "too many", Retry_After="0"), Reply(200, {"fine": True})]
    service.answer = lambda _: replies.pop(0)
    with Api(service.url) as api:
        assert api.search({"text_query": "shirt"}) == {"fine": True}
    assert [request.body for request in service.requests] == [{"text_query": "shirt"}] * 2


def test_a_service_that_stays_overloaded_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitrine.api._RETRIES", 2)
    service.answer = lambda _: problem(503, "busy", "the encoder is busy", Retry_After="0")
    with Api(service.url) as api, pytest.raises(Fault, match="the encoder is busy") as caught:
        api.search({"text_query": "shirt"})
    assert caught.value.code == ExitCode.UNAVAILABLE
    assert len(service.requests) == 3


def test_the_key_is_sent_and_no_other(
    service: Service, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for key, sent in (("abc", "Bearer abc"), (" abc\n", "Bearer abc"), (None, None)):
        with Api(service.url, key) as api:
            api._session.trust_env = True
            api.call("GET", "/jobs")
        assert service.requests[-1].headers.get("Authorization") == sent


@pytest.mark.parametrize("suffix", ["", "/", "/api/v1", "/api/v1/"])
def test_the_address_may_end_as_in_the_tour(service: Service, suffix: str) -> None:
    with Api(service.url + suffix) as api:
        api.call("GET", "/jobs")
    assert service.requests[0].path == "/api/v1/jobs"


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "http://x:99999", "/"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Fault, match="no address of a service") as caught:
        Api(url)
    assert caught.value.code == ExitCode.USAGE


@pytest.mark.parametrize("key", ["é", "a\nb", "\x00"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(Fault, match="is no key") as caught:
        Api(key=key)
    assert caught.value.code == ExitCode.USAGE


def test_without_a_service_the_next_step_is_named(service: Service) -> None:
    ran = service.run("--url", f"http://127.0.0.1:{free_port()}", "search", "shirt")
    assert ran.exit_code == ExitCode.UNAVAILABLE
    assert "make run" in ran.stderr
    assert "VITRINE_URL" in ran.stderr


@contextmanager
def accepting(context: ssl.SSLContext | None) -> Iterator[int]:
    """A server that takes connections and says nothing beyond TLS; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    held.append(context.wrap_socket(connection, True) if context else connection)
                except (ssl.SSLError, ConnectionError):
                    continue
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)
        for connection in held:
            connection.close()


def test_a_strange_certificate_is_named() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with (
        accepting(context) as port,
        Api(f"https://127.0.0.1:{port}") as api,
        pytest.raises(Fault, match="can't be trusted") as caught,
    ):
        api.call("GET", "/jobs")
    assert caught.value.code == ExitCode.UNAVAILABLE


def test_a_service_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vitrine.api._ANSWER_SECONDS", 0.2)
    with (
        accepting(None) as port,
        Api(f"http://127.0.0.1:{port}") as api,
        pytest.raises(Fault, match="takes too long") as caught,
    ):
        api.call("GET", "/jobs")
    assert caught.value.code == ExitCode.UNAVAILABLE
