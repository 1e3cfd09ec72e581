"""Numbers of URLs and forms: ASCII digits, and nothing else that Python would take for a number."""

import pytest
from werkzeug.datastructures import MultiDict

from api.requests.parameters import (
    DeleteParameters,
    ItemsParameters,
    JobsParameters,
    ListParameters,
    Parameters,
    WaitParameters,
    read_texts,
)
from api.requests.validation import Invalid, validated
from api.resources.search import WordSearch
from shared.models.search.requests import Ranking, SimilarRequest

NO_NUMBERS = [
    "5_0",
    " 5",
    "5 ",
    "+5",
    "\u0665",  # Arabic
    "\uff15",  # full width
    "\u09eb",  # Bengali
    "1e1",
    "1E1",
    "0x5",
    "0b1",
    "5.",
    ".5",
    "--5",
    "-",
    "5,0",
    "5\n",
    "\u22125",
    "\u00bd",
    "inf",
    "nan",
    "Infinity",
    "true",
    "5L",
    "5" * 401,
]
FIELDS: list[tuple[type[Ranking | Parameters], str, dict[str, str]]] = [
    (WordSearch, "top_k", {"q": "a"}),
    (WordSearch, "offset", {"q": "a"}),
    (WordSearch, "min_score", {"q": "a"}),
    (WordSearch, "price_min", {"q": "a"}),
    (SimilarRequest, "price_max", {"product_id": "a"}),
    (WaitParameters, "wait", {}),
    (DeleteParameters, "version", {}),
    (ListParameters, "limit", {}),
    (ItemsParameters, "limit", {}),
    (JobsParameters, "limit", {}),
]


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize(("model", "field", "others"), FIELDS)
def test_what_only_looks_like_a_number_is_refused_by_its_field(
    model: type[Ranking | Parameters], field: str, others: dict[str, str], text: str
) -> None:
    with pytest.raises(Invalid) as caught:
        validated(model, read_texts(model, MultiDict({**others, field: text})))
    assert [fault["field"] for fault in caught.value.faults] == [field]


@pytest.mark.parametrize(("model", "field", "others"), FIELDS)
def test_digits_are_a_number(
    model: type[Ranking | Parameters], field: str, others: dict[str, str]
) -> None:
    assert (
        getattr(validated(model, read_texts(model, MultiDict({**others, field: "1"}))), field) == 1
    )


def test_fractions_and_signs_are_for_fields_that_have_them() -> None:
    texts = {"q": "a", "min_score": "-0.25", "price_max": "29.99", "offset": "0"}
    read = validated(WordSearch, read_texts(WordSearch, MultiDict(texts)))
    assert (read.min_score, read.price_max, read.offset) == (-0.25, 29.99, 0)
    for text in ("1.0", "1.5"):
        with pytest.raises(Invalid):
            validated(WordSearch, read_texts(WordSearch, MultiDict({"q": "a", "top_k": text})))
