"""The requests of connections on polling that say no more than clients do: nearly all that a server ever gets.

What `checks` would look at one by one, the core has looked at in one walk over query and headers. It takes what is usual and
nothing else; the rest, and all that is refused, goes the long way. So nothing is let in here that would not be let in there.
"""

from collections.abc import Sequence
from sys import maxsize
from typing import Final

from roomcast._core import VisitReader
from roomcast.engine.asgi import Scope
from roomcast.engine.http import Header
from roomcast.engine.options import EngineOptions
from roomcast.engine.origins import cors_headers, is_allowed

__all__ = ["Visits"]

MAX_KNOWN: Final = 1_000
"""Pairs of origin and host whose headers are kept. Beyond: all are forgotten, and found out again as they come."""

MAX_NAME: Final = 261
"""Characters of an origin or a host that is kept, so that no more than a megabyte is: as many as DNS and a port allow."""


class Visits:
    """Reads such requests for one server."""

    __slots__ = ("_cors", "_known", "_pageless", "_read")

    def __init__(self, options: EngineOptions) -> None:
        """Take the options."""
        limits = options.limits
        sizes = (limits.max_url_size, limits.max_headers, limits.max_head_size)
        if "polling" not in options.transports or options.trusted_proxies is not None:
            sizes = (
                0,
                0,
                0,
            )  # nothing is usual; behind proxies the host is not what stands in the head
        reader = VisitReader(
            *(min(size, maxsize) for size in (*sizes, limits.max_http_buffer_size))
        )
        self._read = reader.read
        self._cors = options.cors
        self._pageless: Sequence[Header] = tuple(cors_headers(None, options.cors))
        self._known: dict[tuple[str, str | None], Sequence[Header]] = {}

    def read(self, scope: Scope) -> tuple[str, bool, Sequence[Header]] | None:
        """Return the session id of a request, whether it is a GET or else a POST, and the headers that let its page read the answer.

        Returns:
            ``None`` if the checks have to look at it.
        """
        visit = self._read(scope)
        if visit is None:
            return None
        sid, is_get, origin, host = visit
        if origin is None:
            return sid, is_get, self._pageless
        headers = self._known.get((origin, host))
        if headers is None:
            headers = self._welcome(origin, host)
            if headers is None:
                return None
        return sid, is_get, headers

    def _welcome(self, origin: str, host: str | None) -> Sequence[Header] | None:
        """Return the headers for an origin, ``None`` if it is not allowed."""
        cors = self._cors
        if not is_allowed(origin, host=host, cors=cors):
            return None
        headers = tuple(cors_headers(origin, cors))
        is_fixed = cors is None or not callable(cors.origins)  # a function may change its mind
        if is_fixed and len(origin) <= MAX_NAME and len(host or "") <= MAX_NAME:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[origin, host] = headers
        return headers
