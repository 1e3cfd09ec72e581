"""A product that may have killed its worker is in work by itself."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.embedding.encoder import Vector
from shared.embedding.service import PreparedPicture
from shared.errors import ItemFault
from shared.fetch.fetcher import Fetcher
from shared.models.change import Lane, Outcome
from shared.models.product import Product
from tests.integration.fetch.picture_server import LOOPBACK, ScriptedServer, reply
from tests.integration.worker.conftest import LEASE_SECONDS, HashingEncoder, Worker
from tests.pictures import picture
from tests.waiting import wait_until
from worker.pictures.reader import PictureReader


class Slow(HashingEncoder):
    """Knows which pictures were with it at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[set[bytes]] = []
        self._now: set[bytes] = set()
        self._lock = threading.Lock()

    def embed_images(
        self, pictures: Sequence[PreparedPicture], *, urgent: bool = False
    ) -> list[Vector | ItemFault]:
        mine = {picture.pixels.tobytes() for picture in pictures}
        with self._lock:
            self._now |= mine
            self.together.append(set(self._now))
        time.sleep(0.1)
        with self._lock:
            self._now -= mine
        return super().embed_images(pictures, urgent=urgent)

    def company(self, data: bytes) -> int:
        """How many pictures were with the model at most while this one was, itself included."""
        pixels = self.prepare(data).pixels.tobytes()
        return max(len(each) for each in self.together if pixels in each)


def lost(worker: Worker, *products: Product, lane: Lane = Lane.SINGLE) -> str:
    """A worker claims the products and dies."""
    job_id = worker.push(*products, lane=lane)
    assert len(worker.ledger.claim([lane], 64).wanted) == len(products)
    time.sleep(LEASE_SECONDS + 0.1)
    return job_id


def test_no_two_suspects_are_embedded_at_once(worker: Worker) -> None:
    """Or a product that kills the process again and again would cost its neighbours attempts."""
    slow = Slow()
    assert worker.reconciler._pictures is not None
    worker.reconciler._pictures._encoder = slow  # type: ignore[assignment]
    lost(worker, *(worker.product(f"p{at}", picture((at, 9, 9))) for at in range(6)))
    others = [worker.product(f"o{at}", picture((9, at, 9))) for at in range(6)]
    threads = [threading.Thread(target=worker.bells.serve) for _ in range(6)]
    for thread, other in zip(threads, others, strict=True):
        thread.start()
        worker.push(other)
    for thread in threads:
        thread.join(60)
    worker.bells.serve()
    assert slow.embedded == 12
    assert [slow.company(picture((at, 9, 9))) for at in range(6)] == 6 * [1]


class SlowServer(ScriptedServer):
    """Answers nobody until its event is set."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        super().__init__(self._answer, address="127.0.0.2")

    def _answer(self, connection: socket.socket, *_: str) -> None:
        self.may_answer.wait(60)
        connection.sendall(reply(picture((0, 0, 200))))


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    server = SlowServer()
    yield server
    server.may_answer.set()
    server.close()


@pytest.fixture
def patient(worker: Worker) -> Iterator[Worker]:
    """The worker with time for slow servers."""
    fetcher = Fetcher(LOOPBACK, max_bytes=2**20, timeout_seconds=20.0)
    reader = PictureReader(fetcher, worker.encoder, threads=8)
    worker.reconciler._pictures = reader
    yield worker
    reader.close()
    fetcher.close()


@pytest.mark.parametrize("lane", [Lane.SINGLE, Lane.BULK])
def test_suspects_of_a_slow_picture_server_hold_up_nobody(
    patient: Worker, slow: SlowServer, lane: Lane
) -> None:
    """Their fields are written at once, and other products are worked off in all lanes."""
    worker = patient
    live = [worker.product(f"p{at}", picture(), price=1) for at in range(12)]
    worker.push(*live)
    worker.bells.serve()
    moved = [
        product.model_copy(update={"price": 2, "image_url": slow.url(f"/{product.id}.jpg")})
        for product in live
    ]
    suspects = lost(worker, *moved, lane=lane)
    thread = threading.Thread(target=worker.bells.serve)
    thread.start()
    wait_until(lambda: {worker.stored(product.id).product.price for product in live} == {2})
    pushed = [
        worker.push(worker.product(f"in-{other}", picture()), lane=other)
        for other in (Lane.SINGLE, Lane.BULK)
    ]
    worker.bells.serve()
    pushed.append(worker.patch("in-bulk", price=3))
    worker.bells.serve()
    assert [worker.counts(job_id) for job_id in pushed] == 3 * [{Outcome.INDEXED: 1}]
    assert worker.counts(suspects) == {Outcome.PENDING: 12}
    slow.may_answer.set()
    thread.join(60)
    assert worker.counts(suspects) == {Outcome.INDEXED: 12}


def test_a_suspect_that_was_put_anew_is_not_decoded(worker: Worker) -> None:
    came = worker.pictures.delays["/p.jpg"] = threading.Event()
    old = lost(worker, worker.product("p", picture()))
    with ThreadPoolExecutor(1) as thread:
        answered = thread.submit(worker.bells.serve)
        while not worker.pictures.requests:
            time.sleep(0.01)
        new = worker.push(
            worker.product("p", image_url=worker.pictures.add("/n", picture((1, 2, 3))))
        )
        came.set()
        answered.result(60)
    worker.bells.serve()
    assert worker.counts(old) == {Outcome.SUPERSEDED: 1}
    assert worker.counts(new) == {Outcome.INDEXED: 1}
    assert worker.encoder.embedded == 1
