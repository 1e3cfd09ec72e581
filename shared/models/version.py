"""A shop's own version of a product: a counter, or the time of the change. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

MAX_VERSION: Final = 2**53 - 1
"""The largest integer that JSON readers with doubles (and Lua) hold exactly."""

NOW: Final = "now"
"""In the context of a validation: the time, in seconds since 1970, that versions are held against.
Without it none is: what was accepted once stays good."""

_UNITS: Final = {10: 1, 13: 10**3, 16: 10**6}
"""Times from 2001 to 2286 have so many digits in seconds, in milliseconds and in microseconds."""

_FIRST_TIME: Final = 10**9

_ALLOWANCE: Final = timedelta(days=1)
"""For clocks that are wrong, and for local times that are taken for UTC."""


def not_ahead(version: int, info: ValidationInfo) -> int:
    """The version. Refuses one that looks like a time more than a day ahead of the context's
    `NOW`: it would keep out every right one until then."""
    if version < _FIRST_TIME or not info.context or NOW not in info.context:
        return version
    digits = str(version)
    unit = _UNITS.get(len(digits))
    if unit is None or version == MAX_VERSION:  # the bound is a number that nobody's clock shows
        return version
    latest = datetime.fromtimestamp(info.context[NOW], UTC) + _ALLOWANCE
    if version <= latest.timestamp() * unit or _is_written_date(digits, latest):
        return version
    raise PydanticCustomError(
        "version_ahead",
        "looks like a time more than a day ahead (in seconds, milliseconds or microseconds since "
        "1970), which would keep out every later change until then; check the clock",
    )


def _is_written_date(digits: str, latest: datetime) -> bool:
    """Whether the digits are a date's, with an hour or a serial number behind it, or a date and
    time of day in this century: counters that only rise."""
    forms = [(digits[:8], "%Y%m%d")]
    if len(digits) == len("YYMMDDhhmm"):
        forms.append(("20" + digits, "%Y%m%d%H%M"))
    for text, form in forms:
        try:
            written = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if datetime(2000, 1, 1, tzinfo=UTC) <= written <= latest:
            return True
    return False
