"""The API of a running service, with its errors as sentences."""

from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError
from urllib3.util.retry import Retry

from vitrine.faults import ExitCode, Fault

DEFAULT_URL: Final = "http://127.0.0.1:8000"
PREFIX: Final = "/api/v1"

LONGEST_WAIT_SECONDS: Final = 30
"""The longest `wait` that the API takes for a job."""

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 60.0
"""Twice the longest wait for a job, which is the slowest answer of all."""

_RETRIES: Final = 5
_LONGEST_RETRY_AFTER_SECONDS: Final = 30

_REFUSES_THE_KEY: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_OVERLOADED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class Api:
    """Requests to one service, from any number of threads. Each method raises `Fault`.

    A 429 or 503 is tried again after its `Retry-After`, five times at most, and so is a request
    whose connection broke, once. A write therefore needs an `Idempotency-Key`.
    """

    def __init__(
        self, url: str = DEFAULT_URL, key: str | None = None, connections: int = 8
    ) -> None:
        """`url`: of the service, with or without `/api/v1`. `connections`: most at one time."""
        self.url = _service_url(url)
        self._session = requests.Session()
        # A proxy of the user's environment can't reach our loopback.
        self._session.trust_env = not _is_loopback(self.url)
        self._session.auth = _Bearer(key)
        retries = Retry(
            total=_RETRIES,
            connect=1,
            read=1,
            other=0,
            status_forcelist=_OVERLOADED,
            allowed_methods=None,
            backoff_factor=0.5,
            backoff_max=10,
            retry_after_max=_LONGEST_RETRY_AFTER_SECONDS,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections, max_retries=retries))

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON answer to a request of `path` below `/api/v1`."""
        try:
            answer = self._session.request(
                method,
                self.url + PREFIX + path,
                json=body,
                params=parameters,
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
                allow_redirects=False,  # a POST would become a GET
            )
        except requests.Timeout as err:
            raise Fault(
                ExitCode.UNAVAILABLE, f"{self.url} takes too long; try again later"
            ) from err
        except requests.exceptions.SSLError as err:
            raise Fault(
                ExitCode.UNAVAILABLE, f"the certificate of {self.url} can't be trusted: {err}"
            ) from err
        except requests.exceptions.InvalidJSONError as err:
            raise Fault(ExitCode.DATA, f"this can't be sent as JSON: {err}") from err
        except requests.RequestException as err:
            if _is_timeout(err):
                raise Fault(
                    ExitCode.UNAVAILABLE, f"{self.url} takes too long; try again later"
                ) from err
            raise Fault(
                ExitCode.UNAVAILABLE,
                f"no service answers at {self.url}; start one with `make run`, or name yours in "
                "VITRINE_URL",
            ) from err
        return self._read(answer)

    def search(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a search with this document."""
        return self.call("POST", "/search", request)

    def job(self, job_id: str, wait_seconds: int = 0) -> dict[str, Any]:
        """The job, as soon as it has ended or `wait_seconds` (30 at most) are over."""
        return self.call("GET", f"/jobs/{job_id}", parameters={"wait": str(wait_seconds)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def _read(self, answer: requests.Response) -> dict[str, Any]:
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status_code < HTTPStatus.BAD_REQUEST:
            there = answer.headers.get("Location", "another address")
            raise Fault(
                ExitCode.UNAVAILABLE,
                f"{self.url} sends on to {there}; name the service's own address in VITRINE_URL",
            )
        try:
            said = answer.json()
        except requests.JSONDecodeError:
            said = None
        if answer.ok and isinstance(said, dict):
            return said
        if not isinstance(said, dict) or "code" not in said:
            raise Fault(
                ExitCode.UNAVAILABLE,
                f"{self.url} answered HTTP {answer.status_code}, not as Vitrine does; see that "
                "VITRINE_URL is the address of the service",
            )
        raise self._fault(answer.status_code, str(said.get("detail") or said["code"]))

    def _fault(self, status: int, detail: str) -> Fault:
        detail = detail.rstrip(".")
        if status in _REFUSES_THE_KEY:
            return Fault(
                ExitCode.NO_PERMISSION,
                f"{self.url} refuses the key: {detail}; set VITRINE_KEY to one of its keys",
            )
        if status in _OVERLOADED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Fault(ExitCode.UNAVAILABLE, f"{self.url} can't answer now: {detail}")
        return Fault(ExitCode.DATA, f"{self.url} refuses this: {detail}")


class _Bearer(requests.auth.AuthBase):
    """Sends the key, if there is one. Without this, requests would send what `.netrc` says."""

    def __init__(self, key: str | None) -> None:
        self._key = (key or "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise Fault(ExitCode.USAGE, "VITRINE_KEY is no key: it has other signs than ASCII's")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _service_url(url: str) -> str:
    """The address without a slash or `/api/v1` at its end. Raises `Fault`."""
    trimmed = url.strip().rstrip("/").removesuffix(PREFIX).rstrip("/")
    try:
        parts = urlsplit(trimmed)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Fault(
            ExitCode.USAGE, f"{url!r} is no address of a service; it looks like {DEFAULT_URL}"
        )
    return trimmed


def _is_timeout(err: requests.RequestException) -> bool:
    """Whether no answer came in time. After a retry, requests has another name for that."""
    reason = getattr(err.args[0], "reason", err) if err.args else err
    return isinstance(reason, requests.ReadTimeout | ReadTimeoutError)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
