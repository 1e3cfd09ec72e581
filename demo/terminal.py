"""Notices that the terminal is gone."""

import os
import select
import signal
import sys
import threading


def hang_up_with_terminal() -> None:
    """Sends us SIGHUP when the terminal that we write to is closed, unless SIGHUP is ignored.

    The kernel tells the session's leader alone, commonly a shell, which passes it on. If make
    is the leader (`ssh -t host make demo`), it would wait for us instead.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN or not sys.stdout.isatty():
        return
    poll = select.poll()
    # No event is asked for: the end of the terminal is reported anyway.
    poll.register(sys.stdout.fileno(), 0)

    def wait() -> None:
        poll.poll()
        os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=wait, daemon=True).start()
