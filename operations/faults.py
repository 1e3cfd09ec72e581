"""Why a command stopped: a message that names the next step, and an exit code of sysexits.h."""

from enum import IntEnum

from shared.settings import SETTINGS_FAULT


class ExitCode(IntEnum):
    """Exit codes, for scripts; 2 is click's for a wrong command line."""

    LOW_RECALL = 1
    """Searches find too few of the products that they should."""
    DATA = 65
    """The file is no backup, or was damaged."""
    NO_INPUT = 66
    """There is nothing to read: no such file, nothing to back up."""
    UNAVAILABLE = 69
    """A server doesn't answer, or takes nothing."""
    CANT_CREATE = 73
    """The target is not free, or has no room."""
    SETTINGS = SETTINGS_FAULT
    """The settings are wrong, or those of another model."""


class OperationFault(Exception):
    """Ends the command. `message` is for people."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
