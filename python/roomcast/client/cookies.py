"""The cookies of one server, on all transports."""

import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from http.cookies import CookieError, SimpleCookie
from typing import Final

__all__ = ["CookieJar"]

MAX_COOKIES: Final = 64
"""Cookies that are kept. Beyond: the oldest is forgotten. Browsers keep 50 and more a site."""

MAX_SIZE: Final = 4_096
"""Characters of one ``Set-Cookie``. Beyond: it is ignored, as by browsers."""


class CookieJar:
    """What one server has set. A client has one server, so that neither domains nor paths tell cookies apart.

    Source:
        engine.io-client, ``CookieJar``.
    """

    def __init__(self) -> None:
        """Keep none yet."""
        self._cookies: dict[str, tuple[str, float | None]] = {}

    def take(self, headers: Iterable[str]) -> None:
        """Keep what ``Set-Cookie`` headers say; one that is none is ignored."""
        for header in headers:
            if len(header) <= MAX_SIZE:
                self._take(header)

    def header(self) -> str | None:
        """Return the ``Cookie`` header, ``None`` without cookies."""
        now = time.time()
        for name in [
            name for name, (_, end) in self._cookies.items() if end is not None and end <= now
        ]:
            del self._cookies[name]
        return "; ".join(f"{name}={value}" for name, (value, _) in self._cookies.items()) or None

    def _take(self, header: str) -> None:
        try:
            parsed = SimpleCookie(header)
        except CookieError:
            return
        for name, morsel in parsed.items():
            self._cookies.pop(name, None)
            end = _end_of(morsel["max-age"], morsel["expires"])
            if end is None or end > time.time():
                self._cookies[name] = (morsel.coded_value, end)
        while len(self._cookies) > MAX_COOKIES:
            del self._cookies[next(iter(self._cookies))]


def _end_of(max_age: str, expires: str) -> float | None:
    """Return when a cookie ends, in seconds since 1970; ``None`` for not before the program."""
    try:
        if max_age:
            return time.time() + int(max_age)
        if expires:
            return parsedate_to_datetime(expires).timestamp()
    except (ValueError, OverflowError):
        pass
    return None
