"""The embedding service's promises, on a model that costs nothing."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from prometheus_client import REGISTRY

from shared.embedding.encoder import PreparedImage
from shared.embedding.service import EmbeddingService
from shared.errors import EncoderBusy, ItemCode, ItemPermanent
from tests.unit.embedding.drawn import saved, scene
from tests.unit.embedding.fake_encoder import BREAKS, DIMENSIONS, NAN, ZERO, FakeEncoder


def red(level: int, width: int = 8) -> Image.Image:
    return Image.new("RGB", (width, 8), (level, 0, 0))


def expected(level: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    vector = np.array([1, level, 0, 0], dtype=np.float32)
    return vector / np.linalg.norm(vector)


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("embeddings_total", {"kind": kind}) or 0.0


def busy_seconds(kind: str) -> float:
    return REGISTRY.get_sample_value("encoder_busy_seconds_total", {"kind": kind}) or 0.0


def batches(kind: str) -> float:
    return REGISTRY.get_sample_value("embedding_batch_size_count", {"kind": kind}) or 0.0


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def service(encoder: FakeEncoder) -> Iterator[EmbeddingService]:
    files = {
        "https://shop.example/red.png": saved(red(100), "PNG"),
        "https://shop.example/bad.png": saved(red(BREAKS), "PNG"),
    }
    made = EmbeddingService(encoder, batch_size=8, max_pixels=10_000, fetch=files.__getitem__)
    yield made
    made.close()


def test_a_text_gets_a_unit_vector(service: EmbeddingService) -> None:
    vector = service.embed_text("shirt")
    assert vector.shape == (DIMENSIONS,)
    assert vector.dtype == np.float32
    assert np.allclose(vector, expected(5))
    assert np.isclose(np.linalg.norm(vector), 1)


def test_texts_come_back_in_order(service: EmbeddingService) -> None:
    texts = ["x" * n for n in range(1, 40)]
    vectors = service.embed_texts(texts)
    assert vectors.shape == (39, DIMENSIONS)
    assert np.allclose(vectors, [expected(n) for n in range(1, 40)])
    assert service.embed_texts([]).shape == (0, DIMENSIONS)


def test_pictures_come_back_in_order_and_a_bad_one_harms_no_other(
    service: EmbeddingService,
) -> None:
    levels = [1, BREAKS, 3, NAN, 5, ZERO, 7, 8, 9, 10]
    outcomes = service.embed_images([red(level) for level in levels])
    for level, outcome in zip(levels, outcomes, strict=True):
        if level in (BREAKS, NAN, ZERO):
            assert isinstance(outcome, ItemPermanent)
            assert outcome.code is ItemCode.EMBEDDING_FAILED
        else:
            assert isinstance(outcome, np.ndarray)
            assert np.allclose(outcome, expected(level))


def test_a_picture_that_cannot_be_prepared_harms_no_other(service: EmbeddingService) -> None:
    bad, good = service.embed_images([red(1, width=13), red(2)])
    assert isinstance(bad, ItemPermanent)
    assert isinstance(good, np.ndarray)


def test_prepared_files_and_pictures_may_be_mixed(service: EmbeddingService) -> None:
    one, two = service.embed_images([service.prepare(saved(red(50), "PNG")), red(50)])
    assert np.array_equal(one, two)


def test_more_pictures_than_the_queue_holds_go_through(service: EmbeddingService) -> None:
    outcomes = service.embed_images([red(level % 200) for level in range(100)])
    assert all(isinstance(outcome, np.ndarray) for outcome in outcomes)


def test_prepare_reports_the_pictures_fault(service: EmbeddingService) -> None:
    with pytest.raises(ItemPermanent) as caught:
        service.prepare(b"<html>")
    assert caught.value.code is ItemCode.NOT_AN_IMAGE
    with pytest.raises(ItemPermanent) as caught:
        service.prepare(saved(scene(), "PNG"))
    assert caught.value.code is ItemCode.IMAGE_TOO_MANY_PIXELS


def test_an_urgent_file_is_decoded_while_large_ones_hold_all_memory(
    service: EmbeddingService,
) -> None:
    data = saved(red(50), "PNG")
    with service._decoding.account() as take:
        take(service._decoding.total)
        assert service.prepare(data, 5, urgent=True).pixels.shape == (3, 8, 8)
        with pytest.raises(EncoderBusy):
            service.prepare(data, 0.05)


def test_a_url_is_fetched_and_embedded(service: EmbeddingService) -> None:
    vector = service.embed_image_from_url("https://shop.example/red.png")
    assert np.allclose(vector, expected(100))


def test_a_url_without_a_fetcher_is_a_fault_of_ours(encoder: FakeEncoder) -> None:
    service = EmbeddingService(encoder, batch_size=8, max_pixels=100)
    with pytest.raises(RuntimeError, match="fetcher"):
        service.embed_image_from_url("https://shop.example/red.png")


def test_a_failing_picture_file_raises_its_fault(service: EmbeddingService) -> None:
    with pytest.raises(ItemPermanent) as caught:
        service.embed_image_from_url("https://shop.example/bad.png")
    assert caught.value.code is ItemCode.EMBEDDING_FAILED


def test_exactly_the_computed_vectors_are_counted(service: EmbeddingService) -> None:
    texts, images, passes = counted("text"), counted("image"), batches("image")
    service.check()
    assert (counted("text"), counted("image")) == (texts, images)
    service.embed_text("shirt")
    service.embed_texts(["a", "b", "c"])
    service.embed_images([red(level) for level in (1, BREAKS, 2, NAN, 3)])
    service.check()
    assert counted("text") - texts == 4
    assert counted("image") - images == 3
    assert batches("image") > passes


class SlowEncoder(FakeEncoder):
    """Takes its time for pictures, and most of it before the forward pass."""

    def pre_image(self, picture: Image.Image) -> PreparedImage:
        time.sleep(1.5)
        return super().pre_image(picture)

    def core_images(self, batch: Sequence[PreparedImage]) -> NDArray[np.float32]:
        time.sleep(0.02)
        return super().core_images(batch)


def test_the_time_of_forward_passes_alone_is_counted() -> None:
    service = EmbeddingService(SlowEncoder(), batch_size=8, max_pixels=10_000)
    image, text = busy_seconds("image"), busy_seconds("text")
    service.embed_images([red(1)])
    service.close()
    assert 0.02 <= busy_seconds("image") - image < 1.5
    assert busy_seconds("text") == text


def test_a_broken_model_blames_no_picture(service: EmbeddingService, encoder: FakeEncoder) -> None:
    encoder.broken = True
    with pytest.raises(EncoderBusy):
        service.check()
    with pytest.raises(EncoderBusy):
        service.embed_images([red(1), red(2)])
    encoder.broken = False
    service.check()


def test_only_open_towers_are_checked_and_others_open_at_first_use() -> None:
    encoder = FakeEncoder(frozenset({"text"}))
    service = EmbeddingService(encoder, batch_size=8, max_pixels=100)
    service.check()
    assert encoder.image_batches == []
    assert isinstance(service.embed_images([red(1)])[0], np.ndarray)
    assert encoder.towers == {"image", "text"}
    service.close()


def test_a_closed_service_says_so_at_once(service: EmbeddingService) -> None:
    service.close()
    with pytest.raises(EncoderBusy):
        service.embed_text("shirt")
    with pytest.raises(EncoderBusy):
        service.embed_images([red(1)])


class GatedEncoder(FakeEncoder):
    """Takes `seconds` for a forward pass, and stands still while `gate` is closed."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.gate = threading.Event()
        self.gate.set()

    def core_images(self, batch: Sequence[PreparedImage]) -> NDArray[np.float32]:
        self.gate.wait(60)
        time.sleep(self.seconds)
        return super().core_images(batch)


def test_whoever_sets_no_deadline_waits_for_as_long_as_the_encoder_takes() -> None:
    encoder = GatedEncoder(0.05)
    service = EmbeddingService(encoder, batch_size=8, max_pixels=10_000)
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(service.embed_images, [[red(at) for at in range(64)]] * 4))
    assert sum(encoder.image_batches) == 4 * 64  # nothing was computed twice, or in vain
    for outcomes in claims:
        assert all(isinstance(outcome, np.ndarray) for outcome in outcomes)
    service.close()


def test_a_deadline_holds_however_well_the_encoder_gets_on() -> None:
    encoder = GatedEncoder(0.05)
    service = EmbeddingService(encoder, batch_size=8, max_pixels=10_000)
    with pytest.raises(EncoderBusy):
        service.embed_images([red(1)] * 200, 0.3)
    service.close()
