"""The memory of each process of the stack, and the size of data on the disk."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.results import Measured, Row
from stack.run import Stack


def measure(bench: Bench) -> Measured:
    """The memory after the other measurements."""
    held = memory_of(bench.stack)
    rows = [
        Row(
            name=f"memory of {name}",
            values=[sizes["pss_mb"]],
            unit="MB",
            digits=0,
            note=f"PSS; RSS {sizes['rss_mb']:.0f} MB",
        )
        for name, sizes in held.items()
    ]
    return Measured(rows=rows, details={"processes": held})


def memory_of(stack: Stack) -> Mapping[str, Mapping[str, float]]:
    """PSS and RSS in MB by the Procfile's names, with the processes that each has started.

    PSS counts what several processes share by halves, thirds and so on.
    """
    found = {}
    for process in stack.processes():
        sizes = [_memory(pid) for pid in _family(process["pid"])]
        found[process["name"]] = {
            "pss_mb": sum(pss for pss, _ in sizes) / 1024,
            "rss_mb": sum(rss for _, rss in sizes) / 1024,
        }
    return found


def disk_mb(folder: Path) -> float:
    """The size of a folder's files on the disk."""
    blocks = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # servers replace their files
            blocks += path.stat().st_blocks
    return blocks * 512 / 2**20


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _memory(pid: int) -> tuple[int, int]:
    """PSS and RSS in kB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = dict(re.findall(r"^(Pss|Rss):\s+(\d+) kB$", text, re.MULTILINE))
    return int(fields["Pss"]), int(fields["Rss"])
