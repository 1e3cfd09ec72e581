"""Which hosts may be trusted to be this machine."""

import pytest

from shared.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_these_are_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", [None, "", "[]", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example"]
)
def test_these_may_be_another(host: str | None) -> None:
    assert not is_loopback(host)
