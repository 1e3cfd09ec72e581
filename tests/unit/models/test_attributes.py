"""Listed attributes and their types."""

from typing import Any

import pytest

from shared.models.attributes import AttributeType, attribute_types, mismatches


def test_an_attribute_without_a_type_has_strings() -> None:
    listed = ["color", " rating : float ", "in_stock:bool", "a:b:integer", "shoe size", "a.b"]
    assert attribute_types(listed) == {
        "color": AttributeType.KEYWORD,
        "rating": AttributeType.FLOAT,
        "in_stock": AttributeType.BOOL,
        "a:b": AttributeType.INTEGER,
        "shoe size": AttributeType.KEYWORD,
        "a.b": AttributeType.KEYWORD,
    }
    assert attribute_types([]) == {}
    assert attribute_types(["a", "a:keyword"]) == {"a": AttributeType.KEYWORD}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("rating:floaty", "rating:floaty has no type that is known"),
        ("rating:", "keyword, integer, float, bool"),
        ("rating:Float", "no type"),
        (":float", "names no attribute"),
        ("", "names no attribute"),
        ('5" heel:float', "quotes"),
        ("a\\b", "backslashes"),
        ("a\tb", "control characters"),
        ("x" * 65, "64"),
    ],
)
def test_what_can_not_be_listed_is_told(entry: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        attribute_types([entry])


def test_an_attribute_has_one_type() -> None:
    with pytest.raises(ValueError, match="two types"):
        attribute_types(["a", "a:bool"])


@pytest.mark.parametrize(
    ("kind", "fitting", "others"),
    [
        ("keyword", ["a", "", ["a", "b"], []], [1, 1.5, True]),
        ("integer", [1, -1, 0, 2**53 - 1, 5.0], ["1", ["1"], 1.5, True, False]),
        ("float", [1, 1.5, 0], ["1.5", ["1.5"], True]),
        ("bool", [True, False], [1, 0, "true", ["true"]]),
    ],
)
def test_values_of_another_type_are_told(kind: str, fitting: list[Any], others: list[Any]) -> None:
    types = attribute_types([f"a:{kind}", "b"])
    for value in fitting:
        assert mismatches({"a": value, "c": 1}, types) == []
    for value in others:
        said = f"The attribute a is listed as {kind}, and has a value of another type."
        assert mismatches({"a": value, "b": "x"}, types) == [said]
