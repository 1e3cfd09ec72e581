"""Connections to Qdrant, as everything in this package makes them."""

import math

import httpx
from qdrant_client import QdrantClient

from shared.loopback import is_loopback


def connect(
    url: str, *, api_key: str | None, timeout: float, max_connections: int = 64
) -> QdrantClient:
    """A pooled client; opens no connection yet. `timeout`: seconds for each answer, rounded up,
    because the client knows whole seconds only.
    """
    return QdrantClient(
        url=url,
        timeout=math.ceil(timeout),
        headers=_headers(api_key),
        # Its check is a thread that asks for a version and warns; the versions are pinned.
        check_compatibility=False,
        # For loopback the client would open a connection per request. Ours are kept for less
        # than the 5 s after which Qdrant drops idle ones, so none is used as it closes. The
        # bound exceeds any process's threads: nobody waits for a connection.
        limits=httpx.Limits(
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=4.0,
        ),
        # A proxy from the environment must not come between processes of one machine.
        trust_env=not is_loopback(httpx.URL(url).host),
    )


def _headers(api_key: str | None) -> dict[str, str]:
    """Of every request."""
    # A real server sends a compressed answer in chunks. The last small one then waits 40 ms for an
    # acknowledgement: a search took 49 ms and takes 8 without.
    headers = {"Accept-Encoding": "identity"}
    # As a header: the client would warn about a key on plain HTTP, which is what a private network
    # between two containers uses.
    return {**headers, "api-key": api_key} if api_key else headers
