"""The precision of a tower: the one that is set, or the fastest, found by trying once.

A CPU's instructions for bf16 may be slow: a Xeon with AVX512-BF16 but without AMX did half as much
work per second in bf16 as in float32. A lone short text still gained there, because it waits for
memory and bf16 reads half as many bytes. So towers are tried if both can run. The measurement is
kept beside the model, so that later starts are quick and processes agree.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import structlog
from numpy.typing import NDArray

from shared.embedding.encoder import Tower
from shared.embedding.openvino import runtime as openvino_runtime
from shared.embedding.openvino.converted_models import ConvertedModels
from shared.embedding.openvino.runtime import CompiledTower, Precision

log = structlog.get_logger(__name__)

Inputs = Sequence[NDArray[Any]]
Seconds = Mapping[Precision, Sequence[float]]
"""CPU time of one pass for each probe, by precision."""

LOSSLESS: Final[tuple[Precision, ...]] = ("fp32", "bf16")
"""The choices of `auto`: within the parity bound and with float32's range. fp16 is closer to
float32 than bf16, but overflows beyond 65,504, which unknown weights may reach."""

WORTHWHILE: Final = 0.9
"""The largest share of float32's time at which another precision is worth its error."""

_ROUNDS: Final = 3


def compile_tower(
    tower: Tower,
    compiled_in: Callable[[Precision], CompiledTower],
    wanted: Literal["auto"] | Precision,
    probes: Sequence[Inputs],
    store: ConvertedModels,
) -> CompiledTower:
    """The tower in the wanted precision or the fastest, and one line in the log that says why.

    `probes`: typical inputs, to be tried with.
    """
    seconds: Seconds = {}
    if wanted != "auto":
        chosen: Precision = wanted
        compiled = compiled_in(chosen)
    else:
        candidates = [each for each in LOSSLESS if each in openvino_runtime.supported_precisions()]
        ready: dict[Precision, CompiledTower] = {}
        if len(candidates) > 1:
            cpu = hashlib.sha256(openvino_runtime.cpu_name().encode()).hexdigest()[:8]
            known = _known(store.notes(f"speed-{tower}-{cpu}"), candidates)
            if known is None:
                ready = {each: compiled_in(each) for each in candidates}
                known = measure(ready, probes)
                store.note(f"speed-{tower}-{cpu}", known)
            seconds = known
        chosen = fastest(seconds)
        compiled = ready.get(chosen) or compiled_in(chosen)
    log.info(
        "encoder_chosen",
        tower=tower,
        chosen=f"openvino {chosen}",
        candidates=_table(wanted, chosen, seconds),
        threads=compiled.threads,
    )
    return compiled


def measure(
    towers: Mapping[Precision, CompiledTower], inputs: Sequence[Inputs]
) -> dict[Precision, list[float]]:
    """Seconds of CPU time per input, the least of several rounds in turn.

    CPU time, because the cores may be busy with other work when a process starts.
    """
    best = {precision: [math.inf] * len(inputs) for precision in towers}
    for tower in towers.values():
        for each in inputs:
            tower.run(each)  # The first pass packs the weights.
    for _ in range(_ROUNDS):
        for place, each in enumerate(inputs):
            for precision, tower in towers.items():
                started = time.process_time()
                tower.run(each)
                spent = time.process_time() - started
                best[precision][place] = min(best[precision][place], spent)
    return best


def relative_time(seconds: Seconds, precision: Precision) -> float:
    """A precision's time as a share of fp32's, for the input on which it does worst.

    A lone query waits for weights to be read, and bf16 halves these. A full batch waits for
    multiplications, which may be slower in bf16.
    """
    return max(mine / base for mine, base in zip(seconds[precision], seconds["fp32"], strict=True))


def fastest(seconds: Seconds) -> Precision:
    """The precision to take: fp32, unless another one is faster by a margin for every input."""
    shares = {each: relative_time(seconds, each) for each in seconds}
    best = min(shares, key=lambda each: shares[each], default="fp32")
    return best if best in shares and shares[best] <= WORTHWHILE else "fp32"


def _known(noted: Any, candidates: Sequence[Precision]) -> Seconds | None:
    """The measurement of an earlier start, if it can be used."""
    try:
        return {each: [float(second) for second in noted[each]] for each in candidates}
    except (KeyError, TypeError, ValueError):
        return None


def _table(wanted: str, chosen: Precision, seconds: Seconds) -> list[str]:
    """Each candidate with the reason for or against it."""
    if wanted != "auto":
        return [f"openvino {chosen}: set by CLIP_PRECISION"]
    rows = []
    for each in LOSSLESS:
        if each in seconds:
            times = " and ".join(f"{1000 * second:.0f} ms" for second in seconds[each])
            share = relative_time(seconds, each)
            reason = f"{times} of CPU time, at worst {share:.2f} of fp32's"
        elif each == "fp32":
            reason = "the only lossless one that this CPU has instructions for"
        else:
            reason = "this CPU has no instructions for it"
        rows.append(f"openvino {each}: {reason}" + (" (chosen)" if each == chosen else ""))
    rows.append("openvino fp16: not lossless for every model, so only if CLIP_PRECISION says so")
    rows.append("torch fp32: not tried, for OpenVINO is there and the tower converts")
    return rows
