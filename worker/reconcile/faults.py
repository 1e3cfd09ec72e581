"""Faults that a worker finds by itself: of a picture, of its own code, and of the index. Pure."""

from typing import Final

from shared.errors import ItemCode, ItemPermanent, ItemTransient
from shared.models.change import Wanted

BLANK: Final = ItemPermanent(
    ItemCode.IMAGE_BLANK,
    "The picture shows one colour all over, so searches by looks can't tell the product from "
    "others. Send a picture of the product.",
)
"""The warning of a product that is indexed with such a picture."""


def crash(wanted: Wanted) -> ItemPermanent:
    """Workers stood still or died of it as often as it may be tried."""
    times = "1 time" if wanted.attempts == 1 else f"{wanted.attempts} times"
    return ItemPermanent(
        ItemCode.INTERNAL_ERROR,
        f"the worker stood still or died {times} while handling this product; "
        "its picture is the likely cause: send another one",
    )


def unexpected(err: Exception) -> ItemTransient:
    """A fault of ours that the log explains; the item is tried again like any other."""
    return ItemTransient(
        ItemCode.INTERNAL_ERROR, f"an unexpected error ({type(err).__name__}) was logged"
    )


def vanished() -> ItemTransient:
    """Qdrant said that a write was done, and doesn't hold it."""
    return ItemTransient(ItemCode.INTERNAL_ERROR, "the index lost the product's write")
