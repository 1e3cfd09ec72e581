"""A stack with the demo model, and shops in it that each have a catalogue of their own."""

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import counters
from benchmarks.http_load import Connection
from benchmarks.service import running_stack, showing_logs, wait_until_ready
from shared.embedding.identity import DEMO_MODEL
from shared.settings import Settings
from vitrine.api import Api

_PER_CALL: Final = 5_000
TEXTS: Final = 'embeddings_total{kind="text"}'

_LOOK_SECONDS: Final = 1.0
_QUIET_LOOKS: Final = 4
_PATIENCE_SECONDS: Final = 120.0

Product = Mapping[str, Any]
"""A product as the API takes it."""


@dataclass(frozen=True)
class Shop:
    """One tenant of the stack."""

    api: Api
    _service: Connection

    def push(self, products: Sequence[Product]) -> None:
        """Indexes the products. Raises RuntimeError unless all of them get in."""
        jobs = [
            self.api.call("POST", "/index-products", {"products": products[at : at + _PER_CALL]})
            for at in range(0, len(products), _PER_CALL)
        ]
        for job in jobs:
            if job["rejected"]:
                raise RuntimeError(f"refused: {json.dumps(job['rejected'][:3])}")
            while True:
                found = self.api.job(job["job_id"], 30)
                if found["finished_at"]:
                    break
            if found["state"] != "succeeded":
                raise RuntimeError(f"a job did not succeed: {found}")

    def texts_embedded(self) -> float:
        """Texts that the stack has embedded so far."""
        return counters.read(self._service)[TEXTS]

    def wait_until_no_text_is_embedded(self) -> None:
        """Returns once no text has been embedded for some seconds. Raises RuntimeError."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        quiet, last = 0, self.texts_embedded()
        while quiet < _QUIET_LOOKS:
            if time.monotonic() > deadline:
                raise RuntimeError("texts are embedded although nobody searches")
            time.sleep(_LOOK_SECONDS)
            now = self.texts_embedded()
            quiet, last = (quiet + 1 if now == last else 0), now


@contextlib.contextmanager
def running_shops(names: Sequence[str]) -> Iterator[Mapping[str, Shop]]:
    """A stack that is ready, with a shop of each name, all empty."""
    keys = {name: secrets.token_urlsafe(32) for name in names}

    def with_keys(settings: Settings) -> Settings:
        file = settings.data_dir.with_name("api-keys")
        lines = (
            f"{name}:{hashlib.sha256(key.encode()).hexdigest()}\n" for name, key in keys.items()
        )
        file.write_text("".join(lines))
        # Trained weights: `running_stack` sets random ones, because times don't depend on them.
        trained = Settings.model_fields["clip_pretrained"].default
        return settings.model_copy(update={"api_keys_file": file, "clip_pretrained": trained})

    with contextlib.ExitStack() as held:
        stack = held.enter_context(running_stack(DEMO_MODEL, prepare=with_keys))
        wait_until_ready(stack)
        held.enter_context(showing_logs(stack))
        service = held.enter_context(contextlib.closing(Connection(stack.api_url)))
        yield {
            name: Shop(held.enter_context(Api(stack.api_url, key)), service)
            for name, key in keys.items()
        }
