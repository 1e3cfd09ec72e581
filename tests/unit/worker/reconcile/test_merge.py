"""What a product becomes by its change and by what the index holds."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.models.change import Kind, Wanted
from shared.models.product import ImageFacts, Product, StoredProduct
from worker.reconcile.merge import merge

WANTED = Wanted("shop", "p", 7, Kind.DELTA, "", (), None, 0, "", sole_writer=True)


def product(**fields: Any) -> Product:
    return Product.model_validate({"id": "p", "name": "P", "image_url": "http://h/x", **fields})


ACCEPTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REFUSED = json.dumps({"created_at": None, "attributes": {f"a{at}": 1 for at in range(65)}})
DATED = StoredProduct(
    product=product(created_at="2024-11-02T10:30:00"),
    rev=6,
    indexed_at="2026-01-01T00:00:00",
    image=ImageFacts("0" * 64),
    warnings=(),
)


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
    assert merge(wanted, DATED).product.created_at == dated


def test_a_product_that_never_had_a_date_has_that_of_its_acceptance() -> None:
    wanted = replace(
        WANTED,
        kind=Kind.PUT,
        body=product().model_dump_json(),
        rev=int(ACCEPTED.timestamp() * 1_000_000),
    )
    assert merge(wanted, None).product.created_at == ACCEPTED
