"""Runs the demo from its command line to its last process, however it ends.

It ends in good order on Ctrl-C, SIGTERM and the terminal's end. If it is killed, the kernel ends
its processes, and the stack's remover its directories (stack/endings.py).
"""

import argparse
import errno
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console

from demo.client import ShopClient
from demo.pictures import PictureServer
from demo.report import Report
from demo.settings import demo_settings
from demo.story import DemoFault, Story
from demo.terminal import hang_up_with_terminal
from stack.ports import free_port
from stack.run import Stack

_INTRO: Final = (
    "A shop pushes its catalogue to a fresh Vitrine, then searches it:",
    "",
    "  1. draw {products} products and serve their pictures, as a shop would;",
    "     meanwhile API, workers, Redis and Qdrant start on this machine",
    "  2. index the products through the API",
    "  3. search them in words, English and French",
    "",
    "It takes about half a minute on two free cores. Nothing is downloaded and",
    "nothing stays: data in a temporary directory, ports on loopback only.",
    "",
    "The model is the tiny demo model (CLIP_MODEL=demo), trained on such drawings",
    "and nothing else: it shows how the service works, not how well a real model",
    "knows photos.",
)

_MAX_PRODUCTS: Final = 10_000
"""The API takes so many in one call."""

_LOOPBACK: Final = ip_network("127.0.0.0/8")


class Ended(BaseException):
    """A signal asks us to end. Like KeyboardInterrupt, no `except Exception` may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str]) -> int:
    """Runs the demo; returns the exit code.

    0 if all went as it should and also after Ctrl-C at the story's end; 1 if it did
    not; 128 + the signal's number if one came in the middle.
    """
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup the terminal's end is not meant for us. SIGINT always is: a shell script
        # starts its background jobs with it ignored.
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    hang_up_with_terminal()
    scratch = Path(tempfile.mkdtemp(prefix="vitrine-demo-"))
    try:
        return _run(options, scratch)
    except Ended as ended:
        return 128 + ended.number
    except OSError as err:
        if err.errno not in (errno.EIO, errno.EPIPE):
            raise
        # The terminal is gone, or whoever read our output. What Python still holds of it is
        # written when it ends, and must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(options: argparse.Namespace, scratch: Path) -> int:
    report = Report(Console(highlight=False))
    report.intro([text.format(products=options.products) for text in _INTRO])
    settings = demo_settings(scratch / "data", free_port(), _LOOPBACK)
    logs = scratch / "logs"
    stack = Stack(settings, log_dir=logs, scratch=scratch)
    with stack, PictureServer() as pictures, ShopClient(stack.api_url) as client:
        story = Story(stack, client, pictures, report, options.products)
        finished = False
        try:
            story.draw()
            story.wait_until_ready()
            story.index()
            story.search()
            if options.picture:
                story.save_picture(options.picture)
            story.tell_checks()
            finished = True
            if not options.once:
                story.stay()
        except DemoFault as fault:
            report.failure(str(fault), [logs / f"{name}.log" for name in fault.logs])
            return 1
        except Ended as ended:
            report.line(f"\n{signal.Signals(ended.number).name}: stopping, and cleaning up. Bye!")
            if not finished:
                raise
    return 0 if all(story.checks.values()) else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description="A shop pushes its catalogue and searches it."
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="end after the searches, with 1 unless all went as it should",
    )
    parser.add_argument(
        "--picture", type=Path, metavar="PATH", help="also write the answers as a picture (PNG)"
    )
    parser.add_argument(
        "--products",
        type=_product_count,
        default=200,
        metavar="N",
        help="how many products to draw (%(default)s)",
    )
    return parser.parse_args(arguments)


def _product_count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MAX_PRODUCTS:
        raise argparse.ArgumentTypeError(f"from 1 to {_MAX_PRODUCTS}")
    return count


def _end(number: int, _: FrameType | None) -> None:
    raise Ended(number)
