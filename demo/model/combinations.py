"""The garments, colours and patterns that the demo model knows, and those that it trains on."""

import hashlib
from itertools import product
from typing import NamedTuple

GARMENTS = (
    "shirt",
    "sweater",
    "coat",
    "dress",
    "skirt",
    "trousers",
    "shorts",
    "hat",
    "shoe",
    "sock",
    "bag",
    "scarf",
)
COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
)
PATTERNS = ("plain", "striped", "dotted", "checked")

HELD_OUT_SHARE = 0.15


class Combination(NamedTuple):
    """One kind of product: what it is, its main colour and its pattern."""

    garment: str
    colour: str
    pattern: str


ALL_COMBINATIONS = tuple(
    Combination(garment, colour, pattern)
    for garment, colour, pattern in product(GARMENTS, COLOURS, PATTERNS)
)


def _held_out() -> frozenset[Combination]:
    """Choose the combinations by a hash of their names.

    A hash depends neither on the order of the lists above nor on a random generator, so the
    choice is the same everywhere and hardly moves when a garment or colour is added. The share is
    taken per garment, so that no garment loses more of its pictures than another.
    """
    chosen: set[Combination] = set()
    for garment in GARMENTS:
        own = [c for c in ALL_COMBINATIONS if c.garment == garment]
        own.sort(key=lambda c: hashlib.sha256("/".join(c).encode()).digest())
        chosen.update(own[: round(len(own) * HELD_OUT_SHARE)])
    return frozenset(chosen)


HELD_OUT = _held_out()
"""Combinations never seen in training: 15 % of each garment's."""

TRAINING_COMBINATIONS = tuple(c for c in ALL_COMBINATIONS if c not in HELD_OUT)
