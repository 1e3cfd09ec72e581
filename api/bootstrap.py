"""Builds the API's collaborators from the settings, in one place."""

import structlog

from api.picture_fetch import picture_fetch
from api.services import Services
from shared.doorbell import Doorbell, celery_app
from shared.embedding.bootstrap import load_embedding_service
from shared.embedding.identity import collection_name
from shared.errors import CollectionMismatch, VitrineError
from shared.ledger import GENERATION_TIMEOUT_SECONDS, Generations, Jobs, connect
from shared.ledger.bootstrap import build_ledger
from shared.qdrant.bootstrap import build_qdrant
from shared.search.cache.answers import AnswerCache, RankingCache
from shared.search.cache.redis import CacheConnection
from shared.search.cache.vectors import QueryVectorCache
from shared.search.pictures import QueryPictures
from shared.search.service import SearchService
from shared.settings import Settings
from shared.watchdog import Watchdog


def build_services(settings: Settings, watchdog: Watchdog) -> Services:
    """Loads the text tower and prepares all clients. Raises `ModelUnavailable`, and
    `CollectionMismatch` if the collection holds vectors of another length than the model's.

    `watchdog`: the process's own, not started yet.

    Redis and Qdrant may be down: the API starts and says in `/readyz` what is missing.
    """
    # The cheap part that can be wrong comes first: the model takes seconds.
    collection = collection_name(settings)
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
        for code, said in qdrant.facts().warnings().items():
            structlog.get_logger("api").warning(code, reason=said)
    except CollectionMismatch:
        raise
    except VitrineError as err:
        # Workers make the collection too, before they write to it.
        structlog.get_logger("api").warning("collection_not_ensured", error=err.message)
    cache = CacheConnection(settings.redis_cache_url)
    vectors = QueryVectorCache(cache, collection, embedding.dimensions)
    search = SearchService(
        encoder=embedding,
        pictures=QueryPictures(
            fetch=picture_fetch(settings),
            encoder=embedding,
            vectors=vectors,
            timeout_seconds=settings.search_timeout_seconds,
        ),
        qdrant=qdrant,
        generations=Generations(
            connect(settings.redis_url, timeout=GENERATION_TIMEOUT_SECONDS),
            max_staleness=settings.search_cache_max_staleness,
        ),
        answers=AnswerCache(cache, settings.search_cache_ttl),
        rankings=RankingCache(cache, settings.search_cache_ttl),
        vectors=vectors,
        timeout_seconds=settings.search_timeout_seconds,
    )
    return Services(
        settings=settings,
        ledger=ledger,
        jobs=Jobs(redis),
        doorbell=Doorbell(celery_app(settings.celery_broker_url)),
        qdrant=qdrant,
        search=search,
        embedding=embedding,
    )
