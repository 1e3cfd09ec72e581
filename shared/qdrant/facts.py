"""Facts about the index that a process checks at its start and now and then."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NO_PRODUCTS: Final = "model_has_no_products"
"""The warning's code: this model's collection is empty, and another model's isn't."""

NEEDS_UPGRADE: Final = "index_needs_upgrade"
"""The warning's code: products are left without the terms or words that searches compare."""

COLLECTION_PREFIX: Final = "products-"
"""The prefix of every model's collection (shared/embedding/identity.py)."""


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """`points`: how many each model's collection holds by about, the traces of deleted products
    included; the process's own is among them.
    """

    collection: str
    points: Mapping[str, int]
    has_products: bool
    is_upgraded: bool

    @property
    def others(self) -> Mapping[str, int]:
        """The collections of other models that hold points."""
        return {
            name: points
            for name, points in self.points.items()
            if points and name != self.collection
        }

    def warnings(self) -> Mapping[str, str]:
        """The warnings by code, each with its next step."""
        found = {}
        if not self.has_products and self.others:
            held = ", ".join(f"{name} holds {points}" for name, points in self.others.items())
            found[NO_PRODUCTS] = (
                f"{self.collection}, the collection of the model that is set, holds no products; "
                f"{held}. Set CLIP_MODEL, CLIP_PRETRAINED, CLIP_RESIZE_MODE and CLIP_PRECISION as "
                "they were when the catalogue was pushed, or push it again"
            )
        if not self.is_upgraded:
            found[NEEDS_UPGRADE] = (
                "products are left that were written by an earlier release, or with other "
                "SEARCH_LANGUAGES: searches by words miss them, and filters may compare theirs "
                "letter by letter. Workers upgrade them as they start; so does "
                "`python -m operations upgrade-index`"
            )
        return found
