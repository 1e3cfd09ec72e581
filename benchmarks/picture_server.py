"""A shop's picture server in a process of its own, so that it takes no turn from anyone's threads.

`python -m benchmarks.picture_server FOLDER` serves the folder's files from memory, prints its port,
and ends with its standard input. `GET /<file>?<anything>` answers with the file and the query
behind its end, where no decoder looks: so each URL has bytes and an ETag of its own. 304 if the
client has them.

It knows as much of HTTP as the fetcher asks for: what it takes of the processor is taken from the
service that is measured.
"""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.closing import Closing
from stack.run import ROOT

_END_OF_HEAD: Final = b"\r\n\r\n"


def etag(name: str, query: str) -> str:
    """The server's facts of the picture at `/name?query`."""
    return f'"{name}-{query}"'


def content_sha256(content: bytes, query: str) -> str:
    """Of the file as it is served there."""
    return hashlib.sha256(content + query.encode()).hexdigest()


class PictureServer(Closing):
    """The process. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "benchmarks.picture_server", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout  # noqa: S101 - it is a pipe
        self.base_url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.communicate()


class _Connection(asyncio.Protocol):
    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP gives no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while _END_OF_HEAD in self._received:
            head, _, self._received = self._received.partition(_END_OF_HEAD)
            self._answer(head.decode("latin-1"))

    def _answer(self, head: str) -> None:
        request, *lines = head.split("\r\n")
        target = urlsplit(request.split(" ")[1])
        name = target.path.removeprefix("/")
        content = self._files.get(name)
        if content is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        tag = etag(name, target.query)
        held = next(
            (line[14:].strip() for line in lines if line.lower().startswith("if-none-match:")), None
        )
        if held == tag:
            self._transport.write(f"HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n".encode())
            return
        query = target.query.encode()
        self._transport.writelines(
            [
                f"HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Type: image/jpeg\r\n"
                f"Content-Length: {len(content) + len(query)}\r\n\r\n".encode(),
                content,
                query,
            ]
        )


async def _serve(folder: Path) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(files), "127.0.0.1", 0, backlog=128)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Whoever started us holds the other end: with that one's end, this returns.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
