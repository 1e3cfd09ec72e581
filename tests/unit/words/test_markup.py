"""Tests of `shared.words.markup`: what is left of HTML, and in which time."""

import time

import pytest

from shared.words.markup import without_markup


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<p>red</p><p>shirt</p>", "red shirt"),
        ("red<br/>shirt", "red shirt"),
        ("&lt;b&gt;red&lt;/b&gt; shirt", "red shirt"),
        ("red&amp;nbsp;shirt", "red shirt"),
        ("red <!-- a > b --> shirt <!-- open", "red shirt"),
        ("red <style>p {x: y}</style>shirt<SCRIPT>a<b", "red shirt"),
        ("5 < 6 &amp; 7 > 2", "5 < 6 & 7 > 2"),
        ("caf&eacute; &#233;t&#xe9;", "café été"),
        ("&#" + "9" * 7000 + ";red", "red"),
    ],
)
def test_markup_is_taken_out(text: str, words: str) -> None:
    assert " ".join(without_markup(text).split()) == words


@pytest.mark.parametrize(
    "piece",
    ["<", "<a", "<a ", "<!--", "<script>", "</script", "&", "&#", "&#x", "<a '", '<a "', "&lt;"],
)
def test_hostile_text_takes_time_in_proportion(piece: str) -> None:
    text = (piece * 8000)[:8000]
    began = time.thread_time()
    without_markup(text)
    assert time.thread_time() - began < 1
