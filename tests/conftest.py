"""How thoroughly tests look: `--hypothesis-profile=long` for order, `--faults=long` for faults."""

import os

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
