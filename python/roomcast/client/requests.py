"""What stands in the requests of a client, on either transport."""

import itertools
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from roomcast.client.cookies import CookieJar
from roomcast.client.options import Options, Query, QueryValue
from roomcast.client.url import Address

__all__ = ["Requests"]

PROTOCOL: Final = "4"
"""The revision of Engine.IO."""

OWN: Final = frozenset({"EIO", "transport", "sid", "b64"})
"""Parameters of the protocol."""


class Requests:
    """Paths and headers of one manager's requests.

    Attributes:
        address: The server.
        cookies: What it has set; ``None`` where cookies are not kept.
    """

    _count = itertools.count()

    def __init__(self, address: Address, options: Options) -> None:
        """Take where they go to."""
        self.address = address
        self.cookies = CookieJar() if options.with_credentials else None
        self._options = options
        path = options.path
        self._path = path if path.endswith("/") or not options.add_trailing_slash else f"{path}/"

    @property
    def where(self) -> str:
        """The URL of the server, without a query."""
        return f"{self.address.origin}{self._path}"

    def target(self, transport: str, sid: str | None = None) -> str:
        """Return path and query of a request.

        Args:
            transport: The transport.
            sid: The session, if there is one.
        """
        options = self._options
        query: Query = options.of(transport, "query")
        # What belongs to the protocol takes the place of what the program calls the same.
        fields = {name: _values(value) for name, value in query.items() if name not in OWN}
        fields |= {"EIO": PROTOCOL, "transport": transport}
        stamped = options.timestamp_requests
        if transport == "polling" if stamped is None else stamped:
            fields[options.timestamp_param] = (
                f"{time.time_ns() // 1_000_000:x}.{next(self._count):x}"
            )
        if options.force_base64:
            fields["b64"] = "1"
        if sid is not None:
            fields["sid"] = sid
        text = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in fields.items()
        )
        return f"{self._path}?{text}"

    def headers(self, transport: str) -> dict[str, str]:
        """Return the headers that every request has; cookies among them."""
        headers = dict(self._options.of(transport, "extra_headers"))
        cookies = None if self.cookies is None else self.cookies.header()
        if cookies is not None and not any(name.lower() == "cookie" for name in headers):
            headers["Cookie"] = cookies
        return headers


def _values(values: QueryValue | Sequence[QueryValue]) -> str:
    if isinstance(values, str) or not isinstance(values, Sequence):
        return _value(values)
    return ",".join(map(_value, values))


def _value(value: QueryValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
