"""Where a server is, and the namespace that a URL names."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Address", "parse_url"]

SECURE: Final = {"http": False, "ws": False, "https": True, "wss": True}

DEFAULT_PORTS: Final = {False: 80, True: 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A server.

    Attributes:
        secure: Whether it is reached over TLS.
        host: Its name or IP address, without brackets.
        port: Its port.
    """

    secure: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What stands in the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.secure] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority, for requests."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"


def parse_url(url: str) -> tuple[Address, str, dict[str, str] | None]:
    """Read a URL.

    Args:
        url: As in ``https://example.com/admin?token=x``; the path is the namespace. Without a scheme it is ``http``.

    Returns:
        The server, the namespace, and the query; ``None`` without a query.

    Raises:
        TypeError: If it is not a string.
        ValueError: If it names no server.

    Source:
        socket.io-client, ``lib/url.ts``.
    """
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a URL must be a str, not {type(url).__name__}")
    parts = urlsplit(url if "://" in url else f"http://{url.removeprefix('//')}")
    secure = SECURE.get(parts.scheme)
    if secure is None:
        raise ValueError(
            f"{url!r} begins with none of {', '.join(f'{name}://' for name in SECURE)}"
        )
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host")
    if parts.username is not None:
        raise ValueError(
            "a URL with a password in it ends up in logs; give it as auth= or extra_headers="
        )
    address = Address(secure, parts.hostname, parts.port or DEFAULT_PORTS[secure])
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) if parts.query else None
    return address, parts.path or "/", query
