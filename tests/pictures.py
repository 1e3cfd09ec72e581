"""Pictures for tests, and a real server that hands them out."""

import contextlib
import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from PIL import Image

_HALF_BRIGHT = 3 * 128


def picture(colour: tuple[int, int, int] = (200, 30, 30), size: int = 96) -> bytes:
    """A JPEG of one colour with a mark in its middle, without which it would count as blank."""
    plain = Image.new("RGB", (size, size), colour)
    mark = "black" if sum(colour) > _HALF_BRIGHT else "white"
    plain.paste(mark, (size * 3 // 8, size * 3 // 8, size * 5 // 8, size * 5 // 8))
    return _jpeg(plain)


def blank_picture(colour: tuple[int, int, int] = (240, 240, 240), size: int = 96) -> bytes:
    """A JPEG of one colour, as shops serve where they have no picture yet."""
    return _jpeg(Image.new("RGB", (size, size), colour))


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


class PictureServer:
    """Serves `files` by path on loopback; a path without a file answers 404."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.statuses: dict[str, int] = {}
        self.delays: dict[str, threading.Event] = {}
        """Paths that answer only once their event is set."""
        self.serves_etags = False
        self.requests: list[str] = []
        self.sent: list[str] = []
        """Paths whose bytes were sent: not those answered with 304."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, path: str, data: bytes) -> str:
        """Serves the bytes; returns the full URL."""
        self.files[path] = data
        return self.url + path

    def __enter__(self) -> "PictureServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        for event in self.delays.values():
            event.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                served.requests.append(self.path)
                if event := served.delays.get(self.path):
                    event.wait(60)
                body = served.files.get(self.path, b"")
                status = served.statuses.get(self.path, 200 if self.path in served.files else 404)
                etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                if served.serves_etags and self.headers.get("If-None-Match") == etag:
                    status, body = 304, b""
                if status == 200:
                    served.sent.append(self.path)
                with contextlib.suppress(ConnectionError):  # who asked has given up
                    self.send_response(status)
                    self.send_header("Content-Type", "image/jpeg")
                    self.send_header("Content-Length", str(len(body)))
                    if served.serves_etags and body:
                        self.send_header("ETag", etag)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Tests read `requests` instead."""

        return Handler
