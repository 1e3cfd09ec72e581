"""Cookies of one fetch: some servers ask for theirs back after a redirect, as browsers send it."""

from collections.abc import Callable, Mapping
from email.message import Message
from http.cookiejar import CookieJar
from typing import Final
from urllib.request import Request

from shared.fetch.http1 import Head
from shared.fetch.urls import PictureUrl

_MOST: Final = 50
_MOST_CHARACTERS: Final = 4_096
"""As browsers bound them; reading longer ones would take time."""

_SOUND: Final[Mapping[str, Callable[[str], bool]]] = {
    "domain": bool,
    "path": lambda value: value.startswith("/"),
    "max-age": lambda value: value.removeprefix("-").isdigit(),
    "expires": bool,
    "secure": lambda _: True,
}
"""The attributes that decide where a cookie goes, and which of their values mean something."""


class _Carrier:
    """An answer as the jar reads it."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message


class Cookies:
    """A jar that no other fetch sees. The standard library decides to which hosts a cookie goes."""

    def __init__(self) -> None:
        self._jar: CookieJar | None = None  # hardly a fetch needs one

    def take(self, url: PictureUrl, head: Head) -> None:
        """Keeps the cookies that an answer from `url` sets."""
        message = Message()
        for cookie in head.fields.get("set-cookie", ())[:_MOST]:
            if len(cookie) <= _MOST_CHARACTERS and cookie.isascii() and cookie.isprintable():
                message["Set-Cookie"] = _without_odd_attributes(cookie)
        if message:
            self._jar = self._jar or CookieJar()
            # A jar reads no more of an answer than this.
            self._jar.extract_cookies(_Carrier(message), Request(str(url)))  # type: ignore[arg-type]  # noqa: S310

    def header(self, url: PictureUrl) -> str | None:
        """The `Cookie` field of a request for `url`; None if no cookie goes there."""
        if self._jar is None:
            return None
        request = Request(str(url))  # noqa: S310 - nothing is opened, and the scheme is checked
        self._jar.add_cookie_header(request)
        return request.get_header("Cookie")


def _without_odd_attributes(cookie: str) -> str:
    """The cookie without attributes that mean nothing. Browsers ignore these attributes, but the
    jar would drop the cookie.
    """
    pair, *attributes = cookie.split(";")
    kept = [pair]
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        sound = _SOUND.get(name.strip().lower())
        if sound is not None and sound(value.strip()):
            kept.append(attribute)
    return ";".join(kept)
