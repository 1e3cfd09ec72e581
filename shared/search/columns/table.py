"""The newest columns of each tenant, kept up with what the workers report."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, Protocol

from shared.breaker import Breaker
from shared.errors import LedgerUnavailable, SearchTimeout, VitrineError
from shared.ledger import ChangeLog, Changes
from shared.metrics import (
    COLUMNS_BUILD_SECONDS,
    COLUMNS_BUILDS,
    COLUMNS_MEND_SECONDS,
    COLUMNS_MENDED,
    COLUMNS_PRODUCTS,
)
from shared.search.columns.columns import MAX_PRODUCTS, Columns, TooLarge
from shared.search.columns.mending import OverLimit, mended, no_columns
from shared.search.columns.rows import PAYLOAD_OF_ROW, Row

MAX_HELD: Final = 500_000
"""Products in the tables of all tenants. Beyond, the table that was asked for longest ago goes."""

_AT_ONCE: Final = 1000
"""Products per request to Qdrant."""

_PAGES_AT_ONCE: Final = 5
"""Pages that are taken in together while a table is built: each time its arrays are copied."""

_TOO_LARGE_SECONDS: Final = 600.0
"""For so long a tenant with too many products isn't counted again."""

_UNWATCHED_SECONDS: Final = 10.0
"""For so long columns are used while the ledger doesn't say what has changed."""


class Payloads(Protocol):
    """The part of `QdrantService` that columns are read from."""

    def live_payloads(
        self, tenant: str, product_ids: Sequence[str], fields: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """By id the live products among these."""
        ...

    def all_live_payloads(
        self, tenant: str, fields: Sequence[str], page: int
    ) -> Iterator[list[dict[str, Any]]]:
        """All live products, page by page."""
        ...


@dataclass(slots=True, eq=False)
class _Held:
    """Columns, and the position of the change log that they stand for.

    `position` is empty if the ledger gave none. `confirmed` is the moment at which nothing newer
    was known, on the monotonic clock.
    """

    columns: Columns | TooLarge
    position: str
    confirmed: float

    def is_younger_than(self, seconds: float) -> bool:
        return time.monotonic() < self.confirmed + seconds

    @property
    def products(self) -> int:
        return 0 if isinstance(self.columns, TooLarge) else len(self.columns)


@dataclass(slots=True, eq=False)
class _Tenant:
    name: str
    held: _Held | None = None
    building: Future[None] | None = None
    mending: threading.Lock = field(default_factory=threading.Lock)


class ColumnTable:
    """A snapshot of each tenant's products for all threads of a process.

    The first request of a tenant builds its table by reading all its products from Qdrant. Later
    ones read from the change log which products were reported since, and those products alone.

    A snapshot stands for its generation: every change that was reported before the generation was
    read is in it, because a worker writes to Qdrant before it reports, and the products are read
    from Qdrant after the log. So a search that starts after a job has succeeded never shows the
    state before it. Of a product that was read for another reason, a snapshot may hold a change
    that nobody has reported yet. It is never taken back: its report, which follows, names the
    product once more. Two processes may differ in such products until then.
    """

    def __init__(
        self,
        qdrant: Payloads,
        log: ChangeLog,
        *,
        timeout_seconds: float,
        max_products: int = MAX_PRODUCTS,
        max_held: int = MAX_HELD,
    ) -> None:
        """`timeout_seconds`: the longest that one waits for columns. Building goes on behind."""
        self._qdrant = qdrant
        self._log = log
        self._timeout_seconds = timeout_seconds
        self._max_products = max_products
        self._max_held = max_held
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()
        self._lock = threading.Lock()
        self._builders = ThreadPoolExecutor(1, thread_name_prefix="columns")
        self._ledger_down = Breaker(1.0)

    def close(self) -> None:
        """Waits for a table that is being built."""
        self._builders.shutdown(cancel_futures=True)

    def at(self, tenant: str) -> Columns | TooLarge:
        """The tenant's products as of now, under the generation that they stand for.

        While the ledger is away, or doesn't know the tenant's generation, the columns may be
        10 seconds old, and have no generation.

        Raises QdrantUnavailable, QdrantRejected, and SearchTimeout while the table is built.
        """
        deadline = time.monotonic() + self._timeout_seconds
        state = self._tenant(tenant)
        while True:
            held = state.held
            if (
                held is not None
                and isinstance(held.columns, TooLarge)
                and held.is_younger_than(_TOO_LARGE_SECONDS)
            ):
                return held.columns
            changes = self._changes(tenant, held.position if held else "")
            columns = self._brought_up(state, held, changes, deadline) if held else None
            if columns is not None:
                return columns
            self._build(state, held, deadline)

    def _tenant(self, name: str) -> _Tenant:
        with self._lock:
            state = self._tenants.setdefault(name, _Tenant(name))
            self._tenants.move_to_end(name)
            return state

    def _changes(self, tenant: str, position: str) -> Changes | None:
        """None if the ledger can't tell."""
        if self._ledger_down.is_open:
            return None
        try:
            return self._log.since(tenant, position)
        except LedgerUnavailable:
            self._ledger_down.trip()
            return None

    def _brought_up(
        self, state: _Tenant, held: _Held, changes: Changes | None, deadline: float
    ) -> Columns | None:
        """The columns as of these changes or later ones; None if they have to be built."""
        columns = held.columns
        if isinstance(columns, TooLarge):
            return None
        if changes is None:
            fresh = held.is_younger_than(_UNWATCHED_SECONDS)
            return replace(columns, generation=None) if fresh else None
        if changes.products is None:
            return None
        if changes.position == held.position:
            held.confirmed = time.monotonic()
            return columns
        newest = self._newest(state, held, columns, changes, deadline)
        if newest is None or int(newest.position) >= int(changes.position):
            return newest.columns if newest and isinstance(newest.columns, Columns) else None
        # Another thread has gone on from the same columns, and seen less than this one.
        again = self._changes(state.name, newest.position)
        return self._brought_up(state, newest, again, deadline)

    def _newest(
        self, state: _Tenant, held: _Held, columns: Columns, changes: Changes, deadline: float
    ) -> _Held | None:
        """What is held once these changes are taken in, or those that another thread has seen; None
        if it has to be built."""
        with _taken(state.mending, deadline):
            if state.held is held:
                state.held = self._mended(state.name, columns, changes)
            return state.held if state.held and state.held.position else None

    @COLUMNS_MEND_SECONDS.time()
    def _mended(self, tenant: str, columns: Columns, changes: Changes) -> _Held:
        now = time.monotonic()
        products = sorted(changes.products or ())
        rows: dict[str, Row | None] = dict.fromkeys(products)
        for start in range(0, len(products), _AT_ONCE):
            part = products[start : start + _AT_ONCE]
            payloads = self._qdrant.live_payloads(tenant, part, PAYLOAD_OF_ROW)
            rows |= {key: Row.of(payload) for key, payload in payloads.items()}
        COLUMNS_MENDED.inc(len(products))
        try:
            after = mended(columns, rows, changes.generation, self._max_products)
        except OverLimit:
            return _Held(TooLarge(self._max_products), changes.position, now)
        return _Held(after, changes.position, now)

    def _build(self, state: _Tenant, held: _Held | None, deadline: float) -> None:
        """Has the table read anew, once for all who wait for it, unless somebody else has had it
        since `held` was looked at."""
        with self._lock:
            building = state.building
            if building is None or building.done():
                if state.held is not held:
                    return
                building = state.building = self._builders.submit(self._read_anew, state)
        try:
            building.result(max(0.0, deadline - time.monotonic()))
        except NotInTime as err:
            raise SearchTimeout("the catalogue is being read; ask again in some seconds") from err

    def _read_anew(self, state: _Tenant) -> None:
        try:
            with COLUMNS_BUILD_SECONDS.time():
                held = self._built(state.name)
        except VitrineError:
            COLUMNS_BUILDS.labels("failed").inc()
            raise
        COLUMNS_BUILDS.labels("too_large" if isinstance(held.columns, TooLarge) else "built").inc()
        with state.mending:
            state.held = held
        self._drop_oldest(state)

    def _built(self, tenant: str) -> _Held:
        now = time.monotonic()
        # Before the products: what is reported while they are read is read once more.
        changes = self._changes(tenant, "")
        position = changes.position if changes else ""
        generation = changes.generation if changes else None
        columns = no_columns()
        pages = self._qdrant.all_live_payloads(tenant, PAYLOAD_OF_ROW, _AT_ONCE)
        try:
            while part := list(islice(pages, _PAGES_AT_ONCE)):
                rows = [Row.of(payload) for page in part for payload in page]
                by_id = {row.id: row for row in rows}
                columns = mended(columns, by_id, generation, self._max_products)
        except OverLimit:
            return _Held(TooLarge(self._max_products), position, now)
        return _Held(columns, position, now)

    def _drop_oldest(self, newest: _Tenant) -> None:
        """Keeps the tables of all tenants within bounds."""
        with self._lock:
            held = {each.name: each.held.products for each in self._tenants.values() if each.held}
            for name, products in list(held.items()):
                if sum(held.values()) <= self._max_held or name == newest.name:
                    break
                if products:
                    self._tenants[name].held = None
                    del held[name]
            COLUMNS_PRODUCTS.set(sum(held.values()))


@contextmanager
def _taken(lock: threading.Lock, deadline: float) -> Iterator[None]:
    if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise SearchTimeout("the catalogue's changes are being read too slowly")
    try:
        yield
    finally:
        lock.release()
