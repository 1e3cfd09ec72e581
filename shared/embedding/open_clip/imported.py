"""open_clip, imported without the libraries that the usual models never use.

Importing it brings in timm and, if it is installed, transformers, for the towers that some
models take from there; timm and torchvision bring in torch's compiler (TorchDynamo). That is more
than half of the processor time that the import takes, and 180 MB of each process with a model.
open_clip goes on without the two libraries; a model that needs one asks for it (`with_towers_of`).
Code that compiles anything imports the compiler then.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import ModuleType
from typing import Final, Literal, cast

_LIBRARIES: Final = ("timm", "transformers")
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
    """Meanwhile the libraries can't be imported, and the compiler is a name.

    No effect on an imported library.
    """
    stands_in: dict[str, ModuleType | None] = {
        name: None for name in _LIBRARIES if name not in sys.modules
    }
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
    from open_clip.tokenizer import SimpleTokenizer
    from open_clip.transform import PreprocessCfg, image_transform_v2

__all__ = [
    "PreprocessCfg",
    "SimpleTokenizer",
    "image_transform_v2",
    "open_clip",
    "with_towers_of",
]

_ADAPTERS: Final = {"timm": open_clip.timm_model, "transformers": open_clip.hf_model}


def with_towers_of(library: Literal["timm", "transformers"]) -> None:
    """Has open_clip make models with towers of the library from now on. Takes two seconds once.

    If the library is not installed, open_clip says so when it makes such a model.
    """
    adapter = _ADAPTERS[library]
    if getattr(adapter, library) is not None:
        return
    # A second copy of the adapter finds the library; the first, whose classes open_clip's other
    # modules hold, takes from it what is the library's. Reloading would make these classes anew.
    complete = module_from_spec(cast(ModuleSpec, adapter.__spec__))
    cast(Loader, complete.__loader__).exec_module(complete)
    for name, value in vars(complete).items():
        if _home(value).split(".")[0] == library:
            setattr(adapter, name, value)


def _home(value: object) -> str:
    """The module that a module's member is or was defined in."""
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
    return home if isinstance(home, str) else ""
