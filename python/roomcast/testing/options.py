"""How a client of the test kit connects, and the ASGI scopes that follow from it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict
from urllib.parse import urlencode

from roomcast.engine.asgi import ASGIApplication, Scope
from roomcast.server import Server

__all__ = ["App", "Auth", "ConnectOptions", "ManagerOptions", "Options", "Transport"]

App = Server | ASGIApplication
"""What a client connects to: a server, or an ASGI application with one in it."""

Auth = Mapping[str, Any] | Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""What goes to the server with each CONNECT, or a function or coroutine function that is asked for it each time."""

Transport = Literal["polling", "websocket"]

TRANSPORTS: Final = ("polling", "websocket")

HOST: Final = "testserver"
"""The ``Host`` header, unless another is given. As in the test clients of Starlette and httpx."""


class ManagerOptions(TypedDict, total=False):
    """The options of `Manager`; their meanings and defaults are those of `Options`."""

    query: Mapping[str, str]
    headers: Mapping[str, str]
    path: str
    transports: Transport | Sequence[Transport]
    upgrade: bool
    timeout: float
    address: str
    secure: bool


class ConnectOptions(ManagerOptions, total=False):
    """The options of `connect`: those of `Manager`, and ``auth``."""

    auth: Auth | None


@dataclass(frozen=True)
class Options:
    """How a client connects.

    Attributes:
        query: Further parameters of every request.
        headers: Headers of every request; ``origin`` for one that comes from a page, ``host`` in place of ``testserver``.
        path: The path of the server; by default that of a `Server`, otherwise ``/socket.io/``.
        transports: The one to connect with, then what it may move to: ``"websocket"`` (the default), ``"polling"``, or
            ``("polling", "websocket")``, which is what browsers do.
        upgrade: Whether to move from polling to a WebSocket, if both are among the transports and the server offers it.
        timeout: Seconds that connecting may take.
        address: The client's IP address.
        secure: Whether the line counts as encrypted.
    """

    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    path: str | None = None
    transports: Transport | Sequence[Transport] = "websocket"
    upgrade: bool = True
    timeout: float = 20.0
    address: str = "127.0.0.1"
    secure: bool = False

    def __post_init__(self) -> None:
        """Check what can be wrong.

        Raises:
            ValueError: If a transport is unknown, or there is none.
        """
        unknown = [name for name in self.order if name not in TRANSPORTS]
        if unknown or not self.order:
            raise ValueError(f"transports must be among {TRANSPORTS}, not {self.transports!r}")

    @property
    def order(self) -> tuple[str, ...]:
        """The transports in their order."""
        return (self.transports,) if isinstance(self.transports, str) else tuple(self.transports)

    @property
    def may_upgrade(self) -> bool:
        """Whether a connection that begins on polling may move."""
        return self.upgrade and self.order[0] == "polling" and "websocket" in self.order

    def scope(
        self, kind: str, transport: str, *, sid: str | None = None, method: str = "GET"
    ) -> Scope:
        """Return the scope of a request.

        Args:
            kind: ``http`` or ``websocket``.
            transport: The transport that it names.
            sid: The id of its connection, if there is one.
            method: The method.
        """
        query = {**self.query, "EIO": "4", "transport": transport}
        if sid is not None:
            query["sid"] = sid
        path = self.path or "/socket.io/"
        headers = {"host": HOST, **{name.lower(): value for name, value in self.headers.items()}}
        if method == "POST":
            headers["content-type"] = "text/plain;charset=UTF-8"
        scope: Scope = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": ("ws" if kind == "websocket" else "http") + ("s" if self.secure else ""),
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode(query).encode(),
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ],
            "client": (self.address, 50_000),
            "server": (HOST, 443 if self.secure else 80),
            "state": {},
        }
        if kind == "http":
            return {**scope, "method": method, "extensions": {}}
        # The server underneath lets a refusal say why, as uvicorn does.
        return {**scope, "subprotocols": [], "extensions": {"websocket.http.response": {}}}
