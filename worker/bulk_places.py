"""The places for tasks that work on bulk, and the bells that found none."""

import threading


class BulkPlaces:
    """Places to take and give back; safe to use from many threads.

    Taking a place, or noting that there was none, is one step, and so is giving it back. Apart, a
    place could come back between the two: its giver would see nobody turned away, and the bell of
    who was would be lost.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._turned_away = False
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes a place. False where none is free; whoever gives one back is told of that."""
        with self._lock:
            if not self._free:
                self._turned_away = True
                return False
            self._free -= 1
            return True

    def give_back(self) -> bool:
        """Gives a place back; whether somebody was turned away since the last time."""
        with self._lock:
            self._free += 1
            turned_away, self._turned_away = self._turned_away, False
            return turned_away
