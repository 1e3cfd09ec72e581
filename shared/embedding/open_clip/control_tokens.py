"""Keeps a shopper's text from being read as a tokenizer's own tokens.

open_clip's tokenizers take `<end_of_text>` in a text for the end of the text, and would drop what
stands behind it.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any


def read_literally(tokenizer: Any) -> None:
    """Has an open_clip tokenizer take all of a text for text from now on.

    Names of control tokens are parted behind their first character. That happens behind the
    tokenizer's cleaning, because that puts them together from `&lt;end_of_text&gt;` or from wide
    characters. CLIP's own tokenizer parts punctuation from letters anyway.
    """
    clean = getattr(tokenizer, "clean_fn", None)
    if clean is None:  # SigLIP's cleaning leaves no punctuation
        return
    names = sorted(map(re.escape, _control_tokens(tokenizer)), key=len, reverse=True)
    control = re.compile("|".join(names), re.IGNORECASE)  # linear: words, of bounded length

    def parted(text: str) -> str:
        cleaned: str = clean(text)
        # The second form is what a tokenizer's own normalising may make of it.
        for form in (cleaned, unicodedata.normalize("NFKC", cleaned)):
            if control.search(form):
                return control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", form)
        return cleaned

    tokenizer.clean_fn = parted


def _control_tokens(tokenizer: Any) -> Iterable[str]:
    inner = getattr(tokenizer, "tokenizer", None)  # of the transformers library
    if inner is None:
        return {tokenizer.decoder[token] for token in tokenizer.all_special_ids}
    added = inner.added_tokens_decoder.values()
    return {*inner.all_special_tokens, *(token.content for token in added)}
