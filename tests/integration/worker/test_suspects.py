"""A product that may have killed its worker is in work by itself."""

import threading
import time
from collections.abc import Sequence

from shared.embedding.encoder import PreparedImage, Vector
from shared.errors import ItemFault
from shared.models.change import Lane
from tests.integration.worker.conftest import LEASE_SECONDS, HashingEncoder, Worker
from tests.pictures import picture


class Slow(HashingEncoder):
    """Knows how many products were in work together."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def embed_images(
        self, pictures: Sequence[PreparedImage], *, urgent: bool = False
    ) -> list[Vector | ItemFault]:
        with self._lock:
            self._now += len(pictures)
            self.most = max(self.most, self._now)
        time.sleep(0.1)
        with self._lock:
            self._now -= len(pictures)
        return super().embed_images(pictures, urgent=urgent)


def test_no_two_suspects_are_in_work_at_once(worker: Worker) -> None:
    """Or a product that kills the process again and again would cost its neighbours attempts."""
    slow = Slow()
    assert worker.reconciler._pictures is not None
    worker.reconciler._pictures._encoder = slow  # type: ignore[assignment]
    worker.push(*(worker.product(f"p{at}", picture()) for at in range(6)), lane=Lane.SINGLE)
    assert len(worker.ledger.claim([Lane.SINGLE], 64).wanted) == 6  # by a worker that dies
    time.sleep(LEASE_SECONDS + 0.1)
    threads = [threading.Thread(target=worker.reconciler.answer) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert slow.embedded == 6
    assert slow.most == 1
