"""The cookies of one server, on all transports."""

import re
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Final

from roomcast.engine.fields import is_token

__all__ = ["CookieJar"]

MAX_COOKIES: Final = 64
"""Cookies that are kept. Beyond: the oldest is forgotten. Browsers keep 50 and more a site."""

MAX_SIZE: Final = 4_096
"""Characters of one ``Set-Cookie``. Beyond: it is ignored, as by browsers."""

VALUE: Final = re.compile(r"[ -:<-~]*")
"""What may stand in a value. More than RFC 6265 knows, as servers send it; no control character, which could end the header."""


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
        # Not SimpleCookie: it drops a cookie with an attribute of which it does not know, such as ``Partitioned``.
        pair, *attributes = header.split(";")
        name, equals, value = (part.strip(" \t") for part in pair.partition("="))
        if not equals or not is_token(name) or not VALUE.fullmatch(value):
            return
        known = {"max-age": "", "expires": ""}
        for attribute in attributes:
            key, _, text = (part.strip(" \t") for part in attribute.partition("="))
            if key.lower() in known:
                known[key.lower()] = text
        self._cookies.pop(name, None)
        end = _end_of(known["max-age"], known["expires"])
        if end is None or end > time.time():
            self._cookies[name] = (value, end)
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
