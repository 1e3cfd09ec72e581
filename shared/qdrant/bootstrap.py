"""Builds the clients of the index from the settings, the same for every process and command."""

from shared.embedding.dimensions import known_dimensions
from shared.embedding.identity import collection_name
from shared.qdrant.recovery.index import VectorIndex
from shared.qdrant.recovery.transfer import PointTransfer
from shared.qdrant.service import QdrantService
from shared.qdrant.tuning import IndexTuning
from shared.settings import Settings
from shared.words.analyser import Analyser


def build_analyser(settings: Settings) -> Analyser:
    """The analyser of products' and queries' words, for the languages that are set."""
    return Analyser(settings.search_languages)


def build_qdrant(settings: Settings, dimensions: int | None = None) -> QdrantService:
    """The collection of the model that is set; asks nothing of it yet.

    `dimensions`: numbers in a vector of the loaded model; None in a process without the model,
    which reads them from the model's configuration. Raises ModelUnavailable if weights or a
    configuration named by a path can't be read.
    """
    return QdrantService(
        settings.qdrant_url,
        collection_name(settings),
        dimensions=dimensions or known_dimensions(settings.clip_model),
        api_key=settings.qdrant_api_key,
        tuning=IndexTuning.of(settings),
        words_mark=build_analyser(settings).mark,
    )


def build_transfer(settings: Settings) -> PointTransfer:
    """All points of that collection. Raises ModelUnavailable likewise."""
    return PointTransfer(
        settings.qdrant_url,
        collection_name(settings),
        api_key=settings.qdrant_api_key,
        tuning=IndexTuning.of(settings),
        analyser=build_analyser(settings),
    )


def build_index(settings: Settings) -> VectorIndex:
    """The vector index of that collection. Raises ModelUnavailable likewise."""
    return VectorIndex(
        settings.qdrant_url, collection_name(settings), api_key=settings.qdrant_api_key
    )
