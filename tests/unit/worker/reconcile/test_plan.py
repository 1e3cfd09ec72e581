"""What a write says that it changed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.errors import ItemCode, ItemPermanent
from shared.models.change import EVERYTHING, Aspect, Kind, Outcome, Report, Wanted
from shared.models.product import ImageFacts, Product, StoredProduct
from shared.qdrant.points import LivePoint, PayloadWrite, StoredRev
from worker.pictures.reader import Pictured, SamePicture
from worker.reconcile.merge import Merged
from worker.reconcile.plan import (
    PendingPut,
    PlannedWrite,
    Plans,
    deletion,
)
from worker.reconcile.reports import RetryPolicy, report_of

PLANS = Plans(None)
FACTS = ImageFacts("0" * 64)
WANTED = Wanted("shop", "p", 7, Kind.DELTA, "", (), None, 0, "", sole_writer=True)


def product(**fields: Any) -> Product:
    return Product.model_validate({"id": "p", "name": "P", "image_url": "http://h/x", **fields})


def reported(write: PlannedWrite) -> Report:
    """The report of a write that stands."""
    stored = StoredRev(write.wanted.rev, awaits_picture=False)
    report = report_of(write, stored, RetryPolicy(1, 0), {})
    assert report is not None
    return report


def put(wanted: Product) -> PendingPut:
    return PendingPut(WANTED, Merged(wanted), STORED)


STORED = StoredProduct(
    product=product(), rev=6, indexed_at="2026-01-01T00:00:00", image=FACTS, warnings=()
)


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({}, set()),
        ({"version": 3}, set()),
        ({"price": 3}, {Aspect.PRICE}),
        ({"category": "hats"}, {Aspect.CATEGORY}),
        ({"attributes": {"color": "red"}}, {Aspect.ATTRIBUTES}),
        ({"group_id": "g"}, {Aspect.MEMBERSHIP}),
        ({"name": "Q"}, {Aspect.SHOWN}),
        ({"description": "new"}, {Aspect.SHOWN}),
        ({"image_url": "http://h/y"}, {Aspect.SHOWN}),
        ({"price": 3, "description": "new"}, {Aspect.PRICE, Aspect.SHOWN}),
    ],
)
def test_each_field_changes_what_searches_depend_on(
    fields: dict[str, Any], changed: set[Aspect]
) -> None:
    after = product(**fields)
    writes = [
        PLANS.patched(put(after), STORED),
        PLANS.with_same_picture(put(after), STORED, SamePicture(FACTS)),
    ]
    for write in writes:
        assert reported(write).changed == changed
        assert reported(write).result is (Outcome.INDEXED if changed else Outcome.UNCHANGED)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (True, 1, False),
        (0, False, False),
        (True, True, True),
        (11.120000000000001, 11.12, True),
        (1732327000.123, 1732327000.124, False),
        (1e11 + 0.01, 1e11 + 0.05, False),
        (15, 15.0, True),
    ],
)
def test_values_are_the_same_but_for_a_last_digit(before: Any, after: Any, same: bool) -> None:
    stored = replace(STORED, product=product(attributes={"x": before}))
    changed = PLANS.patched(put(product(attributes={"x": after})), stored).changed
    assert changed == (set() if same else {Aspect.ATTRIBUTES})


def test_a_deletion_changes_everything() -> None:
    assert reported(deletion(WANTED)).changed == EVERYTHING


def test_a_blank_picture_is_a_warning_as_long_as_it_stays() -> None:
    embedding = np.zeros(512, dtype=np.float32)
    write = PLANS.with_new_vector(put(product()), Pictured(embedding, FACTS, blank=True))
    assert isinstance(write.point, LivePoint)
    assert list(write.point.warnings) == ["image_blank"]
    assert (reported(write).result, reported(write).code) == (Outcome.INDEXED, "image_blank")
    assert not reported(write).retryable

    stored = replace(STORED, warnings=("image_not_found", "image_blank"))
    same = PLANS.with_same_picture(put(product()), stored, SamePicture(FACTS))
    assert isinstance(same.point, PayloadWrite)
    assert list(same.point.warnings) == ["image_blank"]
    assert (reported(same).result, reported(same).code) == (Outcome.INDEXED, "image_blank")

    still = replace(STORED, warnings=("image_blank",))
    again = PLANS.with_same_picture(put(product()), still, SamePicture(FACTS))
    assert (reported(again).result, reported(again).code) == (Outcome.UNCHANGED, "image_blank")

    fault = ItemPermanent(ItemCode.IMAGE_NOT_FOUND, "gone")
    kept = PLANS.despite_bad_picture(put(product()), still, fault)
    assert isinstance(kept.point, PayloadWrite)
    assert list(kept.point.warnings) == ["image_not_found", "image_blank"]
    assert reported(kept).code == "image_not_found"

    seen = PLANS.with_new_vector(put(product()), Pictured(embedding, FACTS))
    assert isinstance(seen.point, LivePoint)
    assert list(seen.point.warnings) == []
    assert reported(seen).code == ""
