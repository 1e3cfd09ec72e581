"""How the supervisor keeps the processes: which it starts again, and how long they may stop."""

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.settings import SETTINGS_FAULT

STOP_SECONDS: Final = 30
"""Grace for running tasks and requests; the longest is one batch of pictures."""

_GIVING_UP: Final = (3, 4, SETTINGS_FAULT)
"""3 and 4 are gunicorn's own codes for an application that doesn't load."""


def supervisor_config(
    commands: Mapping[str, str], socket: Path, log_dir: Path | None, *, kill: bool = False
) -> configparser.RawConfigParser:
    """The supervisor's file.

    `commands` by process, in the order in which they are started; `socket`: where it answers;
    `log_dir`: for a file of each process, else all log to stdout; `kill`: stop processes with -9,
    because nothing that they could bring to an end is kept.
    """
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "logfile": "/dev/null",
        "logfile_maxbytes": "0",
        "pidfile": str(socket.with_suffix(".pid")),
        # It would report each start and end twice, because the logs have them, too.
        "silent": "true",
    }
    config["unix_http_server"] = {"file": str(socket), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for priority, (name, command) in enumerate(commands.items()):
        log = str(log_dir / f"{name}.log") if log_dir else "/dev/fd/1"
        config[f"program:{name}"] = {
            "command": command.replace("%", "%%"),
            "priority": str(priority),
            "autorestart": "unexpected",
            "exitcodes": ",".join(map(str, _GIVING_UP)),
            "startsecs": "0",
            "stopsignal": "KILL" if kill else "TERM",
            "stopasgroup": str(kill),
            "stopwaitsecs": str(STOP_SECONDS),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": log,
            "stdout_logfile_maxbytes": "0",
        }
    return config


def has_given_up(process: Mapping[str, Any]) -> bool:
    """Whether the supervisor leaves the process ended; `process` is one of `Stack.processes`.

    A killed process is EXITED, too, for the moment until the supervisor starts it again.
    """
    state, code = process["statename"], process["exitstatus"]
    return state == "FATAL" or (state == "EXITED" and code in _GIVING_UP)
