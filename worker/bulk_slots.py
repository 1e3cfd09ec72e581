"""The slots of tasks that work on bulk, and the bells that found none free."""

import threading


class BulkSlots:
    """Slots to take and give back; safe to use from many threads.

    Taking a slot, or noting that none was free, is one step, and so is giving it back. Apart, a
    slot could come back between the two: its giver would see nobody turned away, and the bell of
    the task that was would be lost.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._turned_away = False
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes a slot. False if none is free; the task that gives one back is told of that."""
        with self._lock:
            if not self._free:
                self._turned_away = True
                return False
            self._free -= 1
            return True

    def give_back(self) -> bool:
        """Gives a slot back; whether a task was turned away since the last time."""
        with self._lock:
            self._free += 1
            turned_away, self._turned_away = self._turned_away, False
            return turned_away
