"""The whole embedded stack with a model of real size, for a benchmark to call as a shop would."""

import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import requests

from benchmarks.closing import Closing
from demo.settings import demo_settings
from shared.embedding.identity import DEMO_MODEL, RANDOM_WEIGHTS
from shared.settings import Settings
from stack.ports import free_port
from stack.run import Stack

EVERYTHING: Final = ("redis", "redis-cache", "qdrant", "api", "worker", "worker-fast")

_LOGS: Final = "logs"
_LOG_SHOWN: Final = 1_500
"""Characters of each log that are shown after an error."""

_CHOSEN: Final = re.compile(r"""\bchosen(?:=|": )['"]([\w ]+)""")
"""In a line as JSON, or as it is before the process has set up its logs."""

READY_SECONDS: Final = 600.0
"""The first start converts the model, which takes a minute on busy cores."""

_ANSWER_SECONDS: Final = 60.0
"""A benchmark measures a slow answer rather than giving it up."""


class Client(Closing):
    """Requests to the API; anything but a success raises requests' HTTPError."""

    def __init__(self, api_url: str) -> None:
        self._prefix = f"{api_url}/api/v1"
        self._session = requests.Session()
        # A proxy of the user's environment can't reach our loopback.
        self._session.trust_env = False
        # Whatever stands before the API: a compressed answer's chunks would wait for each other.
        self._session.headers["Accept-Encoding"] = "identity"

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """The JSON answer."""
        response = self._session.request(
            method, self._prefix + path, json=body, timeout=_ANSWER_SECONDS
        )
        response.raise_for_status()
        answer: Mapping[str, Any] = response.json()
        return answer

    def close(self) -> None:
        """Closes its connections."""
        self._session.close()


@contextlib.contextmanager
def running_service(model: str) -> Iterator[Client]:
    """A client of a stack that is ready; see `running_stack`."""
    with running_stack(model) as stack:
        wait_until_ready(stack)
        with Client(stack.api_url) as client:
            yield client


@contextlib.contextmanager
def running_stack(
    model: str,
    only: Collection[str] = EVERYTHING,
    prepare: Callable[[Settings], Settings] = lambda settings: settings,
) -> Iterator[Stack]:
    """A stack that is starting, with random weights: they cost what trained ones do.

    All settings but the model's are the defaults. Everything is on loopback and in a temporary
    directory, and gone afterwards. `only` names the processes, if not all are wanted.
    `prepare` may put something into the data directory and change the settings beforehand.
    """
    scratch = Path(tempfile.mkdtemp(prefix="vitrine-benchmark-"))
    settings = demo_settings(scratch / "data", free_port(), ip_network("127.0.0.0/8"))
    settings = settings.model_copy(
        update={
            "clip_model": model,
            "clip_pretrained": RANDOM_WEIGHTS,
            # Converting the demo's model takes longer than it saves.
            "clip_backend": "torch" if model == DEMO_MODEL else "auto",
        }
    )
    try:
        settings = prepare(settings)
        with Stack(settings, log_dir=scratch / _LOGS, scratch=scratch, only=only) as stack:
            yield stack
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def wait_until_ready(stack: Stack) -> None:
    """Returns once the stack is ready. Raises `StackError`."""
    with showing_logs(stack):
        stack.wait_until_ready(READY_SECONDS)


@contextlib.contextmanager
def showing_logs(stack: Stack) -> Iterator[None]:
    """If an error passes, prints the ends of the stack's logs: they are gone with the stack."""
    try:
        yield
    except Exception:
        for log in sorted((stack.data_dir.parent / _LOGS).glob("*.log")):
            print(f"{log.name}: …{log.read_text()[-_LOG_SHOWN:]}", file=sys.stderr)
        raise


def encoders_of(stack: Stack) -> Mapping[str, str]:
    """What runs the model in the processes that have one, in the words of their logs."""
    chosen: dict[str, str] = {}
    for process in ("worker", "api"):
        log = (stack.data_dir.parent / _LOGS / f"{process}.log").read_text()
        for line in log.splitlines():
            if "encoder_chosen" in line and (found := _CHOSEN.search(line)):
                chosen[process] = found[1]
    return chosen
