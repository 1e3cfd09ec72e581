"""Pictures decoded at once share one bound on memory."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from shared.embedding.decoding.costs import decoding_bytes
from shared.embedding.decoding.pictures import decode_picture
from shared.errors import EncoderBusy, ItemCode, ItemPermanent
from shared.memory import MemoryBudget
from tests.unit.embedding.drawn import saved, scene
from tests.unit.embedding.odd_files import colours_apart


def test_no_more_is_taken_at_once_than_there_is() -> None:
    budget = MemoryBudget(100)
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
    budget = MemoryBudget(10)
    with budget.account() as take:
        take(1000)
    with budget.account() as take:
        take(10)


def test_a_large_one_is_not_kept_waiting_by_small_ones_that_came_later() -> None:
    budget, order = MemoryBudget(10), []
    first, release = threading.Event(), threading.Event()

    def hold() -> None:
        with budget.account() as take:
            take(5)
            first.set()
            release.wait(60)

    def note(wanted: int) -> None:
        with budget.account() as take:
            take(wanted)
            order.append(wanted)

    with ThreadPoolExecutor(4) as pool:
        pool.submit(hold)
        assert first.wait(60)
        large = pool.submit(note, 10)
        while not budget._line:
            threading.Event().wait(0.001)
        small = pool.submit(note, 1)
        threading.Event().wait(0.05)
        assert order == []
        release.set()
        large.result(60)
        small.result(60)
    assert order == [10, 1]


def test_bytes_come_back_where_decoding_fails() -> None:
    budget = MemoryBudget(10)
    with pytest.raises(ItemPermanent), budget.account() as take:
        decode_picture(saved(scene(), "PNG")[:2000], 10**6, admit=take)
    with budget.account() as take:
        take(10)


class Decoding:
    """Pictures in threads of their own that take bytes and hold them until they are told."""

    def __init__(self, budget: MemoryBudget) -> None:
        self.budget = budget
        self.order: list[str] = []
        self._ends: list[threading.Event] = []
        self._pool = ThreadPoolExecutor(16)

    def __enter__(self) -> "Decoding":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._pool.shutdown()

    def start(self, name: str, wanted: int, *, urgent: bool = False) -> threading.Event:
        """Returns once the picture holds its bytes or stands in line; what ends it."""
        ended = threading.Event()
        self._ends.append(ended)
        self._pool.submit(self._hold, name, wanted, urgent, ended)
        while self._seen() < len(self._ends):
            threading.Event().wait(0.001)
        return ended

    def end(self) -> None:
        """Ends all, and those that come to their turn by it."""
        for ended in self._ends:
            ended.set()
        self._pool.shutdown()

    def _seen(self) -> int:
        with self.budget._changed:
            return len(self.order) + len(self.budget._line) + len(self.budget._urgent_line)

    def _hold(self, name: str, wanted: int, urgent: bool, ended: threading.Event) -> None:
        with self.budget.account(urgent=urgent) as take:
            take(wanted)
            with self.budget._changed:
                self.order.append(name)
            ended.wait(60)


def test_an_urgent_picture_waits_for_none_of_a_line_of_large_ones() -> None:
    with Decoding(MemoryBudget(100, reserve=10)) as decoding:
        for number in range(8):
            decoding.start(f"large {number}", 100)
        decoding.start("urgent", 3, urgent=True)
        decoding.start("another", 7, urgent=True)
        assert decoding.order == ["large 0", "urgent", "another"]


def test_a_large_urgent_picture_is_next_and_none_are_kept_waiting_for_ever() -> None:
    with Decoding(MemoryBudget(100, reserve=10)) as decoding:
        first = decoding.start("bulk 0", 100)
        for number in (1, 2, 3):
            decoding.start(f"bulk {number}", 100)
        for number in (1, 2):
            decoding.start(f"urgent {number}", 100, urgent=True)
        first.set()
        decoding.end()
        assert decoding.order == ["bulk 0", "urgent 1", "bulk 1", "urgent 2", "bulk 2", "bulk 3"]


def test_what_waits_too_long_gives_up_and_keeps_nobody_else_waiting() -> None:
    with Decoding(MemoryBudget(100, reserve=10)) as decoding:
        decoding.start("half", 50)
        for urgent in (True, False):
            started = time.monotonic()
            with (
                pytest.raises(EncoderBusy) as caught,
                decoding.budget.account(urgent=urgent, timeout=0.1) as take,
            ):
                take(60)
            assert caught.value.retry_after
            assert 0.09 < time.monotonic() - started < 30
        decoding.start("the other half", 50)
        assert decoding.order == ["half", "the other half"]


def test_having_no_place_is_no_fault_of_the_picture() -> None:
    with Decoding(MemoryBudget(10)) as decoding:
        decoding.start("all", 10)
        with (
            pytest.raises(EncoderBusy),
            decoding.budget.account(timeout=0.01) as take,
        ):
            decode_picture(saved(scene(), "PNG"), 10**6, admit=take)


def _cost(data: bytes, max_pixels: int = 50_000_000) -> int:
    costs: list[int] = []
    decode_picture(data, max_pixels, admit=costs.append)
    (cost,) = costs
    return cost


def test_a_jpeg_costs_what_its_draft_does_unless_it_is_progressive() -> None:
    photo = scene(3600, 3600)
    assert _cost(saved(photo, "JPEG")) == 450 * 450 * 10
    assert _cost(saved(photo, "JPEG", progressive=True)) == 450 * 450 * 10 + 3600 * 3600 * 3
    full = saved(photo, "JPEG", progressive=True, subsampling=0)
    assert _cost(full) == 450 * 450 * 10 + 3600 * 3600 * 6
    assert _cost(colours_apart(photo)) == 450 * 450 * 10 + 3600 * 3600 * 6
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
