"""`make demo` does what it says, and leaves nothing behind however it ends."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.demo_process import DemoProcess
from tests.processes import listening_ports

Begin = Callable[..., DemoProcess]

# The story takes 20 s on two idle cores.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a demo that does not outlive the test."""
    begun: list[DemoProcess] = []

    def start(*arguments: str, through_make: bool = False) -> DemoProcess:
        begun.append(DemoProcess(tmp_path, *arguments, through_make=through_make))
        return begun[-1]

    yield start
    for demo in begun:
        demo.end()


def test_the_story_shows_what_it_promises_whatever_is_set_and_ctrl_c_is_a_good_end(
    begin: Begin, tmp_path: Path
) -> None:
    picture = tmp_path / "new" / "demo.png"
    demo = begin("--picture", str(picture), "--products", "60")
    demo.wait_for("Ctrl-C\n")
    demo.wait_for("export VITRINE=http://127.0.0.1:")
    tree = demo.tree()
    ports = listening_ports(tree)
    assert len(ports) >= 5, "two Redis, Qdrant, API and pictures"
    for said in (
        "tiny demo model",
        "202 Accepted",
        "succeeded: 60 ",
        '{"text_query": "t-shirt rouge"',
        "cached: true",
        'ok     "red shirt" found the red shirt first',
    ):
        assert said in demo.output
    assert picture.stat().st_size <= 400_000
    with Image.open(picture) as image:
        assert image.width > 1600
    demo.process.send_signal(signal.SIGINT)
    demo.assert_nothing_is_left([p for p in tree if p.pid != demo.process.pid], ports)
    assert demo.process.wait(60) == 0
    assert "Traceback" not in demo.output
    assert demo.output.rstrip().endswith("Bye!")


@pytest.mark.slow
def test_once_ends_by_itself(begin: Begin) -> None:
    demo = begin("--once", "--products", "40")
    demo.wait_for("202 Accepted")
    tree = demo.tree()
    ports = listening_ports(tree)
    assert demo.process.wait(60) == 0, demo.output
    demo.assert_nothing_is_left(tree, ports)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_indexing_leaves_nothing(begin: Begin) -> None:
    demo = begin()
    demo.wait_for("service ready")
    tree = demo.tree()
    ports = listening_ports(tree)
    demo.wait_for("202 Accepted")
    demo.process.kill()
    demo.process.wait()
    demo.assert_nothing_is_left(tree, ports)
    assert "succeeded" not in demo.output


@pytest.mark.slow
def test_a_kill_of_make_leaves_nothing(begin: Begin) -> None:
    demo = begin(through_make=True)
    demo.wait_for("drawn: 100")
    tree = demo.tree()
    ports = listening_ports(tree)
    assert len(tree) > 4
    demo.process.kill()
    demo.process.wait()
    demo.assert_nothing_is_left(tree, ports)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_ends_it_and_shows_in_the_exit_code(
    begin: Begin, number: signal.Signals
) -> None:
    # Under nohup the tests ignore SIGHUP, and with them the demo would.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    demo = begin("--products", "40")
    signal.signal(signal.SIGHUP, inherited)
    demo.wait_for("drawn: 20")
    tree = demo.tree()
    ports = listening_ports(tree)
    demo.process.send_signal(number)
    assert demo.process.wait(60) == 128 + number
    demo.assert_nothing_is_left(tree, ports)
    assert "Traceback" not in demo.output


def test_a_failing_step_is_told_and_leaves_nothing(begin: Begin) -> None:
    demo = begin("--once", "--products", "40")
    demo.wait_for("drawn: 20")
    tree = demo.tree()
    ports = listening_ports(tree)
    supervisor = next(process for process in tree if b"supervisord" in process.command)
    os.kill(supervisor.pid, signal.SIGKILL)
    assert demo.process.wait(60) == 1
    demo.assert_nothing_is_left(tree, ports)
    assert "The demo failed: the supervisor has ended" in demo.output
    assert "Traceback" not in demo.output
