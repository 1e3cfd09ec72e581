"""Builds the API's parts from the settings, in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from api.access.auth import key_ring
from api.access.key_ring import KeyRing
from api.access.rates import SEARCH, WRITE, RateLimiter
from api.access.slots import Slots, slot_counts
from api.intake import Intake
from api.metrics import Metrics
from api.openapi.page import DocumentationResource
from api.resources.health import HealthResource
from api.resources.index_watch import IndexWatch
from api.resources.indexing import IndexingResource
from api.resources.jobs import JobsResource
from api.resources.products import ProductsResource
from api.resources.readiness import Check, Readiness
from api.resources.search import SearchResource
from api.responses.landing import Landing
from shared.doorbell import Doorbell, celery_app
from shared.embedding.identity import collection_name
from shared.errors import CollectionMismatch, QdrantUnavailable, VitrineError
from shared.fetch.bootstrap import build_fetcher
from shared.ledger import (
    GENERATION_TIMEOUT_SECONDS,
    ChangeLog,
    Generations,
    Jobs,
    Ledger,
    LedgerLoss,
    connect,
)
from shared.ledger.bootstrap import build_ledger
from shared.models.attributes import attribute_types
from shared.qdrant.bootstrap import build_analyser, build_qdrant
from shared.qdrant.service import QdrantService
from shared.search.bootstrap import build_search
from shared.search.cache.redis import CacheConnection
from shared.search.service import SearchService
from shared.settings import Settings
from shared.watchdog import Watchdog

_CHECK_SECONDS: Final = 2.0
"""A part that answers at all does so in milliseconds; probes commonly give up after some
seconds."""

# The encoder may have a queue of searches in front of the check, which is not being broken.
_EMBEDDING_CHECK_SECONDS: Final = 5.0
_EMBEDDING_KEEP_SECONDS: Final = 5.0


class Encoder(Protocol):
    """The part of the embedding service that readiness needs."""

    def check(self) -> None:
        """Embeds a text for real. Raises one of our errors if that fails."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The services behind the API. Tests put a small encoder among real ones."""

    settings: Settings
    ledger: Ledger
    loss: LedgerLoss
    jobs: Jobs
    doorbell: Doorbell
    qdrant: QdrantService
    search: SearchService
    embedding: Encoder


@dataclass
class TenantResources:
    """The resources that ask for a key."""

    indexing: IndexingResource
    products: ProductsResource
    jobs: JobsResource
    search: SearchResource


@dataclass
class OpenResources:
    """The resources that are open to all and tell nothing of a tenant."""

    health: HealthResource
    documentation: DocumentationResource


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the app. `keys`: None if it asks for none."""

    settings: Settings
    keys: KeyRing | None
    rates: RateLimiter
    of_tenants: TenantResources
    open: OpenResources


def build_services(settings: Settings, watchdog: Watchdog) -> Services:
    """The services, with the text tower loaded. Raises `ModelUnavailable`, and
    `CollectionMismatch` if the collection holds vectors of another length than the model's.

    `watchdog`: the process's own, not started yet.

    Redis and Qdrant may be down: the API starts and names the missing part in `/readyz`.
    """
    # Here and not above: torch costs a process 400 MB and seconds, and tests bring encoders of
    # their own.
    from shared.embedding.bootstrap import load_embedding_service  # noqa: PLC0415

    # The cheap part that can be wrong comes first: the model takes seconds.
    collection_name(settings)
    embedding = load_embedding_service(
        settings,
        frozenset({"text"}),
        threads=settings.api_encoder_threads,
        watchdog=watchdog,
    )
    redis = connect(settings.redis_url)
    ledger = build_ledger(redis, settings)
    qdrant = build_qdrant(settings, embedding.dimensions)
    try:
        qdrant.ensure_collection(settings.attribute_indexes)
        for code, reason in qdrant.facts().warnings().items():
            structlog.get_logger("api").warning(code, reason=reason)
    except CollectionMismatch:
        raise
    except VitrineError as err:
        # Workers make the collection too, before they write to it.
        structlog.get_logger("api").warning("collection_not_ensured", error=err.message)
    cache = CacheConnection(settings.redis_cache_url)
    search = build_search(
        encoder=embedding,
        analyser=build_analyser(settings),
        fetch=picture_fetch(settings),
        qdrant=qdrant,
        generations=Generations(
            connect(settings.redis_url, timeout=GENERATION_TIMEOUT_SECONDS),
            max_staleness=settings.search_cache_max_staleness,
        ),
        changes=ChangeLog(connect(settings.redis_url, timeout=GENERATION_TIMEOUT_SECONDS)),
        cache=cache,
        cache_ttl=settings.search_cache_ttl,
        timeout_seconds=settings.search_timeout_seconds,
        in_stock_first=settings.search_in_stock_first,
    )
    return Services(
        settings=settings,
        ledger=ledger,
        loss=LedgerLoss(redis, qdrant.collection),
        jobs=Jobs(redis),
        doorbell=Doorbell(celery_app(settings.celery_broker_url)),
        qdrant=qdrant,
        search=search,
        embedding=embedding,
    )


def picture_fetch(settings: Settings) -> Callable[[str], bytes]:
    """Fetches a query's picture by the workers' rules, within a search's time."""
    fetcher = build_fetcher(
        settings,
        timeout_seconds=min(settings.image_timeout_seconds, settings.search_timeout_seconds),
        connections=settings.api_picture_queries,
        # These few are decoded at once. So a full disk stops no search.
        most_in_memory=settings.image_max_bytes,
    )

    def fetch(url: str) -> bytes:
        with fetcher.fetch(url) as picture:
            return picture.data

    return fetch


def build_parts(services: Services) -> Parts:
    """The API's own parts on the services.

    Raises `OpenToTheNetwork` if it would be open to the network without keys, and `KeysFileError`.
    """
    settings = services.settings
    keys = key_ring(settings)
    if keys and (exposure := keys.exposure()):
        structlog.get_logger("api").warning("keys_file_exposed", reason=exposure)
    rates = RateLimiter(
        settings.redis_cache_url,
        {SEARCH: settings.rate_limit_search, WRITE: settings.rate_limit_write},
    )
    intake = Intake(services.ledger, services.doorbell, rates)
    counts = slot_counts(settings.api_threads)
    together = Slots(counts.together)
    waiting = Slots(counts.waiting, together)
    batches = Slots(counts.waiting, together)
    pictures = Slots(settings.api_picture_queries, together)
    landing = Landing(services.jobs, waiting)
    index = IndexWatch(services.qdrant.facts)
    return Parts(
        settings=settings,
        keys=keys,
        rates=rates,
        of_tenants=TenantResources(
            IndexingResource(intake, landing, batches),
            ProductsResource(
                services.ledger,
                services.qdrant,
                intake,
                landing,
                attribute_types(settings.attribute_indexes),
            ),
            JobsResource(services.jobs, intake, waiting),
            SearchResource(services.search, pictures),
        ),
        open=OpenResources(
            HealthResource(
                _readiness(services),
                Metrics(services.ledger, services.loss, index),
                index,
                services.loss.is_lost,
                lambda: keys is not None and keys.exposure() is not None,
            ),
            DocumentationResource(keys_needed=keys is not None),
        ),
    )


def _readiness(services: Services) -> Readiness:
    """The checks of the parts that the API can't work without."""

    def qdrant() -> None:
        if not services.qdrant.ready():
            raise QdrantUnavailable("the collection can't be read")

    return Readiness(
        [
            Check("redis", services.ledger.ping, timeout_seconds=_CHECK_SECONDS),
            Check("qdrant", qdrant, timeout_seconds=_CHECK_SECONDS + 0.5),
            Check(
                "embedding",
                services.embedding.check,
                timeout_seconds=_EMBEDDING_CHECK_SECONDS,
                keep_seconds=_EMBEDDING_KEEP_SECONDS,
            ),
        ]
    )
