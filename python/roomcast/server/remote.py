"""Sockets of other nodes of a cluster: what is known of them, and what can be asked of them."""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from roomcast.errors import AckTimeoutError
from roomcast.sockets.acks import checked_timeout

if TYPE_CHECKING:
    from roomcast.server.broadcast import BroadcastOperator
    from roomcast.server.namespace import Namespace
    from roomcast.server.socket import Socket

__all__ = ["FetchedSockets", "RemoteHandshake", "RemoteSocket", "RemoteSocketOperator"]


@dataclass(frozen=True, slots=True)
class RemoteHandshake:
    """The handshake of a socket of another node: the attributes of `Handshake`, as that node has told them.

    What it has not told is empty.
    """

    headers: Mapping[str, str]
    query: Mapping[str, str]
    auth: Mapping[str, Any]
    url: str
    address: str
    time: str
    issued: int
    secure: bool
    xdomain: bool

    @classmethod
    def read(cls, told: object) -> "RemoteHandshake":
        """Take what another node has told; a part that is not what it should be counts as not told."""
        fields = _mapping(told)

        def text(name: str) -> str:
            value = fields.get(name)
            return value if isinstance(value, str) else ""

        issued = fields.get("issued")
        return cls(
            headers=_mapping(fields.get("headers")),
            query=_mapping(fields.get("query")),
            auth=_mapping(fields.get("auth")),
            url=text("url"),
            address=text("address"),
            time=text("time"),
            issued=int(issued) if isinstance(issued, int | float) else 0,
            secure=fields.get("secure") is True,
            xdomain=fields.get("xdomain") is True,
        )


class RemoteSocket:
    """A socket of another node, as it was when `fetch_sockets` asked; what is asked of it travels there.

    Attributes:
        id: Its id.
        nsp: Its namespace, on this node.
        handshake: How it came.
        rooms: Its rooms, its id among them.
        data: Its data: a copy, of what JSON knows.

    Source:
        socket.io, ``RemoteSocket``.
    """

    __slots__ = ("data", "handshake", "id", "nsp", "rooms")

    def __init__(
        self,
        nsp: "Namespace",
        id: str,
        handshake: RemoteHandshake,
        rooms: Iterable[str],
        data: dict[str, Any],
    ) -> None:
        """Take what is known."""
        self.nsp = nsp
        self.id = id
        self.handshake = handshake
        self.rooms = set(rooms)
        self.data = data

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id} of {self.nsp.name!r}>"

    def emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Send an event to its client; as `Socket.emit`, without an acknowledgement."""
        return self._operator().emit(event, *args)

    def timeout(self, seconds: float) -> "RemoteSocketOperator":
        """Wait for the acknowledgement of what is emitted next this long.

        Raises:
            ValueError: If it is negative or not finite.
        """
        return RemoteSocketOperator(self._operator().timeout(checked_timeout(seconds)))

    def join(self, *rooms: str | Iterable[str]) -> Awaitable[None]:
        """Let it join rooms; arguments as for `Socket.join`."""
        return self._operator().sockets_join(*rooms)

    def leave(self, room: str) -> Awaitable[None]:
        """Let it leave a room."""
        return self._operator().sockets_leave(room)

    def disconnect(self, close: bool = False) -> Awaitable[None]:
        """Disconnect it; as `Socket.disconnect`."""
        return self._operator().disconnect_sockets(close)

    def _operator(self) -> "BroadcastOperator":
        return self.nsp.to(self.id)


class RemoteSocketOperator:
    """A socket of another node with a time-out; what `RemoteSocket.timeout` returns."""

    __slots__ = ("_operator",)

    def __init__(self, operator: "BroadcastOperator") -> None:
        """Take the choice of the one socket."""
        options = operator.options
        self._operator = operator.with_(options._replace(single=True))

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Send an event and get the client's answer: its first argument.

        Raises:
            AckTimeoutError: If it is late, or the socket is not there any more.
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.

        Source:
            socket.io, ``expectSingleResponse``.
        """
        responses = await self._operator.emit_with_ack(event, *args)
        if not responses:
            raise AckTimeoutError
        return responses[0]


class FetchedSockets(list["Socket | RemoteSocket"]):
    """The sockets that `fetch_sockets` found: those of this node first.

    Attributes:
        servers: How many servers there were to ask, this one included; ``None`` if nobody could say.
        answered: How many of them have answered.

    Source:
        roomcast. The reference's ``fetchSockets`` fails where one server does not answer.
    """

    def __init__(
        self,
        sockets: "Iterable[Socket | RemoteSocket]" = (),
        *,
        servers: int | None = 1,
        answered: int = 1,
    ) -> None:
        """Take what was found."""
        super().__init__(sockets)
        self.servers = servers
        self.answered = answered

    @property
    def complete(self) -> bool:
        """Whether every server has answered."""
        return self.servers is not None and self.answered >= self.servers


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
