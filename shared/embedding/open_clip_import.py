"""open_clip, imported without what the usual models never use.

Importing it brings in timm, for the towers that some models take from there, and both timm and
torchvision bring in torch's compiler (TorchDynamo). That is half of the 5 s of processor time that
the import takes, and 180 MB of each process with a model. open_clip goes on without timm; whoever
needs it says so (`with_timm`). Who compiles anything imports the compiler then.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

_TIMM: Final = "timm"
_COMPILER: Final = "torch._dynamo"


def _compiler() -> Mapping[str, ModuleType]:
    """Stands in for the one function that torchvision takes of the compiler at its import.

    torchvision asks it before it compiles a detector's layer, which no model here has.
    """
    package, tools = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    package.__path__ = []
    tools.is_compile_supported = lambda _device: False  # type: ignore[attr-defined]
    return {package.__name__: package, tools.__name__: tools}


@contextmanager
def _left_out() -> Iterator[None]:
    """Meanwhile timm can't be imported, and the compiler is a name. No effect on what is there."""
    stands_in: dict[str, ModuleType | None] = {}
    if _TIMM not in sys.modules:
        stands_in[_TIMM] = None
    if _COMPILER not in sys.modules:
        stands_in.update(_compiler())
    sys.modules.update(stands_in)  # type: ignore[arg-type]  # None is Python's sign for "blocked"
    try:
        yield
    finally:
        for name in stands_in:
            del sys.modules[name]


with _left_out():
    import open_clip

__all__ = ["open_clip", "with_timm"]


def with_timm() -> None:
    """Has open_clip make models with towers of timm from now on. Takes two seconds once."""
    towers: Any = open_clip.timm_model
    if towers.timm is None:
        # Its classes look these names up where they are defined, so those in use find them, too.
        importlib.reload(towers)
