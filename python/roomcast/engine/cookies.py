"""The cookie that carries a session's id to a load balancer.

The server never reads it. It is for whoever stands in front and must send every request of a session to the same process.
Everything here is checked when the server is made, so that no answer can be split by what an option holds.

Source:
    RFC 6265, section 4.1; GHSA-pxg6-pf52-xh8x.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal
from urllib.parse import quote

from roomcast.engine.fields import check_keys, check_max_age, is_token

__all__ = ["Cookie", "read_cookie"]

MAX_DOMAIN: Final = 253
"""Characters of a host name (RFC 1035)."""

_UNRESERVED: Final = "!'()*-._~"
"""What JavaScript's ``encodeURIComponent`` leaves as it is, beside letters and digits."""

# A space is legal in the field, but a browser percent-encodes it in paths, so that such a cookie would never come back.
_PATH: Final = re.compile(r"/[!-:<-~]*")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = re.compile(rf"\.?{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """A cookie with a session's id.

    Attributes:
        name: Its name, a token.
        path: Under which path it is sent back; begins with a slash.
        http_only: Whether scripts in the page cannot read it.
        same_site: ``"lax"``, ``"strict"``, ``"none"`` (which needs ``secure``); ``None`` leaves it to the browser.
        max_age: Seconds until it expires; ``None`` keeps it until the browser closes.
        domain: The host whose subdomains get it too; ``None`` for this host alone.
        secure: Whether it is sent over TLS only.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value cannot stand in the header, or browsers would throw the cookie away.

    Source:
        engine.io, ``ServerOptions.cookie``; npm cookie 0.7.2, ``serialize``.
    """

    name: str = "io"
    path: str = "/"
    http_only: bool = True
    same_site: Literal["lax", "strict", "none"] | None = "lax"
    max_age: int | None = None
    domain: str | None = None
    secure: bool = False

    def __post_init__(self) -> None:
        self._check_types()
        if not is_token(self.name):
            raise ValueError(f"cookie: name must be a token, not {self.name!r}")
        if not _PATH.fullmatch(self.path):
            raise ValueError(
                f"cookie: path must begin with a slash and be visible ASCII without ';', not {self.path!r}"
            )
        if self.domain is not None and not (
            len(self.domain) <= MAX_DOMAIN and _DOMAIN.fullmatch(self.domain)
        ):
            raise ValueError(f"cookie: domain must be a host name, not {self.domain!r}")
        if self.same_site not in ("lax", "strict", "none", None):
            raise ValueError(
                f"cookie: same_site must be 'lax', 'strict', 'none' or None, not {self.same_site!r}"
            )
        check_max_age(self.max_age, "cookie")
        self._check_what_browsers_refuse()

    def _check_types(self) -> None:
        for names, expected, words in (
            (("name", "path"), str, "a str"),
            (("same_site", "domain"), str | None, "a str or None"),
            (("http_only", "secure"), bool, "a bool"),
        ):
            for name in names:
                value: object = getattr(self, name)
                if not isinstance(value, expected):
                    raise TypeError(f"cookie: {name} must be {words}, not {type(value).__name__}")

    def _check_what_browsers_refuse(self) -> None:
        if self.same_site == "none" and not self.secure:
            raise ValueError(
                "cookie: same_site='none' needs secure=True, or browsers throw the cookie away"
            )
        prefix = self.name.lower()
        if prefix.startswith(("__secure-", "__host-")) and not self.secure:
            raise ValueError(f"cookie: name {self.name!r} needs secure=True")
        if prefix.startswith("__host-") and (self.path != "/" or self.domain is not None):
            raise ValueError(f"cookie: name {self.name!r} needs path='/' and no domain")

    def header(self, sid: str) -> str:
        """Return the value of the ``Set-Cookie`` header.

        Args:
            sid: The session's id. What cannot stand in a cookie is percent-encoded; ids of `roomcast` have nothing of it.

        Raises:
            UnicodeEncodeError: If the id has a lone surrogate.

        Source:
            npm cookie, ``serialize``: the same order and spelling.
        """
        parts = [f"{self.name}={quote(sid, safe=_UNRESERVED)}"]
        if self.max_age is not None:
            parts.append(f"Max-Age={self.max_age}")
        if self.domain is not None:
            parts.append(f"Domain={self.domain}")
        parts.append(f"Path={self.path}")
        if self.http_only:
            parts.append("HttpOnly")
        if self.secure:
            parts.append("Secure")
        if self.same_site is not None:
            parts.append(f"SameSite={self.same_site.capitalize()}")
        return "; ".join(parts)


def read_cookie(value: bool | str | Mapping[str, Any] | Cookie | None) -> Cookie | None:
    """Read the option ``cookie`` of a server.

    Args:
        value: ``None`` or ``False`` for no cookie, ``True`` for the usual one, a name, a mapping of the fields of `Cookie`, or one.

    Raises:
        TypeError: If a key is unknown, and then it names the nearest right one; or if something has the wrong type.
        ValueError: If a value cannot stand in the header.

    Source:
        engine.io, ``ServerOptions.cookie``.
    """
    if value is None or value is False:
        return None
    if value is True:
        return Cookie()
    if isinstance(value, Cookie):
        return value
    if isinstance(value, str):
        return Cookie(name=value)
    if isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
        check_keys(value, [field.name for field in fields(Cookie)], "cookie")
        return Cookie(**value)
    raise TypeError(
        f"cookie must be a bool, a name, a mapping or a Cookie, not {type(value).__name__}"
    )
