"""How thoroughly tests look: `--hypothesis-profile=long` for order, `--faults=long` for faults.

And which files run in one process, because they share what takes long to make.
"""

import gc
import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# Several processes share the cores, and a thread of one that waits for its fellow spins meanwhile:
# a fifth of the processor's time. Set before torch is imported; the processes we start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run, so that a failure is the change's and not the day's.
settings.register_profile("ci", derandomize=True, database=None, deadline=None, print_blob=True)
# Other examples in every run; failures are made as small as can be.
settings.register_profile("long", max_examples=3000, deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults=long`: every fault as often as `make test-reliability` wants it."""
    parser.addoption("--faults", choices=("short", "long"), default="short")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looks for garbage among thousands of tests and modules neither now nor later: a tenth of the
    collection's processor time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


STACKS_OF_THEIR_OWN = ("test_benchmarks", "test_demo", "test_full_disk")
WITH_CONVERTED_MODELS = ("test_backends", "test_quantization", "test_vector_parity")


def shared_scope(file: str) -> str:
    """What a file's tests share with those of other files, or the file itself.

    Starting a stack takes 20 s of processor time, and converting the demo model takes 15 s.
    """
    name = file.rpartition("/")[2].removesuffix(".py")
    if file.startswith("tests/e2e/") and name not in STACKS_OF_THEIR_OWN:
        return "one stack"
    return "converted models" if name in WITH_CONVERTED_MODELS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out files as `--dist loadfile` does, and those that share something together."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - `make mutants` runs without it

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return shared_scope(super()._split_scope(nodeid))

    return Scheduling(config, log)
