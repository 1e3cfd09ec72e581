"""OpenVINO's runtime: whether it is there, what this CPU computes with, and models made ready.

OpenVINO announces every import to a statistics service of its makers (openvino-telemetry), unless
that package can't be imported; then it goes on without. A shop's server reports to nobody, so its
import is blocked here, which is the only place that imports OpenVINO.
"""

import os
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["fp32", "bf16", "fp16"]

_ELEMENT_TYPES: Final[dict[Precision, str]] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES: Final[dict[str, Precision]] = {"FP32": "fp32", "BF16": "bf16", "FP16": "fp16"}


@cache
def openvino() -> Any:
    """The openvino package. Raises ImportError or OSError if it can't be loaded."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino  # noqa: PLC0415  # a quarter of a second that CLIP_BACKEND=torch need not pay

    return openvino


@cache
def _core() -> Any:
    return openvino().Core()


def read_model(path: Path) -> Any:
    """A model of OpenVINO from its .xml file. Raises RuntimeError if it can't be read."""
    return _core().read_model(path)


def version() -> str:
    """The runtime's version, as far as models converted by it may depend on it."""
    return str(openvino().__version__)


def cpu_name() -> str:
    """The processor's name as OpenVINO gives it."""
    return str(_core().get_property("CPU", "FULL_DEVICE_NAME"))


@cache
def has_vnni() -> bool:
    """Whether this CPU adds up products of 8 bits without clamping them at 16 (VNNI, or AMX).

    Without it int8 weights may take half of their range alone. True if it can't be told.
    """
    try:
        facts = Path("/proc/cpuinfo").read_text()
    except OSError:
        return True
    return "flags" not in facts or "vnni" in facts or "amx_int8" in facts


@cache
def supported_precisions() -> frozenset[Precision]:
    """The precisions that this CPU has instructions for, as OpenVINO finds; fp32 always is.

    BF16 stands for AVX512-BF16 or AMX, FP16 for AVX512-FP16 or their likes on ARM.
    """
    found = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return frozenset({_CAPABILITIES[name] for name in found if name in _CAPABILITIES} | {"fp32"})


class CompiledTower:
    """One tower, compiled for this CPU; its calls come from one thread at a time."""

    def __init__(self, model: Any, precision: Precision, threads: int | None = None) -> None:
        """Compile a model: the path of its .xml file, or a model of OpenVINO in memory.

        `threads` bounds the threads of one forward pass, never beyond the cores that this process
        may use; None leaves OpenVINO's choice, one per physical core. Takes about a second.
        """
        options: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": _ELEMENT_TYPES[precision],
            # One thread owns the tower, so one pass at a time takes all threads.
            "PERFORMANCE_HINT": "LATENCY",
            # Pinned threads of API and workers would sit on the same cores while others are idle.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = min(threads, _usable_cores())
        source = read_model(model) if isinstance(model, Path) else model
        compiled = _core().compile_model(source, "CPU", options)
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        self.threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))

    def run(self, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """The tower's only output for its inputs in order, copied out of the tower's memory."""
        with self._lock:  # Readiness checks and measuring may come beside the batcher.
            self._request.infer(list(inputs), share_inputs=True)
            output: NDArray[np.float32] = self._request.get_output_tensor(0).data.astype(np.float32)
        return output


def _usable_cores() -> int:
    """Cores that this process may run on; fewer than the machine's in a bound container."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
