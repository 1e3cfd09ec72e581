"""What the watchdog ends and what it leaves alone, in processes of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from shared.watchdog import Watchdog

ROOT = Path(__file__).parents[2]

# As short as a busy machine allows.
_PROLOGUE = """
import re, threading, time
from shared.watchdog import Watchdog
watchdog = Watchdog(decode_seconds=2.0, forward_seconds=5.0)
watchdog.start()
"""
_DONE = "came to its end"


def process(code: str) -> "subprocess.Popen[str]":
    """Runs the code beside a watchdog; it says so when it has come to its end."""
    lines = _PROLOGUE + textwrap.dedent(code) + f"\nprint({_DONE!r}, flush=True)\n"
    return subprocess.Popen(
        [sys.executable, "-c", lines],
        cwd=ROOT,
        env={"PATH": os.defpath},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def outcome(code: str) -> tuple[int, str, str, float]:
    """Exit status, stdout, stderr and the seconds that it took."""
    began = time.monotonic()
    with process(code) as running:
        said, wrote = running.communicate(timeout=60)
    return running.returncode, said, wrote, time.monotonic() - began


@pytest.mark.parametrize("step", ["decoding", "forward_pass", "work"])
def test_a_step_that_holds_the_interpreters_lock_is_ended(step: str) -> None:
    status, said, wrote, _ = outcome(f"""
        def hang_with_lock():
            re.match(r"(a+)+b", "a" * 64)
        with watchdog.{step}():
            hang_with_lock()
    """)
    assert status == 1
    assert _DONE not in said
    assert "hang_with_lock" in wrote  # where it stood


@pytest.mark.parametrize(("step", "bound"), [("decoding", 2), ("forward_pass", 5)])
def test_a_step_that_lets_others_run_and_never_ends_is_ended(step: str, bound: int) -> None:
    status, said, wrote, seconds = outcome(f"""
        def hang_without_lock():
            threading.Event().wait()
        with watchdog.{step}():
            hang_without_lock()
    """)
    assert status == 1
    assert seconds > bound
    assert "stands_still" in said + wrote
    assert "hang_without_lock" in wrote


def test_a_loop_of_python_is_ended_in_a_thread_too() -> None:
    status, said, wrote, _ = outcome("""
        def loop():
            with watchdog.decoding():
                while True:
                    pass
        thread = threading.Thread(target=loop)
        thread.start()
        thread.join()
    """)
    assert status == 1
    assert _DONE not in said
    assert "in loop" in wrote


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            """
            with watchdog.decoding() as step:
                with step.waiting():
                    time.sleep(3)
            """,
            id="waiting for memory",
        ),
        pytest.param(
            """
            with watchdog.decoding():
                with watchdog.loading():
                    time.sleep(3)
            """,
            id="while a model loads",
        ),
        pytest.param(
            """
            began = time.monotonic()
            while time.monotonic() - began < 4:
                with watchdog.decoding():
                    time.sleep(0.3)
            """,
            id="many short steps",
        ),
        pytest.param("with watchdog.work(): time.sleep(3)", id="work may take its time"),
        pytest.param("with watchdog.forward_pass(): time.sleep(3)", id="within a longer bound"),
        pytest.param("time.sleep(3)", id="idle"),
    ],
)
def test_what_gets_on_or_waits_is_left_alone(code: str) -> None:
    status, said, wrote, _ = outcome(code)
    assert (status, said.strip(), wrote) == (0, _DONE, "")


def frozen(running: "subprocess.Popen[str]", seconds: float) -> None:
    assert running.stdout is not None
    assert running.stdout.readline()  # it has begun
    running.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    running.send_signal(signal.SIGCONT)


def test_an_idle_process_may_be_frozen_for_any_time() -> None:
    code = """
        with watchdog.work():
            pass
        time.sleep(1)  # the clock is stopped at the next beat
        print('begun', flush=True)
        time.sleep(0.5)
    """
    with process(code) as running:
        frozen(running, 4)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert _DONE in said


def test_the_time_in_which_it_was_frozen_is_not_counted_as_the_steps() -> None:
    code = """
        watchdog = Watchdog(decode_seconds=8.0)
        watchdog.start()
        with watchdog.decoding():
            print('begun', flush=True)
            for _ in range(40):
                time.sleep(0.1)
    """
    began = time.monotonic()
    with process(code) as running:
        frozen(running, 5)
        said, wrote = running.communicate(timeout=60)
    assert (running.returncode, said.strip()) == (0, _DONE), wrote
    assert time.monotonic() - began > 8


def test_watching_costs_a_step_next_to_nothing() -> None:
    watchdog = Watchdog()
    began = time.perf_counter()
    for _ in range(10_000):
        with watchdog.decoding():
            pass
    assert (time.perf_counter() - began) / 10_000 < 100e-6
