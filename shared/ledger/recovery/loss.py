"""Whether the ledger was lost while the index was not: what workers find, and the API tells."""

from typing import Final

import redis

from shared.ledger.connection import PREFIX, translated

_KNOWN: Final = f"{PREFIX}collections"
"""The collections of which this ledger has known all products from the first one on."""

_LOST_SECONDS: Final = 45
"""How long the note of a loss stays: some checks long, so that it ends with the loss.
"""


class LedgerLoss:
    """Of one collection's rows. Every method raises LedgerUnavailable, and those that write raise
    LedgerFull, too."""

    def __init__(self, client: redis.Redis, collection: str) -> None:
        self._redis = client
        self.collection = collection
        self._lost_key = f"{PREFIX}lost:{collection}"

    def knows_all(self) -> bool:
        """Whether this ledger was there from the collection's first product on, or rebuilt."""
        with translated():
            return bool(self._redis.sismember(_KNOWN, self.collection))

    def note_all_known(self) -> None:
        """Notes that the ledger knows all products of the collection."""
        with translated():
            self._redis.sadd(_KNOWN, self.collection)
            self._redis.delete(self._lost_key)

    def note_lost(self) -> None:
        """Notes, for less than a minute, that the rows are lost."""
        with translated():
            self._redis.set(self._lost_key, 1, ex=_LOST_SECONDS)

    def is_lost(self) -> bool:
        """Whether a worker has found just now that the rows are lost."""
        with translated():
            return bool(self._redis.exists(self._lost_key))
