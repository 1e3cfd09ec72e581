"""One stack for all faults, and the table of what they did."""

import hashlib
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from shared.settings import Settings
from stack.ports import free_port
from tests.e2e.conftest import Shop
from tests.pictures import PictureServer
from tests.reliability.faults.catalogue import Catalogue
from tests.reliability.faults.stack import FaultyStack
from tests.reliability.faults.table import Row, Table

SHOP_KEYS = tuple(f"shop-{number}" for number in range(40))
"""Keys of as many tenants; each tenant has its key's name."""

LEASE_SECONDS = 2.0

_TABLE = pytest.StashKey[Table]()


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether all faults are injected as often and as long as they should be."""
    return bool(request.config.getoption("--faults") == "long")


def settings_of(data_dir: Path, **given: object) -> Settings:
    """A stack's settings on free ports: small times, and a key for each of many shops."""
    keys_file = data_dir / "api-keys"
    lines = [f"{key}:{hashlib.sha256(key.encode()).hexdigest()}\n" for key in SHOP_KEYS]
    keys_file.write_text("".join(lines))
    values: dict[str, object] = {
        "_env_file": None,
        "data_dir": data_dir,
        "api_host": "127.0.0.1",
        "api_port": free_port(),
        "api_keys_file": keys_file,
        "clip_model": "demo",
        "clip_backend": "torch",  # ready sooner: nothing is converted first
        "image_allowed_networks": (ip_network("127.0.0.0/8"),),
        "lease_seconds": LEASE_SECONDS,
        "retry_base_seconds": 0.2,
        "image_not_found_retry_seconds": 0.2,
    }
    return Settings(**{**values, **given})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyStack]:
    data_dir = tmp_path_factory.mktemp("faults")
    settings = settings_of(data_dir, item_max_attempts=4)
    with FaultyStack(settings, log_dir=data_dir / "log") as stack:
        stack.wait_until_ready(120)
        yield stack


@pytest.fixture(scope="session")
def unused_keys() -> list[str]:
    return list(SHOP_KEYS)


@pytest.fixture
def shop(stack: FaultyStack, unused_keys: list[str]) -> Iterator[Shop]:
    """A shop of its own for each test, and so an empty catalogue."""
    stack.wait_until_ready(60)
    shop = Shop(stack, unused_keys.pop())
    yield shop
    shop.close()


@pytest.fixture(scope="session")
def pictures() -> Iterator[PictureServer]:
    with PictureServer() as server:
        yield server


@pytest.fixture
def catalogue(shop: Shop, pictures: PictureServer) -> Catalogue:
    return Catalogue(shop, pictures)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """The test's row, named as the test is."""
    table = request.config.stash.setdefault(_TABLE, Table())
    return table.row(request.node.name.removeprefix("test_").replace("_", " "))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Prints the table; in several processes at once nobody has the whole of it."""
    table = config.stash.get(_TABLE, None)
    if table is not None:
        terminalreporter.section("faults")
        for line in table.lines():
            terminalreporter.write_line(line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In their long form the faults take as long as they take; in the short one some don't run."""
    long = config.getoption("--faults") == "long"
    for item in items:
        if "/faults/" in str(item.path):
            item.add_marker(pytest.mark.timeout(7200 if long else 300))
    if not long:
        left_out = [item for item in items if item.get_closest_marker("long_only")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
