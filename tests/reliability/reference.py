"""What the ledger promises, as a plain state machine: no Redis, no Qdrant, no clock, no threads.

Written from the words of the design's sections on the ledger and on reconciling, never from the
code, so that two readings can be held against each other. What can happen to a catalogue:

* a shop's call is accepted (`accept`),
* a worker leases what is wanted (`claimed`), or a lease runs out (`lease_lost`),
* a worker asks what has been patched of a put that it holds (`refreshed`), or is alone with a
  product that may have killed another worker (`stood_alone`),
* Qdrant comes to hold one change (`written`), or all of a put but its picture (`fields_written`),
* a worker reports how one change ended (`reported`) or wants to try again (`put_off`).

Each method raises `Contradiction` where the system did what the words do not allow.

Changes carry a *ticket*, the model's stand-in for `rev`: 1, 2, 3 … over all products.

Where the words leave a choice, the reading taken here is named beside the rule with "Read as".
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

Fields = Mapping[str, object]


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
    """What a product shall become: a whole body, a deletion, or a delta of some fields.

    `holder` is who leased it last; `lost` says that this lease ran out, `alone` that its holder did
    with it alone, in its whole process, what may have made it run out. `met` is what the index held
    when each holder began. `looked_for`: its picture was missing once and is looked for again.
    """

    ticket: int
    kind: Kind
    fields: Fields
    items: list[Item]
    version: int | None = None
    attempts: int = 0
    holder: object = None
    lost: bool = False
    alone: bool = False
    looked_for: bool = False
    met: dict[object, "Content"] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """What the vector database holds for one product.

    `pictures`: the one behind its vector; two where a passing fault leaves open which it is.
    `doubtful`: its own picture is, or may be, another one that could not be used.
    `awaits_picture`: the fields are this ticket's, the picture and its URL are those of before.
    """

    ticket: int = 0
    state: State = State.ABSENT
    fields: Fields = field(default_factory=lambda: MappingProxyType({}))
    pictures: frozenset[object] = frozenset()
    version: int | None = None
    doubtful: bool = False
    awaits_picture: bool = False

    def holds(self, ticket: int) -> bool:
        """Whether this change, or a newer one, stands whole."""
        return self.ticket > ticket or (self.ticket == ticket and not self.awaits_picture)

    def looks_like(self, other: "Content") -> bool:
        seen, also = self, other
        return (seen.state, seen.fields, seen.pictures) == (also.state, also.fields, also.pictures)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a picture. One that is not `lasting` may be gone at the next try.

    `comes_late`: a new picture may only not be there yet, so it is looked for once more.
    """

    code: str
    lasting: bool = True
    comes_late: bool = False


@dataclass
class Row:
    ticket: int = 0
    version: int | None = None
    state: State = State.ABSENT
    last_outcome: Outcome | None = None
    last_error: str | None = None
    # The newest put or delete that has not landed whole: it failed, or left the old picture.
    incomplete: int | None = None
    wanted: Wanted | None = None
    content: Content = field(default_factory=Content)
    # Every change accepted, by ticket: a late worker may still bring an old one to the database.
    accepted: dict[int, Wanted] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)


def merged(fields: Fields, patch: Fields) -> dict[str, object]:
    """`fields` after `patch`: what says None is removed, what has keys is merged by key."""
    result = dict(fields)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            held = result.get(name)
            result[name] = merged(held if isinstance(held, Mapping) else {}, value)
        else:
            result[name] = value
    return result


def together(first: Fields, second: Fields) -> dict[str, object]:
    """One patch that does what both do; it keeps its None: the removals are yet to be done."""
    result = dict(first)
    for name, value in second.items():
        held = result.get(name)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            result[name] = {**held, **value}
        else:
            result[name] = value
    return result


class Reference:
    """The whole ledger of one tenant, and what Qdrant must hold in the end.

    `fault_of` says what is wrong with a body's picture, or None where it is good.
    `max_attempts` bounds how often one change may be tried through its own fault.
    """

    def __init__(
        self,
        fault_of: Callable[[Fields], Fault | None],
        *,
        max_attempts: int,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.jobs: dict[str, list[Item]] = {}
        self._fault_of = fault_of
        self._max_attempts = max_attempts
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

        Read as: the last outcome *reported* of a put or a delete. Being stale or superseded happens
        at acceptance and is an outcome of an item, not of the product; a patch leaves alone what
        had failed; a put whose picture could not be used has failed in part.
        """
        if version is None or row.version is None or version > row.version:
            return True
        return version == row.version and row.incomplete is not None

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
        else:
            fields = together(wanted.fields, change.fields)
            self._want(row, Kind.PATCH, fields, [*wanted.items, item])
        if wanted is not None and row.wanted is not None:
            self._keep_record(wanted, row.wanted)

    @staticmethod
    def _keep_record(before: Wanted, merged: Wanted) -> None:
        """What a merge leaves as it was.

        Read as: it is the same wish, some fields richer. Attempts stay counted, a key that stood
        alone still does, and one that is leased now stays so until its holder reports, or its lease
        is lost, too. A holder that has lost it may no more put it off.
        """
        merged.attempts = before.attempts
        merged.holder = "lost" if before.lost else before.holder
        merged.lost, merged.alone = before.lost, before.alone
        merged.looked_for = before.looked_for

    def _want(self, row: Row, kind: Kind, fields: Fields, items: list[Item]) -> None:
        self._ticket += 1
        row.ticket = self._ticket
        frozen = MappingProxyType(dict(fields))
        row.wanted = Wanted(self._ticket, kind, frozen, items, row.version)
        row.accepted[self._ticket] = row.wanted

    # --- the worker's steps ----------------------------------------------------------------

    def claimed(self, holder: object, taken: Sequence[tuple[str, int, Kind, Fields, bool]]) -> None:
        """One task leases products: their wanted state as it is now, and nothing held elsewhere.

        A lease that was lost while the key stood alone counts as an attempt.
        """
        for product_id, ticket, kind, fields, suspect in taken:
            row = self.row(product_id)
            wanted = row.wanted
            if wanted is None or wanted.ticket != ticket:
                raise Contradiction(f"{product_id}: {ticket} was handed out, wanted is {wanted}")
            if kind is not wanted.kind or dict(fields) != dict(wanted.fields):
                raise Contradiction(f"{product_id}: {kind} {fields} handed out, wanted {wanted}")
            if wanted.holder is not None and not wanted.lost:
                raise Contradiction(f"{product_id}: leased twice, to {wanted.holder} and {holder}")
            if suspect is not wanted.lost:
                raise Contradiction(f"{product_id}: suspect: {suspect}, of {wanted}")
            wanted.attempts += wanted.lost and wanted.alone
            wanted.alone = wanted.lost = False
            wanted.holder = holder
            wanted.met[holder] = row.content

    def refreshed(
        self, product_id: str, known: int, holder: object, newest: tuple[int, Fields] | None
    ) -> None:
        """A task that leased a put as `known` is told how it is wanted now.

        `newest`: its ticket and fields; None says that the task holds it no more. Read as: it still
        is the work that the task began, so what the index held counts as it was then.
        """
        row = self.row(product_id)
        wanted = row.wanted
        if wanted is None or wanted.holder != holder:
            if newest is not None:
                raise Contradiction(f"{product_id}: {newest} was told to {holder} of {wanted}")
            return
        if newest is None:
            raise Contradiction(f"{product_id}: {holder} was told that it lost {wanted}")
        ticket, fields = newest
        if (ticket, dict(fields)) != (wanted.ticket, dict(wanted.fields)):
            raise Contradiction(f"{product_id}: {ticket} {fields} told, wanted {wanted}")
        wanted.met[holder] = row.accepted[known].met[holder]

    def stood_alone(self, product_id: str, holder: object, *, held: bool) -> None:
        """A task begins alone with a product what may kill its process, if it still holds it."""
        wanted = self.row(product_id).wanted
        if held is not (wanted is not None and wanted.holder == holder):
            raise Contradiction(f"{product_id}: held by {holder}: {held}, of {wanted}")
        if wanted is not None and held:
            wanted.alone = True

    def lease_lost(self, product_id: str) -> None:
        """The lease ran out: its holder stopped, or is slow and may yet write and report."""
        wanted = self.row(product_id).wanted
        if wanted is not None and wanted.holder is not None:
            wanted.lost = True

    def put_off(
        self,
        product_id: str,
        ticket: int,
        holder: object,
        *,
        own_fault: bool = True,
        code: str | None = None,
    ) -> None:
        """A worker wants to try again later; only an item's own fault counts as an attempt.

        Read as: only the word of who holds the lease counts, also of what was patched meanwhile.
        """
        row = self.row(product_id)
        wanted = row.wanted
        if wanted is None or wanted.holder != holder:
            return
        if own_fault:
            self._check_reason(wanted, row.accepted[ticket].met[holder], code)
            self._check_fields_stand(row, ticket, holder)
            wanted.attempts += 1
        # Else it was decided about a picture that is another one by now.
        wanted.holder, wanted.lost, wanted.alone = None, False, False

    def _check_reason(self, wanted: Wanted, met: Content, code: str | None) -> None:
        fault = self._fault_of(wanted.fields) if wanted.kind is Kind.PUT else None
        if fault is None or fault.code != code:
            raise Contradiction(f"{wanted}: put off for {code}, a fault that it has not")
        if self._comes_late(wanted, met):
            wanted.looked_for = True
        elif fault.lasting:
            raise Contradiction(f"{wanted}: put off for {code}, which stays")

    def _comes_late(self, wanted: Wanted, met: Content) -> bool:
        """Whether its picture is missing, and new, and was not looked for again yet."""
        fault = self._fault_of(wanted.fields)
        known = (
            met.state is State.LIVE and met.fields.get("image_url") == wanted.fields["image_url"]
        )
        return fault is not None and fault.comes_late and not known and not wanted.looked_for

    @staticmethod
    def _check_fields_stand(row: Row, ticket: int, holder: object) -> None:
        """Of a live product the fields are in the index before its picture is waited for.

        Read as: of one that its worker met live. Another may have brought it there, or deleted it,
        meanwhile.
        """
        met, now = row.accepted[ticket].met[holder], row.content
        if met.state is now.state is State.LIVE and now.ticket < ticket:
            raise Contradiction(f"{row.accepted[ticket]}: its fields wait for its picture: {now}")

    def fields_written(self, product_id: str, ticket: int) -> None:
        """Qdrant now holds all of this put but its picture, beside the one that was there."""
        row = self.row(product_id)
        change, before = row.accepted.get(ticket), row.content
        if change is None or change.kind is not Kind.PUT or before.state is not State.LIVE:
            raise Contradiction(f"{product_id}: {change} was written without picture on {before}")
        if ticket <= before.ticket:
            raise Contradiction(f"{product_id}: {ticket} took the place of {before}")
        row.written.append(ticket)
        fields = {**change.fields, "image_url": before.fields["image_url"]}
        row.content = Content(
            ticket,
            State.LIVE,
            MappingProxyType(fields),
            before.pictures,
            change.version,
            before.doubtful,
            awaits_picture=True,
        )

    def written(self, product_id: str, ticket: int) -> None:
        """Qdrant now holds this change whole. It never goes back to an older one."""
        row = self.row(product_id)
        if ticket not in row.accepted:
            raise Contradiction(f"{product_id}: ticket {ticket} was never accepted")
        if row.content.holds(ticket):
            raise Contradiction(f"{product_id}: {ticket} took the place of {row.content}")
        change = row.accepted[ticket]
        row.written.append(ticket)
        if change.kind is Kind.DELETE:
            row.content = Content(ticket, State.DELETED, version=change.version)
            return
        live = row.content.state is State.LIVE
        fields, version = dict(change.fields), change.version
        pictures, doubtful = frozenset([fields.get("image_url")]), False
        if change.kind is Kind.PATCH:
            if not live:
                raise Contradiction(f"{product_id}: a delta was written on {row.content}")
            fields, pictures = merged(row.content.fields, fields), row.content.pictures
            doubtful, version = row.content.doubtful, row.content.version
        elif fault := self._fault_of(fields):
            kept = row.content.pictures if live else frozenset()
            if fault.lasting and not kept:
                raise Contradiction(f"{product_id}: a put without a usable picture was written")
            pictures = kept if fault.lasting else kept | pictures
            doubtful = bool(kept)
        elif live and change.attempts >= self._max_attempts:
            # Its workers stopped too often to look at its picture again, unless one was only slow.
            pictures, doubtful = row.content.pictures | pictures, True
        frozen = MappingProxyType(fields)
        row.content = Content(ticket, State.LIVE, frozen, pictures, version, doubtful)

    def reported(
        self,
        product_id: str,
        ticket: int,
        holder: object,
        outcome: Outcome,
        code: str | None = None,
    ) -> None:
        """A worker says how this change ended; whoever leases it now, or ever did.

        Items end exactly once. The row follows a report of its own ticket even if the items have
        ended before: Read as: a landing always, for Qdrant holds it; a failure only if first.
        """
        row = self.row(product_id)
        if outcome in LANDED and not row.content.holds(ticket):
            raise Contradiction(f"{product_id}: {outcome} said before Qdrant held {ticket}")
        wanted = row.wanted
        if wanted is not None and wanted.ticket == ticket:
            if not self._may_end(row, wanted, holder, outcome, code):
                raise Contradiction(f"{wanted} ended as {outcome} ({code}), held: {row.content}")
            for item in wanted.items:
                item.end(outcome, code)
            row.wanted = None
            if wanted.kind is not Kind.PATCH:
                row.incomplete = None if code is None else ticket
            row.last_outcome = outcome
            row.last_error = code if outcome is Outcome.FAILED else None
            if outcome is Outcome.FAILED and self._has_met_a_loss(wanted, holder):
                row.incomplete, row.last_error = ticket, None
        elif wanted is not None and wanted.holder == holder:
            wanted.holder, wanted.lost, wanted.alone = None, False, False
        if outcome in LANDED and row.ticket == ticket:
            failed = row.last_outcome is Outcome.FAILED
            if failed and row.incomplete == ticket and code is None:
                row.incomplete = None
            row.last_outcome, row.last_error = outcome, None
            row.state = State.DELETED if outcome is Outcome.DELETED else State.LIVE

    @staticmethod
    def _has_met_a_loss(wanted: Wanted, holder: object) -> bool:
        """Read as: a patch whose product isn't there any more says nothing of the product but that,
        and then its version may be sent again.
        """
        met = wanted.met.get(holder)
        return wanted.kind is Kind.PATCH and met is not None and met.state is not State.LIVE

    def _may_end(
        self, row: Row, wanted: Wanted, holder: object, outcome: Outcome, code: str | None
    ) -> bool:
        """Whether this change may end so."""
        if outcome is Outcome.FAILED:
            return self._may_fail(row, wanted, wanted.met[holder], code)
        if outcome is Outcome.DELETED:
            return wanted.kind is Kind.DELETE and code is None
        if outcome not in LANDED or wanted.kind is Kind.DELETE:
            return False
        if outcome is Outcome.UNCHANGED and not self._may_be_unchanged(row, wanted, holder):
            return False
        if outcome is Outcome.INDEXED and self._must_be_unchanged(row, wanted, holder):
            return False
        return self._warns_rightly(wanted, wanted.met[holder], code)

    @staticmethod
    def _may_be_unchanged(row: Row, wanted: Wanted, holder: object) -> bool:
        """Where the index looks as it did, or as it may have come to look meanwhile.

        Read as: the fields that were written before the picture are a change of this very put.
        """
        met = wanted.met[holder]
        if met.ticket == wanted.ticket:
            return False
        between = any(met.ticket < ticket < wanted.ticket for ticket in row.written)
        return between or row.content.looks_like(met)

    @staticmethod
    def _must_be_unchanged(row: Row, wanted: Wanted, holder: object) -> bool:
        """Where nothing changed and nobody else came near it.

        Read as: a picture that could not be used and now can is a change, if only of a warning.
        """
        met = wanted.met[holder]
        between = any(met.ticket < ticket < wanted.ticket for ticket in row.written)
        sure = wanted.kind is Kind.PATCH or not (met.doubtful or row.content.doubtful)
        return sure and len(wanted.met) == 1 and not between and row.content.looks_like(met)

    def _may_fail(self, row: Row, wanted: Wanted, met: Content, code: str | None) -> bool:
        """Read as: what a worker finds in the index has not failed, whatever happened before.

        What another brings there only while this one works, it can't know.
        """
        if met.holds(wanted.ticket):
            return False
        if wanted.attempts >= self._max_attempts:  # its workers stopped too often
            # Read as: what has a vector is written beside it first, and only if they stop of that,
            # too, has it failed.
            keeps_vector = wanted.kind is Kind.PUT and met.state is State.LIVE
            return not keeps_vector or wanted.attempts > self._max_attempts
        if wanted.kind is Kind.PATCH:  # its product may be gone, if the row didn't know it
            return row.content.state is not State.LIVE
        fault = self._fault_of(wanted.fields) if wanted.kind is Kind.PUT else None
        if fault is None or fault.code != code:
            return False
        if met.state is row.content.state is State.LIVE:
            return False
        tried = wanted.attempts + 1 >= self._max_attempts
        return tried or (fault.lasting and not self._comes_late(wanted, met))

    def _warns_rightly(self, wanted: Wanted, met: Content, code: str | None) -> bool:
        """A landed change carries its picture's fault where the old picture stays."""
        fault = self._fault_of(wanted.fields) if wanted.kind is Kind.PUT else None
        if code == "internal_error":  # nobody looked at the picture, for too many had stopped of it
            return wanted.kind is Kind.PUT and wanted.attempts >= self._max_attempts
        if fault is None:
            return code is None
        if wanted.attempts + 1 < self._max_attempts and self._comes_late(wanted, met):
            return met.holds(wanted.ticket)
        return code == fault.code or (code is None and not fault.lasting)

    # --- the end ---------------------------------------------------------------------------

    def quiet(self) -> bool:
        return all(row.wanted is None for row in self.rows.values())

    def counts(self, job_id: str) -> dict[Outcome, int]:
        """How many of the job's items ended how; they add up to what it received."""
        return dict(Counter(item.outcome for item in self.jobs[job_id]))
