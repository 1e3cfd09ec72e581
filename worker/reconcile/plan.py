"""What to write for a wanted state, given what the index holds. Pure."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from shared.errors import ItemCode, ItemFault, ItemPermanent, ItemTransient
from shared.models.attributes import AttributeType, mismatches
from shared.models.change import Aspect, Kind, Outcome, Refusal, Report, State, Wanted
from shared.models.patch import merged_without_faulty, removes_date
from shared.models.product import ImageFacts, Product, StoredProduct
from shared.qdrant.points import (
    LivePoint,
    PayloadWrite,
    PointWrite,
    StoredPoint,
    StoredRev,
    Tombstone,
)
from shared.qdrant.vectors import VectorSet
from worker.pictures.reader import Pictured, SamePicture
from worker.reconcile.reports import BLANK, landed, shown

_ASPECTS: Final = {
    "category": Aspect.CATEGORY,
    "price": Aspect.PRICE,
    "attributes": Aspect.ATTRIBUTES,
    # Groups decide which products are similar.
    "group_id": Aspect.MEMBERSHIP,
}


@dataclass(frozen=True, slots=True)
class Step:
    """A write, and what to report once it stands."""

    wanted: Wanted
    point: PointWrite
    report: Report

    def brings_fields(self, stored: StoredRev) -> bool:
        """Whether it is of the fields alone, and they are what is stored."""
        of_fields = isinstance(self.point, PayloadWrite) and self.point.awaited_url is not None
        return of_fields and stored == (self.wanted.rev, True)


def is_done(wanted: Wanted, stored: StoredPoint | None) -> bool:
    """Whether the write stands already: a task died between it and its report."""
    return stored is not None and stored.holds(wanted.rev)


def state_of(stored: StoredPoint | None) -> State:
    """What the index holds of the product."""
    if stored is None:
        return State.ABSENT
    return State.DELETED if stored.product is None else State.LIVE


def wanted_product(wanted: Wanted, stored: StoredProduct | None) -> tuple[Wanted, Product]:
    """The product as it shall be, and what is wanted with the refusal of patches that it can't
    take. Raises `ItemPermanent` where there can be no product, or no patch can be taken.

    Without a date of its own it keeps the one it has; where it has none, or a patch removes it, it
    is dated by its acceptance.
    """
    if wanted.kind is Kind.DELTA and stored is None:
        raise ItemPermanent(
            ItemCode.INTERNAL_ERROR,
            "the index does not hold this product any more; send it as a whole again",
        )
    if wanted.kind is Kind.DELTA and stored is not None:
        product = stored.product
    else:
        product = _whole(wanted.body)
    taken: Sequence[str] = ()
    if wanted.deltas:
        product, refusal, taken = _patched(product, wanted.deltas)
        if refusal and wanted.kind is Kind.DELTA and len(refusal.places) == len(wanted.deltas):
            raise ItemPermanent(ItemCode.INTERNAL_ERROR, refusal.message)
        wanted = replace(wanted, refusal=refusal)
    # A patch leaves the content at the version that it has; a newer one may have failed before.
    version = stored.product.version if wanted.kind is Kind.DELTA and stored else wanted.version
    created_at = product.created_at
    if created_at is None and stored is not None and not removes_date(taken):
        created_at = stored.product.created_at
    accepted_at = datetime.fromtimestamp(wanted.rev // 1_000_000, UTC)
    dated = {"created_at": created_at or accepted_at, "version": version}
    return wanted, product.model_copy(update=dated)


def with_refusal(wanted: Wanted, stored: StoredProduct | None) -> Wanted:
    """What is wanted and stands already, with the refusal of the patches that it was written
    without: merged once more, patches that were taken change nothing."""
    try:
        return wanted_product(wanted, stored)[0]
    except ItemPermanent:
        return wanted


def with_attribute_warning(step: Step, types: Mapping[str, AttributeType]) -> Report:
    """What to report of a write that stands: with a warning where the product's value of a listed
    attribute is of another type than listed. It is indexed and found all the same.
    """
    report = step.report
    if isinstance(step.point, Tombstone) or report.code or not isinstance(report.result, Outcome):
        return report
    found = mismatches(step.point.product.attributes, types)
    if not found:
        return report
    return replace(report, code=ItemCode.ATTRIBUTE_TYPE_MISMATCH, message=" ".join(found))


def _whole(body: str) -> Product:
    try:
        return Product.model_validate_json(body)
    except ValidationError as err:
        raise ItemPermanent(
            ItemCode.INTERNAL_ERROR, f"this product is not valid: {_reasons(err)}"
        ) from err


def _patched(
    product: Product, deltas: Sequence[str]
) -> tuple[Product, Refusal | None, Sequence[str]]:
    """The product with the patches that it can take, the refusal of the others, and the former."""
    patched, faults = merged_without_faulty(product, deltas)
    if not faults:
        return patched, None, deltas
    reasons = "; ".join(dict.fromkeys(_reasons(fault) for fault in faults.values()))
    message = f"this product with its patches is not valid: {reasons}"
    places = [len(deltas) - place for place in faults]
    taken = [delta for place, delta in enumerate(deltas) if place not in faults]
    return patched, Refusal(places, ItemCode.INTERNAL_ERROR, message), taken


def _reasons(err: ValidationError) -> str:
    return "; ".join(fault["msg"] for fault in err.errors())


def deletion(wanted: Wanted) -> Step:
    """A tombstone in the product's place."""
    tombstone = Tombstone(wanted.tenant, wanted.product_id, wanted.rev, wanted.version)
    return Step(wanted, tombstone, landed(wanted, Outcome.DELETED))


def with_new_vector(
    wanted: Wanted, product: Product, pictured: Pictured, *, after_fields: bool
) -> Step:
    """The whole point. `after_fields`: whether its fields stand already, under the same rev."""
    point = LivePoint(
        tenant=wanted.tenant,
        product=product,
        rev=wanted.rev,
        vectors=VectorSet.of_image(pictured.embedding),
        image=pictured.image,
        indexed_at=_now(),
        warnings=[BLANK.code] if pictured.blank else [],
        after_fields=after_fields,
    )
    warning = BLANK if pictured.blank else None
    return Step(wanted, point, landed(wanted, Outcome.INDEXED, warning=warning))


def with_fields_first(
    wanted: Wanted, product: Product, stored: StoredProduct, report: Report | None = None
) -> Step:
    """The fields beside the picture that is there, before the product's own is had.

    `report`: why its picture has to wait; None while it is still being read.
    """
    kept = product.model_copy(update={"image_url": stored.product.image_url})
    point = _payload_write(
        wanted,
        kept,
        stored.image,
        stored.warnings,
        may_pass=stored.warning_may_pass,
        awaited_url=product.image_url,
    )
    return Step(wanted, point, shown(wanted, changed_aspects(stored.product, kept), report))


def with_same_picture(
    wanted: Wanted,
    product: Product,
    stored: StoredProduct,
    same: SamePicture,
    *,
    after_fields: bool,
) -> Step:
    """The fields beside the vector that is there. They are written even where none has changed:
    the new rev must stand, or a write from before could still land.
    """
    changed = changed_aspects(stored.product, product)
    kept = _of_the_picture(stored)
    is_change = changed or kept != list(stored.warnings) or after_fields
    outcome = Outcome.INDEXED if is_change else Outcome.UNCHANGED
    point = _payload_write(wanted, product, same.image, kept, after_fields=after_fields)
    return Step(wanted, point, landed(wanted, outcome, changed, BLANK if kept else None))


def patched(wanted: Wanted, product: Product, stored: StoredProduct) -> Step:
    """The patched fields; what is known of the picture stays."""
    changed = changed_aspects(stored.product, product)
    outcome = Outcome.INDEXED if changed else Outcome.UNCHANGED
    point = _payload_write(
        wanted, product, stored.image, stored.warnings, may_pass=stored.warning_may_pass
    )
    return Step(wanted, point, landed(wanted, outcome, changed))


def despite_bad_picture(
    wanted: Wanted,
    product: Product,
    stored: StoredProduct,
    fault: ItemFault,
    *,
    after_fields: bool,
) -> Step:
    """The fields beside the old vector, with a warning: better than a product without its price.

    The validators belonged to another URL's picture, so the next put fetches anew.
    """
    image = ImageFacts(stored.image.sha256)
    may_pass = isinstance(fault, ItemTransient)
    warnings = [fault.code, *_of_the_picture(stored)]
    point = _payload_write(
        wanted, product, image, warnings, may_pass=may_pass, after_fields=after_fields
    )
    changed = changed_aspects(stored.product, product)
    return Step(wanted, point, landed(wanted, Outcome.INDEXED, changed, fault))


def _of_the_picture(stored: StoredProduct) -> list[str]:
    """The warnings that are true of the stored picture as long as it stays; others tell of one that
    could not take its place.
    """
    return [warning for warning in stored.warnings if warning == BLANK.code]


def changed_aspects(before: Product, after: Product) -> Set[Aspect]:
    """The aspects in which two products differ; membership is none of them, nor is the version."""
    return {
        _ASPECTS.get(field, Aspect.SHOWN)
        for field in Product.model_fields
        if field != "version" and not _same(getattr(before, field), getattr(after, field))
    }


def _same(before: object, after: object) -> bool:
    """Equal but for a number's last digit: Qdrant's JSON reads 11.120000000000001 as 11.12.

    True is no 1 here: to Python they are equal, to filters and shoppers they are not.
    """
    if isinstance(before, bool) is not isinstance(after, bool):
        return False
    if isinstance(before, float) and isinstance(after, float):
        return abs(before - after) <= 2 * math.ulp(before)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(
            _same(before[key], after[key]) for key in before
        )
    return before == after


def _payload_write(
    wanted: Wanted,
    product: Product,
    image: ImageFacts,
    warnings: Sequence[str] = (),
    *,
    may_pass: bool = False,
    awaited_url: str | None = None,
    after_fields: bool = False,
) -> PayloadWrite:
    return PayloadWrite(
        tenant=wanted.tenant,
        product=product,
        rev=wanted.rev,
        image=image,
        indexed_at=_now(),
        warnings=warnings,
        warning_may_pass=may_pass,
        awaited_url=awaited_url,
        after_fields=after_fields,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
