"""Why a command stopped: a sentence that names the next step, and an exit code of sysexits.h."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes, for scripts."""

    SOME_FAILED = 1
    """The command did its work, and some items failed."""
    USAGE = 64
    """The command line is wrong."""
    DATA = 65
    """A file can't be used, or the service refuses what it was sent."""
    UNAVAILABLE = 69
    """No service answers, or it is overloaded or broken."""
    CANT_CREATE = 73
    """A file can't be written."""
    NO_PERMISSION = 77
    """The service refuses the key."""
    INTERRUPTED = 130
    """Ctrl-C."""


class Fault(Exception):
    """Ends the command. `message` is for people."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
