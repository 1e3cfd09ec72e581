"""The ledger's content as records that any Redis can take back, and the taking back.

Why it is read in this order, so that it holds together although writes go on:
docs/decisions/0010-backup.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import orjson
import redis

from shared.ledger.connection import PREFIX, translated
from shared.ledger.scripts import script_source

_AT_ONCE: Final = 250
"""Products per round trip; a body has up to some 10 kB."""

_SCAN_COUNT: Final = 1000

_Item = TypeVar("_Item")

Record = dict[str, Any]
"""One product, job or idempotency key, ready for JSON; `kind` tells which."""

PRODUCT: Final = "product"
JOB: Final = "job"
IDEMPOTENCY: Final = "idempotency"


@dataclass(frozen=True, slots=True)
class RestoredStates:
    """Rows and wanted states taken from a backup, and products left for something newer."""

    rows: int = 0
    waiting: int = 0
    left: int = 0

    def __add__(self, other: "RestoredStates") -> "RestoredStates":
        return RestoredStates(
            self.rows + other.rows, self.waiting + other.waiting, self.left + other.left
        )


class LedgerSnapshot:
    """Reads everything that a backup keeps. Methods raise `LedgerUnavailable`."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def records(self) -> Iterator[Record]:
        """All products, then the jobs that were promised before the first product was read, then
        the idempotency keys of these.

        Every item that is pending in such a job waits in a product's record: it was accepted
        before the products were read, and what ends meanwhile has ended when its job is read.
        """
        promised = self._promised_jobs()
        yield from self._products()
        yield from self._jobs(promised)
        yield from self._idempotency_keys({job for _, job in promised})

    def _promised_jobs(self) -> Sequence[tuple[str, str]]:
        """Tenant and id of each job that is sealed: 24 characters each, some thousands of them."""
        found: list[tuple[str, str]] = []
        for name in ("open", "ended"):
            start = f"{PREFIX}jobs:{name}:"
            for key in self._scan(f"{start}*"):
                with translated():
                    jobs = cast("list[str]", self._redis.zrange(key, 0, -1))
                found += [(key.removeprefix(start), job) for job in jobs]
        return list(dict.fromkeys(found))

    def _products(self) -> Iterator[Record]:
        start = f"{PREFIX}row:"
        for keys in _parts(self._scan(f"{start}*")):
            names = [key.removeprefix(start) for key in keys]
            # A product's three parts of one moment.
            with translated(), self._redis.pipeline(transaction=True) as pipeline:
                for name in names:
                    pipeline.hgetall(f"{PREFIX}row:{name}")
                    pipeline.pttl(f"{PREFIX}row:{name}")
                    pipeline.hgetall(f"{PREFIX}wanted:{name}")
                    pipeline.hgetall(f"{PREFIX}kept:{name}")
                    pipeline.pttl(f"{PREFIX}kept:{name}")
                held = pipeline.execute()
            for at, name in enumerate(names):
                facts = held[5 * at : 5 * at + 5]
                if facts[0]:  # else its row has expired meanwhile
                    yield _product(name, facts)

    def _jobs(self, promised: Sequence[tuple[str, str]]) -> Iterator[Record]:
        for tenant, job in promised:
            with translated(), self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hgetall(f"{PREFIX}job:{tenant}:{job}")
                pipeline.hgetall(f"{PREFIX}items:{tenant}:{job}")
                pipeline.pttl(f"{PREFIX}job:{tenant}:{job}")
                fields, items, ttl = pipeline.execute()
            if fields:
                record = {"kind": JOB, "tenant": tenant, "job": job, "ttl": ttl}
                yield record | {"fields": fields, "items": items}

    def _idempotency_keys(self, jobs: set[str]) -> Iterator[Record]:
        start = f"{PREFIX}idempotency:"
        for keys in _parts(self._scan(f"{start}*")):
            with translated(), self._redis.pipeline(transaction=True) as pipeline:
                for key in keys:
                    pipeline.get(key)
                    pipeline.pttl(key)
                held = pipeline.execute()
            for key, value, ttl in zip(keys, held[0::2], held[1::2], strict=True):
                if value and value.partition(" ")[0] in jobs:
                    name = key.removeprefix(start)
                    yield {"kind": IDEMPOTENCY, "name": name, "value": value, "ttl": ttl}

    def _scan(self, pattern: str) -> Iterator[str]:
        """Each key at least once that is there all the time."""
        keys = self._redis.scan_iter(pattern, count=_SCAN_COUNT)
        while True:
            with translated():
                key = next(keys, None)
            if key is None:
                return
            yield str(key)


class LedgerRestore:
    """Takes records back, in the order: jobs and idempotency keys, then products.

    A state that the ledger knows already, or a newer one, stays. Methods raise `LedgerUnavailable`,
    and `LedgerFull` if Redis has too little memory.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._restore = client.register_script(script_source("restore"))

    def job(self, record: Record) -> None:
        """The job with its items, in its tenant's list."""
        tenant, job, fields = record["tenant"], record["job"], record["fields"]
        key, items = f"{PREFIX}job:{tenant}:{job}", f"{PREFIX}items:{tenant}:{job}"
        ended = "finished_at" in fields
        listed = f"{PREFIX}jobs:{'ended' if ended else 'open'}:{tenant}"
        with translated():
            if self._redis.exists(key):
                return
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=fields)
                if record["items"]:
                    pipeline.hset(items, mapping=record["items"])
                pipeline.zadd(listed, {job: fields["created_at"]})
                if ended:
                    pipeline.expire(listed, fields["retention"])
                    for held in (key, items):
                        pipeline.pexpire(held, max(1, record["ttl"]))
                pipeline.execute()

    def idempotency_key(self, record: Record) -> None:
        """The key, unless it has been used anew."""
        with translated():
            self._redis.set(
                f"{PREFIX}idempotency:{record['name']}",
                record["value"],
                px=max(1, record["ttl"]),
                nx=True,
            )

    def products(self, records: Sequence[Record]) -> RestoredStates:
        """Rows, wanted states, and those kept for retries."""
        states = RestoredStates()
        for part in _parts(iter(records)):
            arguments = [orjson.dumps(record) for record in part]
            with translated():
                states += RestoredStates(*self._restore(args=[PREFIX, *arguments]))
        return states


def _product(name: str, held: Sequence[Any]) -> Record:
    """`held`: the row and its TTL in ms, the wanted state, the kept one and its TTL."""
    row, row_ttl, wanted, kept, kept_ttl = held
    tenant, _, product = name.partition(":")
    record: Record = {"kind": PRODUCT, "tenant": tenant, "product": product, "row": row}
    if row_ttl > 0:
        record["row_ttl"] = row_ttl
    if wanted:
        record["wanted"] = wanted
    if kept and kept_ttl > 0:
        record |= {"kept": kept, "kept_ttl": kept_ttl}
    return record


def _parts(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    part: list[_Item] = []
    for item in items:
        part.append(item)
        if len(part) == _AT_ONCE:
            yield part
            part = []
    if part:
        yield part
