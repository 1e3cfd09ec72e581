"""Changes, reports and wanted states as the scripts take and give them: lists of fields. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from shared.models.change import Change, Kind, Refusal, Report, Wanted

_MESSAGE_LENGTH: Final = 500
_WANTED_FIELDS: Final = 14


def change_arguments(changes: Sequence[Change]) -> Iterator[str | int]:
    """As accept.lua takes them."""
    for change in changes:
        version = "" if change.version is None else change.version
        yield from (change.position, change.product_id, change.kind, version, change.body)
        yield int(change.refetch)


def report_arguments(report: Report) -> tuple[str | int, ...]:
    """As report.lua takes them."""
    return (
        report.tenant,
        report.product_id,
        report.rev,
        report.result,
        " ".join([report.code, *report.more_codes]),
        int(report.retryable),
        report.message[:_MESSAGE_LENGTH],
        int(report.delay_seconds * 1e6),
        " ".join(report.changed),
        report.found or "",
        *_refusal_arguments(report.refusal),
        int(report.picture_waits),
        int(report.is_incomplete),
    )


def _refusal_arguments(refusal: Refusal | None) -> tuple[str, str]:
    """The places of the patches, and the detail that their items end with; never retryable."""
    if refusal is None:
        return "", ""
    places = " ".join(map(str, refusal.places))
    return places, f"{refusal.code}\n0\n{refusal.message[:_MESSAGE_LENGTH]}"


def wanted_in(fields: Sequence[str]) -> list[Wanted]:
    """The products that claim.lua hands out."""
    return [_wanted(fields[i : i + _WANTED_FIELDS]) for i in range(0, len(fields), _WANTED_FIELDS)]


def refreshed(known: Wanted, rev: str, deltas: str) -> Wanted | None:
    """The newest wanted state by refresh.lua: None if its lease is lost."""
    if not rev:
        return None
    if int(rev) == known.rev:
        return known
    return replace(known, rev=int(rev), deltas=deltas.split("\n"))


def _wanted(fields: Sequence[str]) -> Wanted:
    (
        tenant,
        product_id,
        rev,
        version,
        kind,
        body,
        deltas,
        attempts,
        request_id,
        contested,
        refetch,
        last_fault,
        picture_wait,
        suspect,
    ) = fields
    return Wanted(
        tenant=tenant,
        product_id=product_id,
        rev=int(rev),
        kind=Kind(kind),
        body=body,
        deltas=deltas.split("\n") if deltas else (),
        version=int(version) if version else None,
        attempts=int(attempts),
        request_id=request_id,
        sole_writer=not int(contested),
        refetch=bool(int(refetch)),
        last_fault=last_fault,
        picture_wait=int(picture_wait) / 1e6,
        suspect=bool(int(suspect)),
    )
