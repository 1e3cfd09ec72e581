"""Planned writes: a change's point, and its outcome once the point stands. Pure."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from shared.errors import ItemFault
from shared.models.change import (
    EVERYTHING,
    Aspect,
    Outcome,
    Refusal,
    Report,
    State,
    Verdict,
    Wanted,
)
from shared.models.product import ImageFacts, Product, StoredProduct
from shared.qdrant.points import (
    IndexedWords,
    LivePoint,
    PayloadWrite,
    PointWrite,
    StoredRev,
    Tombstone,
)
from shared.qdrant.vectors import VectorSet
from shared.qdrant.words import words_beside, words_of
from shared.words.analyser import Analyser
from worker.pictures.reader import Pictured, PictureRequest, SamePicture
from worker.reconcile.faults import BLANK
from worker.reconcile.merge import Merged, merge

_ASPECTS: Final = {
    "category": Aspect.CATEGORY,
    "brand": Aspect.BRAND,
    "availability": Aspect.AVAILABILITY,
    "price": Aspect.PRICE,
    "sale_price": Aspect.PRICE,
    "attributes": Aspect.ATTRIBUTES,
    # Groups decide which products are similar.
    "group_id": Aspect.MEMBERSHIP,
}


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """A write, and the facts of its change once it stands.

    `outcome`: how the change ends, or that the work on it goes on. `changed`: the aspects that
    searches must read anew. `warning`: the fault of a picture if the change lands all the same.
    `put_off`: if the write brings the fields alone, the report that the picture has to wait.
    """

    wanted: Wanted
    point: PointWrite
    outcome: Outcome | Verdict
    changed: Set[Aspect] = EVERYTHING
    warning: ItemFault | None = None
    refusal: Refusal | None = None
    put_off: Report | None = None

    def brings_fields(self, stored: StoredRev) -> bool:
        """Whether it is of the fields alone, and they are stored."""
        of_fields = isinstance(self.point, PayloadWrite) and self.point.awaited_url is not None
        return of_fields and stored == (self.wanted.rev, True)


@dataclass(slots=True, eq=False)
class PendingPut:
    """A put on its way through the pictures, or a patch of a live product, which needs none.

    `live`: the product as the index holds it; None if it is not live, and `found` says more.
    `fields_rev`: the rev under which the index holds the put's fields already, beside the picture
    of before. `may_show`: whether its fields have not been sent to the index under its newest rev,
    nor found to be those that the index holds.
    """

    wanted: Wanted
    merged: Merged
    live: StoredProduct | None
    found: State = State.LIVE
    fields_rev: int | None = None
    may_show: bool = True

    @property
    def product(self) -> Product:
        return self.merged.product

    @property
    def fields_stand(self) -> bool:
        """Whether the index holds its fields already, under its newest rev."""
        return self.fields_rev == self.wanted.rev

    @property
    def has_new_url(self) -> bool:
        """Whether its picture comes from another address than the stored one."""
        return self.live is None or self.live.product.image_url != self.product.image_url

    def patched(self, wanted: Wanted) -> None:
        """Takes in that it is wanted like this by now: some patches richer, under a newer rev.

        Raises `ItemPermanent` as `merge` does.
        """
        self.wanted, self.merged = wanted, merge(wanted, self.live)
        self.may_show = True

    def shown(self, planned: PlannedWrite, *, stands: bool) -> None:
        """Takes in that its fields have been sent to the index, and whether they stand there."""
        self.may_show = False
        if stands and self.live and isinstance(planned.point, PayloadWrite):
            self.live = replace(self.live, product=planned.point.product)
            self.fields_rev = planned.wanted.rev

    def picture_request(self) -> PictureRequest["PendingPut"]:
        """The request for its picture, with the facts of the one behind the stored vector."""
        known = self.live.image if self.live and not self.wanted.refetch else None
        return PictureRequest(
            self,
            self.product.image_url,
            known,
            revalidate=known is not None and not self.has_new_url,
            suspect=self.wanted.suspect,
        )


def deletion(wanted: Wanted) -> PlannedWrite:
    """A tombstone in the product's place."""
    tombstone = Tombstone(wanted.tenant, wanted.product_id, wanted.rev, wanted.version)
    return PlannedWrite(wanted, tombstone, Outcome.DELETED)


class Plans:
    """Plans the writes of live products."""

    def __init__(self, analyser: Analyser | None) -> None:
        """`analyser`: of products' words; None plans writes without."""
        self._analyser = analyser

    def patched(self, put: PendingPut, live: StoredProduct) -> PlannedWrite:
        """The patched fields; the picture of the `live` product and its warnings stay."""
        planned = self._beside_vector(put, put.product, live)
        return planned if planned.changed else replace(planned, outcome=Outcome.UNCHANGED)

    def with_new_vector(self, put: PendingPut, pictured: Pictured) -> PlannedWrite:
        """The whole point."""
        warning = BLANK if pictured.blank else None
        point = LivePoint(
            tenant=put.wanted.tenant,
            product=put.product,
            rev=put.wanted.rev,
            vectors=VectorSet.of_image(pictured.embedding),
            image=pictured.image,
            indexed_at=_now(),
            warnings=[warning.code] if warning else [],
            after_fields=put.fields_rev is not None,
            words=self._words(put.product),
        )
        return PlannedWrite(
            put.wanted, point, Outcome.INDEXED, warning=warning, refusal=put.merged.refusal
        )

    def with_fields_first(
        self, put: PendingPut, live: StoredProduct, put_off: Report | None = None
    ) -> PlannedWrite:
        """The fields beside the picture of the `live` product, before the put's own picture is had.

        `put_off`: the report that the picture has to wait; None while it is still being read.
        """
        product = put.product.model_copy(update={"image_url": live.product.image_url})
        planned = self._beside_vector(put, product, live, awaited_url=put.product.image_url)
        outcome = put_off.result if put_off else Verdict.SHOWN
        return replace(planned, outcome=outcome, put_off=put_off)

    def with_same_picture(
        self, put: PendingPut, live: StoredProduct, same: SamePicture
    ) -> PlannedWrite:
        """The fields beside the vector of the `live` product. They are written even if none has
        changed: the new rev must stand, or a write from before could still land.
        """
        kept = _of_the_picture(live)
        beside = replace(live, image=same.image, warnings=kept)
        planned = self._beside_vector(put, put.product, beside)
        is_change = planned.changed or kept != tuple(live.warnings) or put.fields_rev is not None
        outcome = Outcome.INDEXED if is_change else Outcome.UNCHANGED
        return replace(planned, outcome=outcome, warning=BLANK if kept else None)

    def despite_bad_picture(
        self, put: PendingPut, live: StoredProduct, fault: ItemFault
    ) -> PlannedWrite:
        """The fields beside the old vector, with a warning, so that the product has its new price.

        The validators belonged to another URL's picture, so the next put fetches anew.
        """
        beside = replace(
            live,
            image=ImageFacts(live.image.sha256),
            warnings=(fault.code, *_of_the_picture(live)),
        )
        return replace(self._beside_vector(put, put.product, beside), warning=fault)

    def _beside_vector(
        self, put: PendingPut, product: Product, live: StoredProduct, awaited_url: str | None = None
    ) -> PlannedWrite:
        """The product with the vector, the picture's facts and the warnings of the `live` one."""
        # Fields that were shown meanwhile are no part of what was read.
        replaces = live.payload if put.fields_rev is None and awaited_url is None else None
        point = PayloadWrite(
            put.wanted.tenant,
            product,
            put.wanted.rev,
            live.image,
            _now(),
            live.warnings,
            awaited_url,
            after_fields=put.fields_rev is not None and awaited_url is None,
            replaces=replaces,
            words=self._words(product, live if replaces else None),
        )
        changed = changed_aspects(live.product, product)
        return PlannedWrite(put.wanted, point, Outcome.INDEXED, changed, refusal=put.merged.refusal)

    def _words(self, product: Product, live: StoredProduct | None = None) -> IndexedWords | None:
        """The product's words. `live`: the product that the write replaces, and nothing else."""
        if self._analyser is None:
            return None
        if live is None:
            return words_of(self._analyser, product)
        return words_beside(self._analyser, product, live)


def _of_the_picture(stored: StoredProduct) -> Sequence[str]:
    """The warnings that are true of the stored picture as long as it stays; others tell of one that
    could not take its place.
    """
    return tuple(warning for warning in stored.warnings if warning == BLANK.code)


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
