"""Headers of every answer, that of a page included."""

from typing import Final

_CLOSED: Final = "default-src 'none'; frame-ancestors 'none'"

POLICY: Final = "Content-Security-Policy"

PAGE_POLICY: Final = (
    f"{_CLOSED}; base-uri 'none'; form-action 'none'; "
    "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
)
"""Of a page that takes its parts from this service alone."""

STYLED_PAGE_POLICY: Final = PAGE_POLICY.replace("style-src", "style-src 'unsafe-inline'")
"""Of Swagger UI, which puts style attributes into its markup."""

SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    POLICY: _CLOSED,
    "Cache-Control": "no-store",
}
"""Answers are data. A page sets its own policy."""
