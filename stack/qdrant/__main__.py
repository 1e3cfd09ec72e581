"""Start the server: `python -m stack.qdrant [--host 127.0.0.1] [--port N] [--data DIR]`.

What isn't given follows from the settings: host and port from QDRANT_URL, the directory from
DATA_DIR. With QDRANT_API_KEY it answers only requests that carry the key.
"""

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog
import uvicorn

from shared.logs import configure_logging
from shared.loopback import is_loopback
from shared.settings import get_settings
from stack.qdrant.app import build_app
from stack.qdrant.engine import Engine
from stack.qdrant.store import DirectoryInUse, Store
from stack.reserve import Reserve

log = structlog.get_logger("stack.qdrant")

_DIRECTORY_IN_USE: Final = 78
"""Exit code (EX_CONFIG of sysexits.h): starting again doesn't help."""


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted and flush."""
    arguments = _arguments()
    configure_logging(get_settings().log_level, "qdrant", get_settings().log_format)
    try:
        store = Store(arguments.data, arguments.flush_seconds, arguments.flush_bytes)
    except DirectoryInUse as error:
        log.error("directory_in_use", reason=f"{error}; stop it, or name another")  # noqa: TRY400
        sys.exit(_DIRECTORY_IN_USE)
    reserve = Reserve(arguments.data)
    reserve.give_up_if_needed()
    engine = Engine(
        store, arguments.queue, arguments.idle_seconds, has_room=reserve.has_room_to_flush
    )
    engine.submit(lambda held: held.open()).result()
    config = uvicorn.Config(
        build_app(engine, reserve, get_settings().qdrant_api_key),
        host=arguments.host,
        port=arguments.port,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        # Clients keep connections for seconds; the server must never be the first to close.
        timeout_keep_alive=75,
        # Connections that stay longer are cut off, so that a stop ends in time to flush.
        timeout_graceful_shutdown=5,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # uvicorn raises the signal once more after it has stopped; the flush must still be done.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    log.info("serving", data=str(arguments.data), host=arguments.host, port=arguments.port)
    try:
        uvicorn.Server(config).run()
    finally:
        engine.close()


def _arguments() -> argparse.Namespace:
    settings = get_settings()
    url = urlsplit(settings.qdrant_url)
    parser = argparse.ArgumentParser(prog="python -m stack.qdrant", description=__doc__)
    parser.add_argument("--host", type=_loopback, default=url.hostname)
    parser.add_argument("--port", type=int, default=url.port or 6333)
    parser.add_argument("--data", type=Path, default=settings.data_dir / "qdrant")
    # 128 searches at the stated limit of 50,000 products take less than a second.
    parser.add_argument("--queue", type=int, default=128, help="requests that may wait; else 503")
    parser.add_argument("--idle-seconds", type=float, default=2.0, help="pause that flushes")
    parser.add_argument("--flush-seconds", type=float, default=30.0, help="flush at the latest")
    parser.add_argument("--flush-bytes", type=int, default=128 * 2**20, help="… or so much written")
    return parser.parse_args()


def _loopback(value: str) -> str:
    if not is_loopback(value):
        raise argparse.ArgumentTypeError("must be a loopback address: there is no encryption")
    return value


if __name__ == "__main__":
    main()
