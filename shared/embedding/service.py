"""The embedding of texts and pictures, as the rest of the project uses it.

Decoding and preprocessing run in the caller's thread; each tower's forward passes run in one
batcher thread, which mixes the items of all callers. So a worker's pictures are decoded while the
model works on the ones before.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.embedding.batcher import Batcher
from shared.embedding.decoding.costs import URGENT_DECODING_BYTES, decoding_bytes
from shared.embedding.decoding.flattening import shows_nothing
from shared.embedding.decoding.pictures import decode_picture
from shared.embedding.encoder import Encoder, PreparedImage, PreparedText, Tower, Vector, post
from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.memory import MemoryBudget
from shared.metrics import EMBEDDING_BATCH_SIZE, EMBEDDINGS, ENCODER_BUSY_SECONDS
from shared.watchdog import Watchdog

Input = TypeVar("Input", PreparedImage, PreparedText)

TEXT_TIMEOUT = 5.0
"""Seconds a query waits for its vector: shoppers leave before that; a forward takes 0.03."""

_IMAGE_GATHER_SECONDS = 0.004  # Pictures come in bursts; a forward of 16 takes a hundred times it.
_TEXT_GATHER_SECONDS = 0.0  # A lone query goes at once; others gather while it runs.
_TEXT_CAPACITY_BATCHES = 8  # About half a second of work: beyond it queries would miss deadlines.
_IMAGE_CAPACITY_BATCHES = 2  # The next batch is always full; 600 kB each, so no more than needed.


class PictureFetcher(Protocol):
    """Gets a picture's bytes. Raises ItemPermanent or ItemTransient."""

    def __call__(self, url: str, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PreparedPicture:
    """A picture file made ready for the model. `blank`: it shows one colour all over."""

    pixels: PreparedImage
    blank: bool


@dataclass(frozen=True)
class _Work(Generic[Input]):
    """One input on its way through a batcher; probes and checks are not counted."""

    prepared: Input
    counted: bool


class EmbeddingService:
    """Vectors of one CLIP space for texts and pictures: float32, L2-normalised.

    Safe to use from many threads. A tower that isn't in memory is loaded at its first use.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        batch_size: int,
        max_pixels: int,
        fetch: PictureFetcher | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        """`fetch` serves `embed_image_from_url`. `watchdog`: the process's own; without one nobody
        ends what stands still.
        """
        self._encoder = encoder
        self._fetch = fetch
        self._max_pixels = max_pixels
        self._watchdog = watchdog or Watchdog()
        self._decoding = MemoryBudget(
            decoding_bytes(max_pixels) - URGENT_DECODING_BYTES, reserve=URGENT_DECODING_BYTES
        )
        self._draft_edge = encoder.draft_edge
        self._images: Batcher[_Work[PreparedImage], Vector] = Batcher(
            "image",
            lambda batch: self._run("image", encoder.core_images, batch),
            max_batch=batch_size,
            max_wait=_IMAGE_GATHER_SECONDS,
            capacity=_IMAGE_CAPACITY_BATCHES * batch_size,
            probe=lambda: _raise_faults(
                self._run("image", encoder.core_images, [self._probe_image()])
            ),
        )
        self._texts: Batcher[_Work[PreparedText], Vector] = Batcher(
            "text",
            lambda batch: self._run("text", encoder.core_texts, batch),
            max_batch=batch_size,
            max_wait=_TEXT_GATHER_SECONDS,
            capacity=_TEXT_CAPACITY_BATCHES * batch_size,
            probe=lambda: _raise_faults(
                self._run("text", encoder.core_texts, [self._probe_text()])
            ),
        )

    @property
    def dimensions(self) -> int:
        """Numbers in every vector: the model decides (ViT-B-32: 512)."""
        return self._encoder.dimensions

    def embed_text(self, text: str, timeout: float = TEXT_TIMEOUT) -> Vector:
        """The vector of one text, shape (dimensions,).

        Raises EncoderBusy when `timeout` seconds were not enough, and ItemPermanent
        (`embedding_failed`) if the model fails on this text.
        """
        return self._vectors_of_texts([text], timeout)[0]

    def embed_texts(
        self, texts: Sequence[str], timeout: float = TEXT_TIMEOUT
    ) -> NDArray[np.float32]:
        """Vectors of several texts in order, shape (len(texts), dimensions). Raises likewise."""
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return np.stack(self._vectors_of_texts(texts, timeout))

    def prepare(
        self, data: bytes, timeout: float | None = None, *, urgent: bool = False
    ) -> PreparedPicture:
        """Decode and preprocess a picture file in the calling thread.

        Returns float32 of shape (3, height, width) for `embed_images`, and whether the picture
        shows anything. Waits while others decode
        so much that memory would run short; urgent pictures overtake. Raises ItemPermanent or
        ItemTransient with the picture's fault, and EncoderBusy after `timeout` seconds in line.
        """
        with (
            self._decoding.account(urgent=urgent, timeout=timeout) as admit,
            self._watchdog.decoding() as step,
        ):

            def admit_in_turn(size: int) -> None:
                with step.waiting():
                    admit(size)

            # No name may hold the picture here: its memory must be free once it is given back.
            return self._ready(
                decode_picture(data, self._max_pixels, self._draft_edge, admit_in_turn)
            )

    def embed_images(
        self,
        pictures: Sequence[Image.Image | PreparedPicture],
        timeout: float | None = None,
        *,
        urgent: bool = False,
    ) -> list[Vector | ItemFault]:
        """Vectors of RGB pictures or of what `prepare` returned, in order.

        Urgent ones overtake those of calls that are not. A picture that can't be embedded yields
        its fault in its place; the others are unharmed.
        Blocks while the encoder has enough to do. Raises EncoderBusy if the encoder doesn't
        get through them within `timeout` seconds, stops or breaks: then no picture is to blame.
        Without a `timeout` it may take as long as it likes, because a slow machine would never
        finish what it must begin anew after every deadline.
        """
        self._open_tower("image")
        deadline = None if timeout is None else time.monotonic() + timeout
        pending: list[Future[Vector] | ItemFault] = []
        for picture in pictures:
            try:
                work = _Work(self._as_prepared(picture), counted=True)
            except (ItemPermanent, ItemTransient) as fault:
                pending.append(fault)
            else:
                pending.append(self._images.submit(work, _left(deadline), urgent=urgent))
        return [
            self._image_outcome(entry, deadline) if isinstance(entry, Future) else entry
            for entry in pending
        ]

    def embed_image_from_url(self, url: str, timeout: float | None = None) -> Vector:
        """The vector of the picture at `url`, shape (dimensions,).

        `timeout` bounds the embedding; the fetcher has limits of its own. Raises what the fetcher
        raises, the picture's fault, or EncoderBusy.
        """
        if self._fetch is None:
            raise RuntimeError("this service was built without a fetcher")
        outcome = self.embed_images([self.prepare(self._fetch(url), timeout)], timeout)[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def check(self, timeout: float = TEXT_TIMEOUT) -> None:
        """Compute a real embedding with every tower in memory; raises EncoderBusy if that fails.

        For readiness; such vectors are not counted in `embeddings_total`.
        """
        deadline = time.monotonic() + timeout
        if "text" in self._encoder.towers:
            text = self._texts.submit(self._probe_text(), timeout)
            self._texts.result(text, deadline - time.monotonic())
        if "image" in self._encoder.towers:
            image = self._images.submit(self._probe_image(), deadline - time.monotonic())
            self._images.result(image, deadline - time.monotonic())

    def close(self, timeout: float = 10.0) -> None:
        """Finish what waits, within `timeout` seconds, and take nothing more."""
        deadline = time.monotonic() + timeout
        self._texts.stop(timeout)
        self._images.stop(max(deadline - time.monotonic(), 0.0))

    def _vectors_of_texts(self, texts: Sequence[str], timeout: float) -> list[Vector]:
        self._open_tower("text")
        deadline = time.monotonic() + timeout
        with self._watchdog.decoding():
            works = [_Work(self._encoder.pre_text(text), counted=True) for text in texts]
        futures = [self._texts.submit(work, deadline - time.monotonic()) for work in works]
        return [self._texts.result(future, deadline - time.monotonic()) for future in futures]

    def _open_tower(self, tower: Tower) -> None:
        if tower not in self._encoder.towers:
            with self._watchdog.loading():
                self._encoder.open_tower(tower)

    def _ready(self, picture: Image.Image) -> PreparedPicture:
        return PreparedPicture(self._preprocessed(picture), shows_nothing(picture))

    def _as_prepared(self, picture: Image.Image | PreparedPicture) -> PreparedImage:
        return self._preprocessed(picture) if isinstance(picture, Image.Image) else picture.pixels

    def _preprocessed(self, picture: Image.Image) -> PreparedImage:
        try:
            return self._encoder.pre_image(picture)
        except Exception as err:
            raise ItemPermanent(
                ItemCode.EMBEDDING_FAILED, "The picture could not be prepared for the model."
            ) from err

    def _run(
        self,
        kind: Tower,
        core: Callable[[Sequence[Input]], NDArray[np.float32]],
        batch: Sequence[_Work[Input]],
    ) -> list[Vector | ItemPermanent]:
        """One forward pass with its post step, counted."""
        began = time.perf_counter()
        with self._watchdog.forward_pass():
            raw = core([work.prepared for work in batch])
        ENCODER_BUSY_SECONDS.labels(kind=kind).inc(time.perf_counter() - began)
        if raw.shape != (len(batch), self.dimensions):
            raise RuntimeError(f"the {kind} tower gave {raw.shape} for {len(batch)} inputs")
        outcomes = post(raw)
        counted = sum(
            work.counted and not isinstance(outcome, ItemPermanent)
            for work, outcome in zip(batch, outcomes, strict=True)
        )
        if counted:
            EMBEDDINGS.labels(kind=kind).inc(counted)
            EMBEDDING_BATCH_SIZE.labels(kind=kind).observe(len(batch))
        return outcomes

    def _image_outcome(
        self, future: "Future[Vector]", deadline: float | None
    ) -> Vector | ItemFault:
        try:
            return self._images.result(future, _left(deadline))
        except (ItemPermanent, ItemTransient) as fault:
            return fault

    def _probe_image(self) -> _Work[PreparedImage]:
        grey = Image.new("RGB", (32, 32), (128, 128, 128))
        return _Work(self._encoder.pre_image(grey), counted=False)

    def _probe_text(self) -> _Work[PreparedText]:
        return _Work(self._encoder.pre_text("a shirt"), counted=False)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()


def _raise_faults(outcomes: Sequence[Vector | ItemPermanent]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, ItemPermanent):
            raise outcome
