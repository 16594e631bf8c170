"""The options of the Engine.IO server, checked."""

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast, get_args

from roomcast.engine.cookies import Cookie, read_cookie
from roomcast.engine.deflate import PerMessageDeflate, read_per_message_deflate
from roomcast.engine.origins import Cors, read_cors
from roomcast.engine.proxies import TrustedProxies
from roomcast.engine.requests import Request
from roomcast.types import Limits

__all__ = [
    "TRANSPORTS",
    "WORKERS",
    "AllowRequest",
    "EngineOptions",
    "GenerateId",
    "SendBufferPolicy",
    "check_seconds",
]

AllowRequest = Callable[[Request], bool | Awaitable[bool]]
"""Says whether a request may open a connection; raising `ConnectError` refuses it with a text."""

GenerateId = Callable[[Request], str | Awaitable[str]]
"""Makes the id of a new connection."""

SendBufferPolicy = Literal["close", "drop_oldest", "drop_newest"]
"""What happens to a client whose send buffer is full; packets of the protocol itself are never dropped."""

WORKERS: Final = "ROOMCAST_WORKERS"
"""The variable of the environment that says the same as the option ``workers``."""

TRANSPORTS: Final = ("polling", "websocket")

COMPRESSION_THRESHOLD: Final = 1024
"""Bytes of a polling answer from which on it is compressed. The reference's default."""

MAX_SECONDS: Final = 2**31 // 1000
"""About 24 days: clients count milliseconds in 32 bits, and a larger interval would mean no pause at all to them."""

_PATH: Final = re.compile(r"/[!-~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What the Engine.IO server was made with; times in seconds, sizes in bytes.

    Attributes:
        path: Prefix of the requests that belong to the server.
        add_trailing_slash: Whether the path ends with a slash, also where it was given without one.
        transports: The transports that are enabled: ``polling``, ``websocket``.
        allow_upgrades: Whether a connection may move from polling to a WebSocket.
        ping_interval: From a pong to the next ping.
        ping_timeout: From a ping until its pong must be there.
        upgrade_timeout: From the beginning of an upgrade to its end.
        http_compression: The size from which on polling answers are compressed; ``True`` for 1024 bytes, ``False`` for never.
        per_message_deflate: Whether WebSocket messages are compressed: ``True``, the fields of `PerMessageDeflate`, or ``None``.
            It is for connections that are read and written directly; through ASGI the server underneath decides alone.
        cookie: The cookie that the answer to a polling handshake sets, for load balancers; ``True`` for ``io``, a name, the
            fields of `Cookie`, or ``None``.
        cors: Who may come from another origin: origins, the fields of `Cors`, or ``None`` for the same origin only.
        allow_request: Asked about every request that would open a connection.
        generate_id: Makes the ids of connections, which are secrets; ``None`` for 20 random characters.
        trusted_proxies: Addresses or networks of proxies whose ``Forwarded`` and ``X-Forwarded-*`` headers are believed.
        send_buffer_policy: What happens when ``limits.send_buffer_size`` is reached because a client does not read: ``close`` its
            connection, or drop its events: those that wait longest (``drop_oldest``) or those that come (``drop_newest``).
        workers: A directory for the Unix sockets over which the worker processes of one server pass each other the requests for
            their sessions, and hear each other if there is no other adapter; the same for all of them. By default what ``ROOMCAST_WORKERS`` says in the environment; ``None`` for
            a server that is one process.
        limits: Every limit.

    Source:
        engine.io, ``ServerOptions`` and ``AttachOptions``; the limits and the proxies are roomcast's.
    """

    path: str = "/socket.io"
    add_trailing_slash: bool = True
    transports: tuple[str, ...] = TRANSPORTS
    allow_upgrades: bool = True
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    http_compression: bool | int = True
    per_message_deflate: PerMessageDeflate | None = None
    cookie: Cookie | None = None
    cors: Cors | None = None
    allow_request: AllowRequest | None = None
    generate_id: GenerateId | None = None
    trusted_proxies: TrustedProxies | None = None
    send_buffer_policy: SendBufferPolicy = "close"
    workers: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        check_seconds(self, "ping_interval", "ping_timeout", "upgrade_timeout")
        if not isinstance(self.path, str):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
            raise TypeError(f"path must be a str, not {type(self.path).__name__}")
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"path must start with a slash and be plain ASCII, not {self.path!r}")
        for name in ("add_trailing_slash", "allow_upgrades"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        for name in ("allow_request", "generate_id"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise TypeError(f"{name} must be callable")
        if self.workers is not None and not isinstance(self.workers, str):  # pyright: ignore[reportUnnecessaryIsInstance]  as above
            raise TypeError(f"workers must be a directory, not {type(self.workers).__name__}")
        if not isinstance(self.limits, Limits):  # pyright: ignore[reportUnnecessaryIsInstance]  as above
            raise TypeError(f"limits must be Limits, not {type(self.limits).__name__}")
        policies = get_args(SendBufferPolicy)
        if self.send_buffer_policy not in policies:
            raise ValueError(
                f"send_buffer_policy: {self.send_buffer_policy!r} is none of {', '.join(policies)}"
            )
        self._check_transports()
        self._check_compression()

    @property
    def prefix(self) -> str:
        """What the path of every request for the server begins with."""
        return self.path.rstrip("/") + ("/" if self.add_trailing_slash else "")

    @property
    def upgrades(self) -> tuple[str, ...]:
        """The transports that a client on polling may move to."""
        if self.allow_upgrades and "websocket" in self.transports:
            return ("websocket",)
        return ()

    @property
    def patience(self) -> float:
        """Seconds that a connection may stay open at most though nothing reaches its client any more.

        From the last ping that was answered to the one that is not: an answer may take twice the time-out, because another packet
        starts it anew, and an upgrade starts the interval anew, once.
        """
        return 2 * (self.ping_interval + 2 * self.ping_timeout)

    @property
    def compression_threshold(self) -> int | None:
        """The size from which on polling answers are compressed; ``None`` for never."""
        if self.http_compression is True:
            return COMPRESSION_THRESHOLD
        return None if self.http_compression is False else self.http_compression

    @staticmethod
    def read(given: dict[str, Any]) -> dict[str, Any]:
        """Return options with the short forms of a program replaced by what they stand for.

        Raises:
            TypeError: If a value has the wrong type.
            ValueError: If a value is out of its range.
        """
        read = dict(given)
        workers: Any = read.get("workers") or os.environ.get(WORKERS) or None
        read["workers"] = os.fspath(workers) if hasattr(workers, "__fspath__") else workers
        if "cookie" in read:
            read["cookie"] = read_cookie(read["cookie"])
        if "per_message_deflate" in read:
            read["per_message_deflate"] = read_per_message_deflate(read["per_message_deflate"])
        if "cors" in read:
            read["cors"] = read_cors(read["cors"])
        if "transports" in read and not isinstance(read["transports"], str):
            read["transports"] = tuple(read["transports"])
        compression = read.get("http_compression")
        if isinstance(compression, Mapping):
            fields = cast("Mapping[str, Any]", compression)
            if list(fields) != ["threshold"]:
                raise TypeError("http_compression has one key, 'threshold'")
            read["http_compression"] = fields["threshold"]
        proxies = read.get("trusted_proxies")
        if proxies is not None and not isinstance(proxies, TrustedProxies):
            read["trusted_proxies"] = TrustedProxies(proxies) if proxies else None
        return read

    def _check_transports(self) -> None:
        transports: Any = self.transports
        if not isinstance(transports, tuple):
            raise TypeError(f"transports must be a sequence of names, not {transports!r}")
        for name in self.transports:
            if name == "webtransport":
                raise ValueError("transports: 'webtransport' is not there yet")
            if name not in TRANSPORTS:
                raise ValueError(f"transports: {name!r} is none of {', '.join(TRANSPORTS)}")
        if not self.transports:
            raise ValueError("transports must name at least one")
        if len(set(self.transports)) != len(self.transports):
            raise ValueError("transports must name each once")

    def _check_compression(self) -> None:
        value: Any = self.http_compression
        if not isinstance(value, int):
            raise TypeError(f"http_compression must be True, False or bytes, not {value!r}")
        if value < 0:
            raise ValueError(f"http_compression must be zero or more, not {value!r}")


def check_seconds(options: object, *names: str) -> None:
    """Check options that are times.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of its range.
    """
    for name in names:
        value: object = getattr(options, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
        if not 0 < value <= MAX_SECONDS:
            raise ValueError(
                f"{name} must be above 0 and at most {MAX_SECONDS} seconds, not {value!r}"
            )
