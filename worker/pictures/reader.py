"""From image URLs to vectors, many at a time; one bad picture fails alone."""

import random
import time
from collections.abc import Callable, Container, Generator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

import numpy as np
import structlog

from shared.embedding.encoder import Vector
from shared.embedding.service import EmbeddingService, PreparedPicture
from shared.errors import DiskRefused, ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.fetch.fetcher import Fetcher
from shared.fetch.hosts import PicturePutOff
from shared.fetch.picture import SMALL_BYTES, FetchedPicture, Validators
from shared.fetch.urls import parse_picture_url
from shared.memory import MemoryBudget
from shared.models.product import ImageFacts
from worker.pictures.host_threads import HostThreads
from worker.reconcile.faults import unexpected
from worker.together_or_alone import TogetherOrAlone

log = structlog.get_logger(__name__)

Key = TypeVar("Key")
Result = TypeVar("Result")

STRAGGLER_SECONDS: Final = 2.0
"""How long pictures that are ready wait for slower ones of the same batch."""

_YIELD_SECONDS: Final = 1.0
"""How long the caller waits at most for its next look at other things, the model's time apart."""

_URGENT_STRAGGLER_SECONDS: Final = 0.05
"""The same for urgent ones: those of a burst still share forward passes."""

_DISK_SECONDS: Final = 30.0
"""How long a large picture waits at least if the disk has no room for it; half as long again at
most, so that not all come back at one moment."""

_LARGEST_AT_ONCE: Final = 8
_LARGEST_URGENT: Final = 2
"""Pictures of IMAGE_MAX_BYTES in memory at one time, and as many besides as only urgent ones may
be. Of smaller ones, more: sixteen of half that size. The others lie on the disk."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture's embedding, float32 of shape (dimensions,), L2-normalised, and facts of its file.

    `blank`: it shows one colour all over.
    """

    embedding: Vector
    image: ImageFacts
    blank: bool = False


@dataclass(frozen=True, slots=True)
class SamePicture:
    """The picture is the one behind the stored vector; its facts as they are now."""

    image: ImageFacts


@dataclass(frozen=True, slots=True)
class PictureRequest(Generic[Key]):
    """A picture to read. `known`: the picture behind the stored vector, if there is one;
    `revalidate`: whether it came from this very URL, so that the server may say "still that one".
    `suspect`: whether an earlier worker may have died of it.
    """

    key: Key
    url: str
    known: ImageFacts | None = None
    revalidate: bool = False
    suspect: bool = False


PictureResult = Pictured | SamePicture | ItemFault


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A picture's bytes; close them. `url` is for the log."""

    url: str
    picture: FetchedPicture
    image: ImageFacts


@dataclass(frozen=True, slots=True)
class _Ready:
    prepared: PreparedPicture
    image: ImageFacts


_Prepared = _Fetched | _Ready | SamePicture | ItemFault
_Waiting = dict["Future[_Prepared]", Key]


class PictureReader:
    """Fetches and decodes in its own threads, shared by all tasks of the process.

    Urgent pictures have threads of their own: a place at the head of one queue would not help them
    while all threads wait for picture servers that are slow. Of neither kind can one server hold
    all threads.
    """

    def __init__(self, fetcher: Fetcher, encoder: EmbeddingService, threads: int) -> None:
        """`threads` at most for urgent pictures, and as many for the others."""
        self._fetcher = fetcher
        self._memory = MemoryBudget(
            _LARGEST_AT_ONCE * fetcher.max_bytes, reserve=_LARGEST_URGENT * fetcher.max_bytes
        )
        self._encoder = encoder
        self.line = TogetherOrAlone()
        """The line for decoding and embedding: beside others, or alone."""
        self._pool = HostThreads(threads, "picture")
        self._urgent_pool = HostThreads(threads, "urgent-picture")

    def read(
        self,
        requests: Sequence[PictureRequest[Key]],
        *,
        urgent: bool = False,
        wanted: Container[Key] | None = None,
        stand_alone: Callable[[Key], bool] = lambda _: True,
    ) -> Generator[Sequence[tuple[Key, PictureResult]]]:
        """Groups of results as they become ready, so that a slow server holds up only its own; an
        empty one before each, and every second while nothing became ready.

        Within a group the pictures share the encoder's batches, also with those of other tasks.
        Urgent ones overtake the others, and hardly wait for slower ones of their own batch. Each
        suspect is a group of its own, in the order of the requests; until the caller asks for the
        next group, nothing else is decoded or embedded in this process.

        `wanted`: the keys of pictures that are still wanted. The caller may take out others between
        two groups: they are not waited for. `stand_alone` is told of each suspect before it is
        decoded, and says whether it shall be. Raises `EncoderBusy` and what `stand_alone` raises.
        """
        pool = self._urgent_pool if urgent else self._pool
        patience = _URGENT_STRAGGLER_SECONDS if urgent else STRAGGLER_SECONDS
        waiting = {
            pool.submit(_host(request.url), partial(self._prepare, request, urgent)): request.key
            for request in requests
        }
        try:
            while waiting:
                until = time.monotonic() + patience
                while True:
                    done, late = wait(waiting, timeout=min(patience, _YIELD_SECONDS))
                    yield []  # before the model is waited for, too
                    _drop(waiting, wanted)
                    if not late or time.monotonic() >= until:
                        break
                yield from self._results(waiting, done, stand_alone, urgent=urgent)
        finally:
            # If the batch is given back, nobody waits for the rest.
            _drop(waiting, ())

    def close(self) -> None:
        """Ends the threads; fetches under way are finished."""
        self._pool.shutdown()
        self._urgent_pool.shutdown()

    def _results(
        self,
        waiting: "_Waiting[Key]",
        done: Container["Future[_Prepared]"],
        stand_alone: Callable[[Key], bool],
        *,
        urgent: bool,
    ) -> Generator[Sequence[tuple[Key, PictureResult]]]:
        """The results of those that are done, which wait no longer: one group, then each suspect.

        A suspect waits until its turn comes, so that its picture is closed in any case.
        """
        group: list[tuple[Key, _Ready | SamePicture | ItemFault]] = []
        suspects: list[tuple[Future[_Prepared], _Fetched]] = []
        for future in [each for each in waiting if each in done]:
            result = future.result()
            if isinstance(result, _Fetched):
                suspects.append((future, result))
            else:
                group.append((waiting.pop(future), result))
        if group:
            with self.line.together():
                results = self._embed(group, urgent)
            yield results
        for future, fetched in suspects:
            key = waiting.pop(future)
            with fetched.picture, self.line.alone():
                if stand_alone(key):
                    yield self._embed([(key, self._decoded(fetched, urgent))], urgent)

    def _prepare(self, request: PictureRequest[Key], urgent: bool) -> _Prepared:
        """The part that one thread can do: a suspect is not decoded yet."""
        result = _unless_faulty(request.url, partial(self._fetch, request))
        if isinstance(result, _Fetched) and not request.suspect:
            with self.line.together():
                return self._decoded(result, urgent)
        return result

    def _fetch(self, request: PictureRequest[Key]) -> _Fetched | SamePicture:
        known = request.known
        last = known if request.revalidate else None
        validators = Validators(last.etag, last.last_modified) if last else None
        picture = self._fetcher.fetch_if_changed(request.url, validators)
        if picture is None:
            assert known is not None  # noqa: S101 - "still that" answers a validator
            return SamePicture(known)
        facts = ImageFacts(picture.sha256, picture.etag, picture.last_modified)
        if known and facts.sha256 == known.sha256:
            picture.close()
            return SamePicture(facts)
        if request.suspect:
            picture.free_memory()  # many may wait to be alone
        return _Fetched(request.url, picture, facts)

    def _decoded(self, fetched: _Fetched, urgent: bool) -> _Ready | ItemFault:
        def decode() -> _Ready:
            picture = fetched.picture
            with picture, self._memory.account(urgent=urgent) as take:
                if picture.size > SMALL_BYTES:
                    take(picture.size)
                return _Ready(self._encoder.prepare(picture.data, urgent=urgent), fetched.image)

        return _unless_faulty(fetched.url, decode)

    def _embed(
        self, group: Sequence[tuple[Key, _Ready | SamePicture | ItemFault]], urgent: bool
    ) -> Sequence[tuple[Key, PictureResult]]:
        prepared = [result.prepared for _, result in group if isinstance(result, _Ready)]
        vectors = iter(self._encoder.embed_images(prepared, urgent=urgent))
        results: list[tuple[Key, PictureResult]] = []
        for key, result in group:
            if isinstance(result, _Ready):
                vector = next(vectors)
                if isinstance(vector, np.ndarray):
                    results.append((key, Pictured(vector, result.image, result.prepared.blank)))
                else:
                    results.append((key, vector))
            else:
                results.append((key, result))
        return results


def _unless_faulty(url: str, work: Callable[[], Result]) -> Result | ItemFault:
    """The result of work on one picture, or its fault: it must not sink others of its batch."""
    try:
        return work()
    except (ItemTransient, ItemPermanent) as fault:
        return fault
    except DiskRefused as err:
        # Small pictures need no disk, so the lane goes on without this one.
        log.warning("picture_put_off", code=err.code, error=err.message)
        wait = _DISK_SECONDS * (1 + random.random() / 2)  # noqa: S311 - no secret
        return PicturePutOff(ItemCode.INTERNAL_ERROR, f"{err.message} It is tried again.", wait)
    except Exception as err:
        log.exception("picture_failed", url=url)
        return unexpected(err)


def _drop(waiting: _Waiting[Key], wanted: Container[Key] | None) -> None:
    """Gives up pictures that nobody wants any more. Those in work are read in vain."""
    if wanted is not None:
        for future in [each for each, key in waiting.items() if key not in wanted]:
            del waiting[future]
            if not future.cancel():
                future.add_done_callback(_close)


def _close(future: Future[_Prepared]) -> None:
    if isinstance(result := future.result(), _Fetched):
        result.picture.close()


def _host(url: str) -> str:
    """The host that a fetch waits for; those of no valid URL end at once and count as one."""
    try:
        return parse_picture_url(url).host
    except ItemPermanent:
        return ""
