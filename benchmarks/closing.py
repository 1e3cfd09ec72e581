"""Resources that a benchmark opens for a while."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Closed at the end of its `with`, whatever happened there."""

    @abstractmethod
    def close(self) -> None:
        """Gives up what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
