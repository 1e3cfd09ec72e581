"""What the API works with, handed to the app factory as a whole."""

from dataclasses import dataclass
from typing import Protocol

from shared.doorbell import Doorbell
from shared.ledger import Jobs, Ledger
from shared.qdrant.service import QdrantService
from shared.search.service import SearchService
from shared.settings import Settings


class Encoder(Protocol):
    """What readiness needs of the embedding service."""

    def check(self) -> None:
        """Embeds a text for real. Raises one of our errors where that fails."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators, built in `api/bootstrap.py`, or by a test."""

    settings: Settings
    ledger: Ledger
    jobs: Jobs
    doorbell: Doorbell
    qdrant: QdrantService
    search: SearchService
    embedding: Encoder
