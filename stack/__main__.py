"""`python -m stack`, which is `make run`: the stack in the foreground."""

import fcntl
import os
import signal
import stat
import sys
import time
from types import FrameType

import structlog

from shared.logs import configure_logging
from shared.loopback import OpenToTheNetwork, check_closed, is_loopback
from shared.settings import SETTINGS_FAULT, get_settings, unknown_names
from stack.run import Stack, StackError
from stack.supervision import STOP_SECONDS


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> None:
    """Runs the stack in the foreground until a signal or a process's settings end it.

    Exits with 1 and a line if the stack can't start or go on, and with `SETTINGS_FAULT` before
    anything is started if other machines could use it without a key.
    """
    if stat.S_ISREG(os.fstat(1).st_mode):
        # The supervisor appends the processes' logs to it; our lines must not lie over them.
        fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_APPEND)
    settings = get_settings()  # exits, with the setting's name, if one is wrong
    for warning in unknown_names():
        _say(warning)
    try:
        check_closed(settings)
    except OpenToTheNetwork as err:
        print(f"vitrine: {err}", file=sys.stderr)  # noqa: T201
        sys.exit(SETTINGS_FAULT)
    if not is_loopback(settings.api_host):
        _say(
            f"API_HOST={settings.api_host} is within reach of slow clients, each of which can hold "
            "a thread of the API: put a proxy in front, for example nginx with deploy/nginx.conf"
        )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Stack(settings) as it:
            try:
                _say(
                    f"starting {', '.join(it.names)} with CLIP_MODEL={settings.clip_model} on the "
                    f"data in {it.data_dir}; their logs follow here, and a line when all are ready"
                )
                if not it.ends_with_us:
                    _say(
                        "there is no `setpriv --pdeathsig` (util-linux) here: should this process "
                        "be killed with -9, the others go on, and are yours to end"
                    )
                if not it.metrics_in_memory:
                    _say(
                        "there is no room in /dev/shm, so metrics lie in DATA_DIR: should "
                        "its disk be full, the processes end"
                    )
                it.wait_until_ready(900)  # the first start may have to fetch the model
                if it.logs_are_for_people:
                    _say(f"ready at {it.api_url}/docs; Ctrl-C stops it", apart=True)
                else:
                    configure_logging(settings.log_level, "stack", "json")
                    structlog.get_logger("stack").info("ready", url=f"{it.api_url}/docs")
                while True:
                    time.sleep(1)
                    it.check()
            except KeyboardInterrupt:
                _say(f"stopping; work under way ends first, for at most {STOP_SECONDS} s")
    except KeyboardInterrupt:
        pass
    except StackError as err:
        sys.exit(f"vitrine: {err}")


def _say(text: str, *, apart: bool = False) -> None:
    """Prints a line; `apart`: between empty lines, because the processes' logs would hide it."""
    around = "\n" if apart else ""
    print(f"{around}vitrine: {text}{around}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
