"""An import steps back for those who search."""

import os

from stack.run import Stack


def test_the_worker_that_embeds_pictures_is_nicer_than_the_others(stack: Stack) -> None:
    niceness = {
        process["name"]: os.getpriority(os.PRIO_PROCESS, process["pid"])
        for process in stack.processes()
    }
    others = {niceness[name] for name in ("api", "worker-fast", "redis", "qdrant")}
    assert len(others) == 1
    assert niceness["worker"] == others.pop() + 10
