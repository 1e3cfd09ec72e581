"""A shop's picture server: serves pictures from memory over HTTP on a free port of loopback."""

import hashlib
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Final, NamedTuple
from urllib.parse import urlsplit

_IDLE_SECONDS: Final = 30.0
"""An idle connection is closed after these seconds, so that its thread doesn't stay for ever."""


class Picture(NamedTuple):
    """A file as served."""

    content: bytes
    etag: str


class PictureServer:
    """Use it as a context manager; `publish` may be called while it serves."""

    def __init__(self) -> None:
        self._pictures: dict[str, Picture] = {}

        class Handler(_PictureHandler):
            pictures = self._pictures

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        """Pictures are found at this URL + "/" + name."""
        return f"http://127.0.0.1:{self._server.server_port}/pictures"

    def publish(self, name: str, content: bytes) -> None:
        """Serves a PNG picture under `name`."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._pictures[f"/pictures/{name}"] = Picture(content, etag)

    def __enter__(self) -> "PictureServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A worker opens many connections at once; the default queue of five would refuse some.
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of connections that the other side has closed."""


class _PictureHandler(BaseHTTPRequestHandler):
    # Keeps connections open between requests.
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    # Small writes of head and body would otherwise wait for each other's acknowledgement.
    disable_nagle_algorithm = True

    pictures: ClassVar[dict[str, Picture]] = {}

    def do_GET(self) -> None:
        """The picture; 304 if the client has it; 404."""
        picture = self.pictures.get(urlsplit(self.path).path)
        if picture is None:
            self._answer(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"no such picture\n")
        elif self.headers.get("If-None-Match") == picture.etag:
            self._answer(HTTPStatus.NOT_MODIFIED, {"ETag": picture.etag}, None)
        else:
            fields = {"Content-Type": "image/png", "ETag": picture.etag}
            self._answer(HTTPStatus.OK, fields, picture.content)

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def _answer(self, status: HTTPStatus, fields: dict[str, str], content: bytes | None) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if content is not None:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if content is not None and self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """No line per picture: the progress bar is being drawn."""
