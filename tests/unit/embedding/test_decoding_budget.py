"""Pictures decoded at once share one bound on memory."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from shared.embedding.decoding_budget import DecodingBudget
from shared.embedding.pictures import decode_picture, decoding_bytes
from shared.errors import ItemCode, ItemPermanent
from tests.unit.embedding.drawn import saved, scene


def test_no_more_is_taken_at_once_than_there_is() -> None:
    budget = DecodingBudget(100)
    lock, held, most = threading.Lock(), 0, 0

    def use(wanted: int) -> None:
        nonlocal held, most
        with budget.account() as take:
            take(wanted)
            with lock:
                held += wanted
                most = max(most, held)
            threading.Event().wait(0.002)
            with lock:
                held -= wanted

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(use, [7, 60, 33, 100, 1, 50] * 20))
    assert 60 < most <= 100
    with budget.account() as take:
        take(100)  # all of it has come back


def test_what_is_more_than_all_waits_for_all_and_goes_alone() -> None:
    budget = DecodingBudget(10)
    with budget.account() as take:
        take(1000)
    with budget.account() as take:
        take(10)


def test_a_large_one_is_not_kept_waiting_by_small_ones_that_came_later() -> None:
    budget, order = DecodingBudget(10), []
    first, release = threading.Event(), threading.Event()

    def hold() -> None:
        with budget.account() as take:
            take(5)
            first.set()
            release.wait(10)

    def note(wanted: int) -> None:
        with budget.account() as take:
            take(wanted)
            order.append(wanted)

    with ThreadPoolExecutor(4) as pool:
        pool.submit(hold)
        assert first.wait(10)
        large = pool.submit(note, 10)
        while not budget._queue:
            threading.Event().wait(0.001)
        small = pool.submit(note, 1)
        threading.Event().wait(0.05)
        assert order == []
        release.set()
        large.result(10)
        small.result(10)
    assert order == [10, 1]


def test_bytes_come_back_where_decoding_fails() -> None:
    budget = DecodingBudget(10)
    with pytest.raises(ItemPermanent), budget.account() as take:
        decode_picture(saved(scene(), "PNG")[:2000], 10**6, admit=take)
    with budget.account() as take:
        take(10)


def _cost(data: bytes, max_pixels: int = 50_000_000) -> int:
    costs: list[int] = []
    decode_picture(data, max_pixels, admit=costs.append)
    (cost,) = costs
    return cost


def test_a_jpeg_costs_what_its_draft_does_unless_it_is_progressive() -> None:
    photo = scene(3600, 3600)
    assert _cost(saved(photo, "JPEG")) == 450 * 450 * 10
    assert _cost(saved(photo, "JPEG", progressive=True)) == 450 * 450 * 10 + 3600 * 3600 * 6
    assert _cost(saved(photo, "PNG")) == 3600 * 3600 * 10


def test_a_webp_that_would_take_more_than_there_is_is_refused_from_its_header() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8000, 4000)).save(file, "WEBP", quality=1, method=0)
    with pytest.raises(ItemPermanent) as caught:
        decode_picture(file.getvalue(), 50_000_000)
    assert caught.value.code is ItemCode.IMAGE_TOO_MANY_PIXELS
    assert "25,000,000" in caught.value.message


def test_the_largest_picture_of_another_format_fits() -> None:
    for max_pixels in (1000, 50_000_000, 80_000_000):
        assert decoding_bytes(max_pixels) >= 10 * max_pixels
