"""What the ledger promises, as a plain state machine: no Redis, no Qdrant, no clock, no threads.

Written from the words of the design's section on the ledger, never from the code, so that the two
readings can be held against each other. Four things can happen to a catalogue:

* a shop's call is accepted (`accept`),
* Qdrant acknowledges the write of one change (`written`),
* a worker reports how one change ended (`reported`),
* nothing is left to do (`quiet` says so).

Changes carry a *ticket*, the model's stand-in for `rev`: 1, 2, 3 … over all products.

Where the words leave a choice, the reading taken here is named beside the rule with "Read as".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

type Fields = Mapping[str, object]


class Kind(StrEnum):
    PUT = "put"
    DELETE = "delete"
    PATCH = "patch"


class State(StrEnum):
    ABSENT = "absent"
    LIVE = "live"
    DELETED = "deleted"


class Verdict(StrEnum):
    """What a shop is told at once about one item."""

    ACCEPTED = "accepted"
    STALE = "stale"
    NOT_FOUND = "not_found"


class Outcome(StrEnum):
    PENDING = "pending"
    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    STALE = "stale"
    SUPERSEDED = "superseded"
    FAILED = "failed"


LANDED = frozenset({Outcome.INDEXED, Outcome.UNCHANGED, Outcome.DELETED})


class Contradiction(AssertionError):
    """The system did something that the design does not allow."""


@dataclass(frozen=True)
class Change:
    kind: Kind
    product_id: str
    fields: Fields = field(default_factory=lambda: MappingProxyType({}))
    version: int | None = None


@dataclass
class Item:
    """One line of a job."""

    product_id: str
    outcome: Outcome = Outcome.PENDING
    code: str | None = None

    def end(self, outcome: Outcome, code: str | None = None) -> None:
        if self.outcome is not Outcome.PENDING:
            raise Contradiction(f"{self} would end a second time, as {outcome}")
        self.outcome, self.code = outcome, code


@dataclass
class Wanted:
    """What a product shall become: a whole body, a deletion, or a delta of some fields."""

    ticket: int
    kind: Kind
    fields: Fields
    items: list[Item]


@dataclass(frozen=True)
class Content:
    """What the vector database holds for one product."""

    ticket: int = 0
    state: State = State.ABSENT
    fields: Fields = field(default_factory=lambda: MappingProxyType({}))


@dataclass
class Row:
    ticket: int = 0
    version: int | None = None
    state: State = State.ABSENT
    last_outcome: Outcome | None = None
    last_error: str | None = None
    wanted: Wanted | None = None
    content: Content = field(default_factory=Content)
    # Every change accepted, by ticket: a late worker may still bring an old one to the database.
    accepted: dict[int, Wanted] = field(default_factory=dict)


def merged(fields: Fields, patch: Fields) -> dict[str, object]:
    """`fields` after `patch`: each named field replaced whole, and removed where it says None."""
    result = dict(fields)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


class Reference:
    """The whole ledger of one tenant, and what Qdrant must hold in the end.

    `fault_of` names the code with which a body's picture fails for good, or None where it is good.
    `keeps_old_vector` says whether a put with a bad picture still lands on a product that has a
    vector already (its code then being a warning), as the design's section on reconciling has it.
    """

    def __init__(self, fault_of: Callable[[Fields], str | None], *, keeps_old_vector: bool) -> None:
        self.rows: dict[str, Row] = {}
        self.jobs: dict[str, list[Item]] = {}
        self.landings = 0  # rises with every report of a landed change, as the generation must
        self._fault_of = fault_of
        self._keeps_old_vector = keeps_old_vector
        self._ticket = 0

    def row(self, product_id: str) -> Row:
        return self.rows.setdefault(product_id, Row())

    # --- acceptance ------------------------------------------------------------------------

    def accept(self, job_id: str, changes: Sequence[Change]) -> list[Verdict]:
        """Take a call's changes in their order; its job has an item for each that was let in."""
        items = self.jobs.setdefault(job_id, [])
        return [self._accept_one(items, change) for change in changes]

    def _accept_one(self, items: list[Item], change: Change) -> Verdict:
        row = self.row(change.product_id)
        if change.kind is Kind.PATCH and not self._patchable(row):
            return Verdict.NOT_FOUND  # refused, so it becomes nobody's item
        item = Item(change.product_id)
        items.append(item)
        if change.kind is Kind.PATCH:
            self._want_patch(row, change, item)
            return Verdict.ACCEPTED
        if not self._is_newer(row, change.version):
            item.end(Outcome.STALE)
            return Verdict.STALE
        if change.version is not None:  # without one, the stored version stays
            row.version = change.version
        for overtaken in row.wanted.items if row.wanted else ():
            overtaken.end(Outcome.SUPERSEDED)
        fields = dict(change.fields) if change.kind is Kind.PUT else {}
        self._want(row, change.kind, fields, [item])
        return Verdict.ACCEPTED

    @staticmethod
    def _is_newer(row: Row, version: int | None) -> bool:
        """Higher, or equal where the last outcome was a failure; without a version: always.

        Read as: the last outcome is the last one *reported* for this product. Being stale or
        superseded happens at acceptance and is an outcome of an item, not of the product.
        """
        if version is None or row.version is None or version > row.version:
            return True
        return version == row.version and row.last_outcome is Outcome.FAILED

    @staticmethod
    def _patchable(row: Row) -> bool:
        """Read as: what is wanted decides, and only where nothing is wanted the row's state.

        So a patch right after its product's first put merges into it, and one right after a
        delete finds nothing.
        """
        if row.wanted is not None:
            return row.wanted.kind is not Kind.DELETE
        return row.state is State.LIVE

    def _want_patch(self, row: Row, change: Change, item: Item) -> None:
        wanted = row.wanted
        if wanted is None:
            self._want(row, Kind.PATCH, dict(change.fields), [item])
        elif wanted.kind is Kind.PUT:
            fields = merged(wanted.fields, change.fields)
            self._want(row, Kind.PUT, fields, [*wanted.items, item])
        else:  # a delta keeps its None: the removal is yet to be done
            self._want(row, Kind.PATCH, {**wanted.fields, **change.fields}, [*wanted.items, item])

    def _want(self, row: Row, kind: Kind, fields: Fields, items: list[Item]) -> None:
        self._ticket += 1
        row.ticket = self._ticket
        row.wanted = Wanted(self._ticket, kind, MappingProxyType(dict(fields)), items)
        row.accepted[self._ticket] = row.wanted

    # --- the worker's steps ----------------------------------------------------------------

    def written(self, product_id: str, ticket: int) -> None:
        """Qdrant was asked to write this change; only a newer one than it holds takes effect."""
        row = self.row(product_id)
        if ticket not in row.accepted:
            raise Contradiction(f"{product_id}: ticket {ticket} was never accepted")
        if ticket <= row.content.ticket:
            return
        change = row.accepted[ticket]
        if change.kind is Kind.DELETE:
            row.content = Content(ticket, State.DELETED)
            return
        if change.kind is Kind.PATCH:
            if row.content.state is not State.LIVE:
                raise Contradiction(f"{product_id}: a delta was written on {row.content}")
            fields = merged(row.content.fields, change.fields)
        else:
            if self._fault_of(change.fields) and not self._may_keep_vector(row):
                raise Contradiction(f"{product_id}: a put without a usable picture was written")
            fields = dict(change.fields)
        row.content = Content(ticket, State.LIVE, MappingProxyType(fields))

    def _may_keep_vector(self, row: Row) -> bool:
        return self._keeps_old_vector and row.content.state is State.LIVE

    def reported(
        self, product_id: str, ticket: int, outcome: Outcome, code: str | None = None
    ) -> bool:
        """A worker says how this change ended. Only the wanted ticket's first report counts.

        Returns whether it counted: a report of an overtaken change moves no item, no row.
        """
        row = self.row(product_id)
        if outcome in LANDED:
            self.landings += 1  # also where it was applied already
            if row.content.ticket < ticket:
                raise Contradiction(f"{product_id}: {outcome} said before Qdrant had {ticket}")
        wanted = row.wanted
        if wanted is None or wanted.ticket != ticket:
            return False
        self._check(row, wanted, outcome, code)
        for item in wanted.items:
            item.end(outcome, code)
        row.last_outcome = outcome
        row.last_error = code if outcome is Outcome.FAILED else None
        if outcome in LANDED:
            row.state = State.DELETED if wanted.kind is Kind.DELETE else State.LIVE
        row.wanted = None
        return True

    def _check(self, row: Row, wanted: Wanted, outcome: Outcome, code: str | None) -> None:
        allowed = self._allowed(row, wanted)
        if (outcome, code) not in allowed:
            raise Contradiction(f"{wanted} ended {outcome} ({code}), allowed: {sorted(allowed)}")

    def _allowed(self, row: Row, wanted: Wanted) -> set[tuple[Outcome, str | None]]:
        """How this change may end.

        Read as: `unchanged` is a saying about work saved and stands wherever `indexed` may, since
        a change that was written before its worker stopped finds itself done already.
        """
        landed = {Outcome.INDEXED, Outcome.UNCHANGED}
        if wanted.kind is Kind.DELETE:
            return {(Outcome.DELETED, None)}
        if wanted.kind is Kind.PATCH:
            return {(outcome, None) for outcome in landed}
        fault = self._fault_of(wanted.fields)
        if fault is None:
            return {(outcome, None) for outcome in landed}
        if row.content.ticket == wanted.ticket:
            return {(outcome, each) for outcome in landed for each in (fault, None)}
        return {(Outcome.FAILED, fault)}

    # --- the end ---------------------------------------------------------------------------

    def quiet(self) -> bool:
        return all(row.wanted is None for row in self.rows.values())

    def counts(self, job_id: str) -> dict[str, int]:
        outcomes = [item.outcome for item in self.jobs[job_id]]
        return {"received": len(outcomes)} | {str(each): outcomes.count(each) for each in Outcome}

    def doubtful(self) -> Iterable[str]:
        """Products whose row and content need not agree.

        A superseded change may have been written without its report counting. If the change that
        superseded it then failed, the row says how things stood before both.
        """
        return [
            product_id
            for product_id, row in self.rows.items()
            if row.last_outcome is Outcome.FAILED and row.state is not row.content.state
        ]
