"""How thoroughly tests look: `--hypothesis-profile=long` for order, `--faults=long` for faults."""

import pytest
from hypothesis import settings

# The same examples in every run, so that a failure is the change's and not the day's.
settings.register_profile("ci", derandomize=True, database=None, deadline=None, print_blob=True)
# Other examples in every run; failures are made as small as can be.
settings.register_profile("long", max_examples=3000, deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--faults=long`: every fault as often as `make test-reliability` wants it."""
    parser.addoption("--faults", choices=("short", "long"), default="short")
