"""A small client of the API, as a shop's own program would hold one."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import requests

PREFIX: Final = "/api/v1"

# All on loopback: connecting takes no time, and the longest answer is a search that waits for the
# encoder while it is busy with pictures.
_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 20.0


class ApiFault(Exception):
    """The API did not answer as it should; the message says what it said."""


@dataclass(frozen=True)
class Accepted:
    """A batch that was taken."""

    job_id: str
    accepted: int
    rejected: Sequence[Mapping[str, Any]]
    wall_ms: float


@dataclass(frozen=True)
class Searched:
    """A search with its answer."""

    request: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]
    server_ms: float
    """As the API measured it."""
    wall_ms: float
    """As this client measured it, HTTP and JSON included."""
    cached: bool


class ShopClient:
    """Talks to the API at `base_url`. Every method raises `ApiFault`."""

    def __init__(self, base_url: str) -> None:
        self._prefix = base_url + PREFIX
        self._session = requests.Session()
        # A proxy of the user's environment can't reach our loopback.
        self._session.trust_env = False
        # Whatever stands before the API: a compressed answer's chunks would wait for each other.
        self._session.headers["Accept-Encoding"] = "identity"

    def index_products(self, products: Sequence[Mapping[str, Any]]) -> Accepted:
        """Pushes a catalogue."""
        answer, wall_ms = self._call("POST", "/index-products", json={"products": list(products)})
        return Accepted(answer["job_id"], answer["accepted"], answer["rejected"], wall_ms)

    def job(self, job_id: str, wait_seconds: float) -> Mapping[str, Any]:
        """The job as it stands, as soon as it has ended or `wait_seconds` are over."""
        return self._call("GET", f"/jobs/{job_id}", params={"wait": f"{wait_seconds:g}"})[0]

    def failed_items(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """The first of the job's items that failed."""
        answer, _ = self._call(
            "GET", f"/jobs/{job_id}/items", params={"status": "failed", "limit": "5"}
        )
        items: Sequence[Mapping[str, Any]] = answer["items"]
        return items

    def search(self, request: Mapping[str, Any]) -> Searched:
        """Searches with this body."""
        answer, wall_ms = self._call("POST", "/search", json=request)
        return Searched(
            request, answer["results"], answer["execution_time_ms"], wall_ms, answer["cached"]
        )

    def picture(self, url: str) -> bytes:
        """A result's picture, as the shop serves it."""
        try:
            response = self._session.get(url, timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS))
            response.raise_for_status()
        except requests.RequestException as err:
            raise ApiFault(str(err)) from err
        return response.content

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def _call(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Any], float]:
        """The answer's body and the milliseconds that it took."""
        began = time.perf_counter()
        try:
            response = self._session.request(
                method,
                self._prefix + path,
                json=json,
                params=params,
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
            )
            body = response.json()
        except requests.RequestException as err:
            raise ApiFault(f"{method} {PREFIX}{path}: {err}") from err
        wall_ms = 1000 * (time.perf_counter() - began)
        if not response.ok:
            said = body.get("detail") or body.get("code") or body
            raise ApiFault(f"{method} {PREFIX}{path} answered {response.status_code}: {said}")
        return body, wall_ms
