"""The pictures of queries: fetched, checked and embedded within bounds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from shared.embedding.service import PictureFetcher, PreparedPicture
from shared.errors import (
    EncoderBusy,
    ItemCode,
    ItemFault,
    ItemPermanent,
    ItemTransient,
    QueryPictureFault,
)
from shared.models.search.requests import MAX_PICTURE_BYTES, SearchRequest
from shared.search.cache.vectors import QueryVectorCache, Vector
from shared.search.query import QueryPicture


class PictureEncoder(Protocol):
    """The part of the embedding service that a picture query needs."""

    def prepare(self, data: bytes, timeout: float, *, urgent: bool) -> PreparedPicture:
        """The decoded picture as the model's input; urgent ones have memory of their own.

        Raises the picture's fault, and EncoderBusy if memory for it takes too long to come.
        """
        ...

    def embed_images(
        self, pictures: list[PreparedPicture], timeout: float
    ) -> list[Vector | ItemFault]:
        """Their vectors, or the fault in a vector's place. Raises EncoderBusy."""
        ...


class QueryPictures:
    """Pictures to vectors, in the caller's thread but for the model's own work."""

    def __init__(
        self,
        *,
        fetch: PictureFetcher,
        encoder: PictureEncoder,
        vectors: QueryVectorCache,
        timeout_seconds: float,
    ) -> None:
        """`timeout_seconds` bounds waiting for memory to decode in, and the embedding; `fetch` has
        bounds of its own. Loading the image tower, at the first picture of all, comes on top.
        """
        self._fetch = fetch
        self._encoder = encoder
        self._vectors = vectors
        self._timeout_seconds = timeout_seconds

    def gathered(self, request: SearchRequest) -> Iterator[QueryPicture]:
        """The request's pictures, fetched if a URL is given. Raises QueryPictureFault.

        A URL is fetched for every search: what it serves may have changed, and only the bytes
        themselves tell.
        """
        if request.image is not None:
            with _named("image_base64"):
                _check_size(request.image)
            yield QueryPicture.of("image_base64", request.image)
        if request.image_url is not None:
            with _named("image_url"):
                data = self._fetch(request.image_url)
            yield QueryPicture.of("image_url", data)

    def vector(self, picture: QueryPicture) -> Vector:
        """The picture's vector, float32 of shape (dimensions,), L2-normalised; computed once.

        Raises QueryPictureFault, EncoderBusy and ModelUnavailable.
        """
        vector = self._vectors.get("image", picture.sha256)
        if vector is None:
            with _named(picture.field, picture.sha256):
                vector = self._embedded(picture.data)
            self._vectors.put("image", picture.sha256, vector)
        return vector

    def _embedded(self, data: bytes) -> Vector:
        # Urgent, so that a shopper's small picture waits for nobody's huge one.
        prepared = self._encoder.prepare(data, self._timeout_seconds, urgent=True)
        (outcome,) = self._encoder.embed_images([prepared], self._timeout_seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@contextmanager
def _named(field: str, sha256: str | None = None) -> Iterator[None]:
    """Says of a picture's fault which of the request's fields it is in."""
    try:
        yield
    except (ItemPermanent, ItemTransient) as fault:
        if fault.code == ItemCode.INTERNAL_ERROR:
            # Memory ran out: nothing is wrong with the picture.
            raise EncoderBusy(fault.message, 1.0) from fault
        raise QueryPictureFault(field, fault, sha256) from fault


def _check_size(data: bytes) -> None:
    if len(data) > MAX_PICTURE_BYTES:
        raise ItemPermanent(
            ItemCode.IMAGE_TOO_LARGE, f"The picture is larger than {MAX_PICTURE_BYTES} bytes."
        )
