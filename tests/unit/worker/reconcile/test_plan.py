"""What a write says that it changed."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from shared.errors import ItemCode, ItemPermanent
from shared.models.change import EVERYTHING, Aspect, Kind, Outcome, Wanted
from shared.models.product import ImageFacts, Product, StoredProduct
from shared.qdrant.points import LivePoint, PayloadWrite
from worker.pictures.reader import Pictured, SamePicture
from worker.reconcile.plan import (
    deletion,
    despite_bad_picture,
    patched,
    wanted_product,
    with_new_vector,
    with_same_picture,
)

FACTS = ImageFacts("0" * 64)
WANTED = Wanted("shop", "p", 7, Kind.DELTA, "", (), None, 0, "", alone=True)


def product(**fields: Any) -> Product:
    return Product.model_validate({"id": "p", "name": "P", "image_url": "http://h/x", **fields})


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
    steps = [
        patched(WANTED, after, STORED),
        with_same_picture(WANTED, after, STORED, SamePicture(FACTS), after_fields=False),
    ]
    for step in steps:
        assert step.report.changed == changed
        assert step.report.result is (Outcome.INDEXED if changed else Outcome.UNCHANGED)


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
    changed = patched(WANTED, product(attributes={"x": after}), stored).report.changed
    assert changed == (set() if same else {Aspect.ATTRIBUTES})


ACCEPTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REFUSED = json.dumps({"created_at": None, "attributes": {f"a{at}": 1 for at in range(65)}})
DATED = replace(STORED, product=product(created_at="2024-11-02T10:30:00"))


@pytest.mark.parametrize(
    ("body", "deltas", "dated"),
    [
        ("", ['{"price": 1}'], DATED.product.created_at),
        ("", ['{"created_at": "2020-01-01T00:00:00"}'], datetime(2020, 1, 1, tzinfo=UTC)),
        ("", ['{"created_at": null}'], ACCEPTED),
        ("", ['{"created_at": null}', '{"price": 1}'], ACCEPTED),
        (product().model_dump_json(), [], DATED.product.created_at),
        (product().model_dump_json(), ['{"created_at": null}'], ACCEPTED),
        (product().model_dump_json(), [REFUSED], DATED.product.created_at),
    ],
)
def test_a_date_stays_until_another_comes_or_a_patch_removes_it(
    body: str, deltas: list[str], dated: datetime
) -> None:
    wanted = replace(
        WANTED,
        kind=Kind.PUT if body else Kind.DELTA,
        body=body,
        deltas=deltas,
        rev=int(ACCEPTED.timestamp() * 1_000_000) + 7,
    )
    assert wanted_product(wanted, DATED)[1].created_at == dated


def test_a_product_that_never_had_a_date_has_that_of_its_acceptance() -> None:
    wanted = replace(
        WANTED,
        kind=Kind.PUT,
        body=product().model_dump_json(),
        rev=int(ACCEPTED.timestamp() * 1_000_000),
    )
    assert wanted_product(wanted, None)[1].created_at == ACCEPTED


def test_a_deletion_changes_everything() -> None:
    assert deletion(WANTED).report.changed == EVERYTHING


def test_a_blank_picture_is_a_warning_as_long_as_it_stays() -> None:
    embedding = np.zeros(512, dtype=np.float32)
    step = with_new_vector(
        WANTED, product(), Pictured(embedding, FACTS, blank=True), after_fields=False
    )
    assert isinstance(step.point, LivePoint)
    assert list(step.point.warnings) == ["image_blank"]
    assert (step.report.result, step.report.code) == (Outcome.INDEXED, "image_blank")
    assert not step.report.retryable

    stored = replace(STORED, warnings=("image_not_found", "image_blank"))
    same = with_same_picture(WANTED, product(), stored, SamePicture(FACTS), after_fields=False)
    assert isinstance(same.point, PayloadWrite)
    assert list(same.point.warnings) == ["image_blank"]
    assert (same.report.result, same.report.code) == (Outcome.INDEXED, "image_blank")

    still = replace(STORED, warnings=("image_blank",))
    again = with_same_picture(WANTED, product(), still, SamePicture(FACTS), after_fields=False)
    assert (again.report.result, again.report.code) == (Outcome.UNCHANGED, "image_blank")

    fault = ItemPermanent(ItemCode.IMAGE_NOT_FOUND, "gone")
    kept = despite_bad_picture(WANTED, product(), still, fault, after_fields=False)
    assert isinstance(kept.point, PayloadWrite)
    assert list(kept.point.warnings) == ["image_not_found", "image_blank"]
    assert kept.report.code == "image_not_found"

    seen = with_new_vector(WANTED, product(), Pictured(embedding, FACTS), after_fields=False)
    assert isinstance(seen.point, LivePoint)
    assert list(seen.point.warnings) == []
    assert seen.report.code == ""
