"""The product that a change asks for, merged with the one that the index holds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from shared.errors import ItemCode, ItemPermanent
from shared.models.change import Kind, Refusal, Wanted
from shared.models.patch import merged_without_faulty, removes_date
from shared.models.product import Product, StoredProduct


@dataclass(frozen=True, slots=True)
class Merged:
    """A product as it shall be. `refusal`: the patches that it can't take, if there are such."""

    product: Product
    refusal: Refusal | None = None


def merge(wanted: Wanted, stored: StoredProduct | None) -> Merged:
    """The wanted product. `stored`: the product as the index holds it.

    If it has no date of its own, the stored date stays. If there is none, or a patch removes it,
    the date is that of the acceptance. Raises `ItemPermanent` if there can be no product, or if a
    change consists of patches and none of them can be taken.
    """
    if wanted.kind is not Kind.DELTA:
        product, version = _whole(wanted.body), wanted.version
    elif stored is not None:
        # A patch leaves the content at the version that it has; a newer one may have failed before.
        product, version = stored.product, stored.product.version
    else:
        raise ItemPermanent(
            ItemCode.INTERNAL_ERROR,
            "the index does not hold this product any more; send it as a whole again",
        )
    product, refusal, taken = _patched(product, wanted.deltas)
    if refusal and wanted.kind is Kind.DELTA and not taken:
        raise ItemPermanent(ItemCode.INTERNAL_ERROR, refusal.message)
    created_at = product.created_at
    if created_at is None and stored is not None and not removes_date(taken):
        created_at = stored.product.created_at
    accepted_at = datetime.fromtimestamp(wanted.rev // 1_000_000, UTC)
    dated = {"created_at": created_at or accepted_at, "version": version}
    return Merged(product.model_copy(update=dated), refusal)


def refusal_of(wanted: Wanted, stored: StoredProduct | None) -> Refusal | None:
    """The refusal of a change that stands already: patches that were taken change nothing."""
    try:
        return merge(wanted, stored).refusal
    except ItemPermanent:
        return None


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
    if not deltas:
        return product, None, ()
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
