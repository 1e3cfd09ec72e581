"""Keeps each tenant's noise floor: measured in the background, shared by all API processes."""

import base64
import hashlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import VitrineError
from shared.qdrant.reading import SampledProduct
from shared.search.cache.redis import CacheConnection
from shared.search.noise.floor import NoiseFloor, Scale

log = structlog.get_logger(__name__)

LEAST_PRODUCTS: Final = 100
"""Fewer products are too few to tell chance from likeness."""

_SAMPLE: Final = 512
"""Products looked at, of which variants of one product and products of one picture count once."""

_UNRELATED: Final = 128
"""Products measured: 16,000 pairs, which fix the floor to about 0.01, for 128 texts embedded."""

_LEAST_UNRELATED: Final = 32

_GROWTH: Final = 1.2
"""Measured anew once the tenant has this many times as many products, or as few."""

_TTL_SECONDS: Final = 86_400
"""Of a measurement: pictures may change without their number doing so."""

_LOOK_SECONDS: Final = 30.0
"""Between looks at what another process has measured."""

_RETRY_SECONDS: Final = 60.0
"""After a measurement that failed, or a catalogue that is too much alike."""

_TEXTS_AT_ONCE: Final = 8
"""A query that comes meanwhile waits for one batch: some 30 ms."""

_TEXT_TIMEOUT_SECONDS: Final = 10.0


class NameEncoder(Protocol):
    """The part of the embedding service that embeds names."""

    def embed_texts(self, texts: Sequence[str], timeout: float, /) -> NDArray[np.float32]:
        """The texts' vectors, float32 of shape (n, dimensions), L2-normalised."""
        ...


class ProductSampler(Protocol):
    """The part of `QdrantService` that draws products."""

    collection: str

    def sample(self, tenant: str, count: int) -> Sequence[SampledProduct]:
        """Up to `count` live products, drawn evenly."""
        ...


class NoiseFloors:
    """The noise floor of every tenant in one model's collection, for all threads of a process.

    Nobody waits for a measurement: until there is one, there is no floor.
    """

    def __init__(
        self, encoder: NameEncoder, index: ProductSampler, connection: CacheConnection
    ) -> None:
        self._encoder = encoder
        self._index = index
        self._connection = connection
        self._held: dict[str, tuple[NoiseFloor | None, float]] = {}
        self._next_try: dict[str, float] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="noise-floor")

    def of(self, tenant: str, products: int) -> NoiseFloor | None:
        """The floor of a tenant who has so many live products; None if there is none (yet)."""
        if products < LEAST_PRODUCTS:
            return None
        floor = self._known(tenant)
        if floor is None or not _still_true(floor, products):
            self._measure_soon(tenant, products)
        return floor

    def close(self) -> None:
        """Ends the thread; a measurement that runs is waited for."""
        self._threads.shutdown(cancel_futures=True)

    def _known(self, tenant: str) -> NoiseFloor | None:
        with self._lock:
            floor, look_at = self._held.get(tenant, (None, 0.0))
            now = time.monotonic()
            if now < look_at:
                return floor
            self._held[tenant] = floor, now + _LOOK_SECONDS
        value = self._connection.get(self._key(tenant))
        stored = None if value is None else _parsed(value)
        if stored is not None:
            self._hold(tenant, stored)
            return stored
        return floor

    def _measure_soon(self, tenant: str, products: int) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._next_try.get(tenant, 0.0):
                return
            self._next_try[tenant] = now + _RETRY_SECONDS
        self._threads.submit(self._measure, tenant, products)

    def _measure(self, tenant: str, products: int) -> None:
        try:
            floor = self._measured(tenant, products)
        except VitrineError as err:
            log.warning("noise_floor_not_measured", tenant=tenant, reason=str(err))
        except Exception:
            # The thread's future is looked at by nobody.
            log.exception("noise_floor_not_measured", tenant=tenant)
        else:
            if floor is not None:
                stored = _Stored.of(floor).model_dump_json().encode()
                self._connection.put(self._key(tenant), stored, _TTL_SECONDS)
                self._hold(tenant, floor)

    def _measured(self, tenant: str, products: int) -> NoiseFloor | None:
        unrelated = _unrelated(self._index.sample(tenant, _SAMPLE))
        if len(unrelated) < _LEAST_UNRELATED:
            log.info("noise_floor_not_measured", tenant=tenant, reason="too few unlike products")
            return None
        names = [product.name for product in unrelated]
        batches = [
            self._encoder.embed_texts(names[at : at + _TEXTS_AT_ONCE], _TEXT_TIMEOUT_SECONDS)
            for at in range(0, len(names), _TEXTS_AT_ONCE)
        ]
        pictures = np.stack([product.embedding for product in unrelated])
        floor = NoiseFloor.measured(
            np.concatenate(batches), pictures, products, str(time.time_ns() // 1000)
        )
        log.info(
            "noise_floor_measured",
            tenant=tenant,
            text=floor.text,
            picture=floor.picture,
            trust=floor.trust,
        )
        return floor

    def _hold(self, tenant: str, floor: NoiseFloor) -> None:
        with self._lock:
            self._held[tenant] = floor, time.monotonic() + _LOOK_SECONDS

    def _key(self, tenant: str) -> str:
        name = hashlib.sha256(f"{self._index.collection} {tenant}".encode()).hexdigest()
        return f"noise-floor:{name}"


def _still_true(floor: NoiseFloor, products: int) -> bool:
    age = time.time() - int(floor.version) / 1e6
    return age < _TTL_SECONDS and 1 / _GROWTH <= products / floor.products <= _GROWTH


def _unrelated(sampled: Sequence[SampledProduct]) -> Sequence[SampledProduct]:
    """Products of different groups, names and pictures."""
    chosen: list[SampledProduct] = []
    seen: set[tuple[str, str]] = set()
    for product in sampled:
        marks = {
            ("group", product.group_id),
            ("name", product.name),
            ("image", product.image_sha256),
        }
        if seen.isdisjoint(marks):
            chosen.append(product)
            seen |= marks
    return chosen[:_UNRELATED]


class _Stored(BaseModel):
    """A floor in the cache. What another version wrote may not fit: it is measured anew."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mean: Annotated[str, Field(max_length=100_000)]
    text: Scale
    picture: Scale
    trust: Annotated[float, Field(ge=0, le=1)]
    products: Annotated[int, Field(ge=1)]
    version: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
    """Microseconds since 1970."""

    @classmethod
    def of(cls, floor: NoiseFloor) -> "_Stored":
        return cls(
            mean=base64.b64encode(floor.mean.astype("<f4").tobytes()).decode(),
            text=floor.text,
            picture=floor.picture,
            trust=floor.trust,
            products=floor.products,
            version=floor.version,
        )

    def floor(self) -> NoiseFloor:
        mean = np.frombuffer(base64.b64decode(self.mean, validate=True), "<f4")
        if not np.isfinite(mean).all():
            raise ValueError("the mean has a number that isn't finite")
        return NoiseFloor(mean, self.text, self.picture, self.trust, self.products, self.version)


def _parsed(value: bytes) -> NoiseFloor | None:
    try:
        return _Stored.model_validate_json(value).floor()
    except ValueError:  # also pydantic's
        return None
