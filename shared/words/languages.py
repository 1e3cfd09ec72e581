"""Words as their stems in the languages of a shop (Snowball's, through PyStemmer). Pure."""

from collections.abc import Sequence
from threading import Lock
from typing import Final

import Stemmer

LIBRARY_VERSION: Final = Stemmer.version()
"""PyStemmer's; another one may make other stems."""


def check_languages(languages: Sequence[str]) -> None:
    """Raises ValueError if a language is none of Snowball's: ISO 639 codes and English names."""
    for language in languages:
        try:
            Stemmer.Stemmer(language)
        except (KeyError, UnicodeError):
            known = ", ".join(Stemmer.algorithms())
            raise ValueError(
                f"{language} is no language that stems are known of; give codes such as en and fr, "
                f"or names: {known}"
            ) from None


class Stems:
    """The stems of a word, one for each language. Threads may share it."""

    def __init__(self, languages: Sequence[str]) -> None:
        """Raises ValueError as `check_languages` does."""
        check_languages(languages)
        # Without caches of their own, because the analyser keeps what it made of a word.
        self._stemmers = [Stemmer.Stemmer(language, 0) for language in languages]
        self._lock = Lock()

    def of(self, word: str) -> tuple[str, ...]:
        """The distinct stems of a word in lower case; the word itself without languages."""
        with self._lock:  # a stemmer's state is one call's
            stems = [stemmer.stemWord(word) for stemmer in self._stemmers]
        return tuple(dict.fromkeys(stem or word for stem in stems)) or (word,)
