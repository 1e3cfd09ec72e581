"""Questions as shoppers ask them: three to eight words, and none twice."""

import random
from collections.abc import Iterator
from typing import Final

_HOW: Final = ("light", "warm", "elegant", "casual", "vintage", "slim", "wide", "soft", "plain")
_COLOURS: Final = ("red", "navy", "olive", "white", "black", "mustard", "pink", "grey", "beige")
_PATTERNS: Final = ("striped", "dotted", "checked", "floral", "printed", "quilted", "ribbed")
_WHAT: Final = ("shirt", "dress", "coat", "jeans", "sneakers", "handbag", "scarf", "jumper", "hat")
_MORE: Final = (
    "",
    "for women",
    "for men",
    "for the summer",
    "with long sleeves",
    "with a belt",
    "for a wedding",
    "with pockets",
)
_WHERE: Final = ("", "sale", "size m", "large", "cotton", "wool", "linen", "new")


def questions(seed: int) -> Iterator[str]:
    """Without end, as far as a benchmark gets: there are some 300,000. Another seed gives other
    questions, because its number is the last word."""
    rng = random.Random(seed)
    asked: set[str] = set()
    while True:
        lists = (_HOW, _COLOURS, _PATTERNS, _WHAT, _MORE, _WHERE)
        words = [rng.choice(some) for some in lists]
        question = " ".join(word for word in [*words, str(seed)] if word)
        if question not in asked:
            asked.add(question)
            yield question
