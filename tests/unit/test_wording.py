"""Counts in messages read as people write them."""

import pytest

from shared.wording import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows")])
def test_one_thing_is_told_in_the_singular(number: int, text: str) -> None:
    assert counted(number, "row") == text
