"""One Engine.IO connection and its sockets: decodes what arrives and sends it to the right namespace.

What a client may send depends on where it stands with the namespace that the packet names:

    ==================  ==================  ==================  ==================
    packet              not joined          pending             joined
    ==================  ==================  ==================  ==================
    CONNECT             middlewares run     forced close        forced close
    DISCONNECT          forced close        forced close        leaves it
    EVENT, ACK          forced close        forced close        dispatched
    CONNECT_ERROR       forced close        forced close        forced close
    ==================  ==================  ==================  ==================

Differs from socket.io: a second CONNECT while the first is pending is an error, there it makes two sockets.

Bytes that are no packet: every socket gets ``error``, then the connection is closed, also ``forced close``.
"""

import logging
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Final

from roomcast._core import MsgPackDecoder, Packet
from roomcast.codec.parser import decoder_of
from roomcast.engine.connection import Connection
from roomcast.errors import PacketError, PacketErrorKind
from roomcast.logs import printable
from roomcast.server.recoverable import restore
from roomcast.server.sessions import Session
from roomcast.types import PacketType

if TYPE_CHECKING:
    from roomcast.server.namespace import Namespace
    from roomcast.server.server import Server
    from roomcast.server.socket import Socket

__all__ = ["Client", "Parked"]

EVENT: Final = PacketType.EVENT
"""By itself, because CPython 3.11 looks a member of an enumeration up in Python."""

log = logging.getLogger("roomcast.server")


class Parked:
    """The unfinished packets of a process, counted together."""

    __slots__ = ("_limit", "_sizes", "_total")

    def __init__(self, limit: int) -> None:
        """Take the bytes that all of them may have."""
        self._limit = limit
        self._sizes: dict[Client, int] = {}
        self._total = 0

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def total(self) -> int:
        """Bytes of all unfinished packets."""
        return self._total

    def set(self, client: "Client", size: int) -> None:
        """Note what a client's unfinished packet holds; 0 for none. The largest pays for passing the limit."""
        self._total += size - self._sizes.pop(client, 0)
        if not size:
            return
        self._sizes[client] = size
        while self._total > self._limit:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            largest.on_packet_error(PacketError(PacketErrorKind.PACKET_TOO_LARGE, 0))
            self.set(largest, 0)


class Client:
    """One connection. It belongs to its server's event loop.

    Attributes:
        conn: The Engine.IO connection.
        decoder: What makes packets of its messages.
        sockets: The sockets that are connected, by namespace.

    Source:
        socket.io, ``Client``.
    """

    __slots__ = (
        "__weakref__",
        "_connect_deadline",
        "_packet_deadline",
        "_pending",
        "_server",
        "conn",
        "deadline",
        "decoder",
        "sockets",
        "tick",
    )

    def __init__(self, server: "Server", conn: Connection) -> None:
        """Take a new connection, which must join a namespace in time."""
        self._server = server
        options = server.options
        self.decoder = decoder_of(options.parser, options.limits, server.engine.traffic)
        # None while it is not known yet whether there is such a namespace.
        self._pending: dict[str, Socket | None] = {}
        self.conn = conn
        self.sockets: dict[str, Socket] = {}
        self._connect_deadline = server.engine.timers.now() + server.options.connect_timeout
        self._packet_deadline = inf
        self.deadline = self._connect_deadline
        self.tick: int | None = None
        server.engine.timers.add(self)

    def on_message(self, data: str | bytes) -> None:
        """Take the next message of the connection; a text still has Engine.IO's type digit."""
        try:
            packet = self.decoder.feed(data, 1 if isinstance(data, str) else 0)
        except PacketError as error:
            self.on_packet_error(error)
        else:
            self.on_packet(packet)

    def on_packet(self, packet: Packet | None) -> None:
        """Take a packet, or learn that attachments of one are missing."""
        if packet is None:
            self._park()
            return
        if self._packet_deadline != inf:
            self._unpark()
        socket = self.sockets.get(packet.nsp)
        if socket is not None and packet.type is EVENT:  # almost all are
            socket.on_event(packet)
        else:
            self._dispatch(packet, socket)

    def on_close(self, reason: str, details: str | None) -> None:
        """Let all sockets go: the connection has ended."""
        self.decoder.close()
        self._unpark()
        self._server.engine.timers.remove(self)
        sockets = [*self._pending.values(), *self.sockets.values()]
        self._pending.clear()
        for socket in sockets:
            if socket is not None:
                socket.left(reason, details)

    def on_deadline(self, now: float) -> None:
        """Close a connection that joined no namespace, or did not finish its packet, in time."""
        self.deadline = inf
        if now >= self._packet_deadline:
            self.on_packet_error(PacketError(PacketErrorKind.PACKET_TOO_SLOW, 0))
        else:
            self.conn.close("forced close", "no namespace joined in time")

    def on_packet_error(self, error: PacketError) -> None:
        """Close the connection because of what the peer has sent."""
        log.info("closing %s: %s", printable(self.conn.request.address), error)
        try:
            for socket in list(self.sockets.values()):
                socket.fire("error", (error,))
        finally:
            self.conn.close("forced close", str(error.kind))

    def disconnect(self) -> None:
        """Make the client leave every namespace, and close the connection."""
        try:
            for socket in list(self.sockets.values()):
                socket.kick()
        finally:
            self.conn.close("forced close")

    def is_pending(self, socket: "Socket") -> bool:
        """Say whether a socket still waits for its middlewares, and its connection is still there."""
        return self._pending.get(socket.nsp.name) is socket

    def joined(self, socket: "Socket") -> None:
        """Note that a socket was accepted; from the first one on the connection may stay."""
        self._decided(socket.nsp.name)
        self.sockets[socket.nsp.name] = socket
        if self._connect_deadline != inf:
            self._connect_deadline = inf
            self._reschedule()

    def refused(self, socket: "Socket", payload: Any) -> None:
        """Answer a socket that was not accepted.

        Raises:
            EncodeError: If the payload has no JSON form; nothing has happened then.
        """
        nsp = socket.nsp.name
        packet = self._server.encoder.encode_packet(PacketType.CONNECT_ERROR, nsp, payload)
        self._decided(nsp)
        socket.left("refused", None)
        self.conn.outbox.push(packet)

    def remove(self, socket: "Socket") -> None:
        """Forget a socket that has left its namespace."""
        self.sockets.pop(socket.nsp.name, None)

    def _dispatch(self, packet: Packet, socket: "Socket | None") -> None:
        kind, nsp = packet.type, packet.nsp
        if kind == PacketType.CONNECT:
            if socket is None and nsp not in self._pending:
                self._connect(nsp, packet.data)
                return
        elif socket is not None:
            if kind == PacketType.ACK:
                socket.on_ack(packet)
                return
            if kind == PacketType.DISCONNECT:
                socket.left("client namespace disconnect", None)
                return
        where = "joined" if socket else "pending" if nsp in self._pending else "not joined"
        details = f"{kind.name} for a namespace that is {where}"
        log.info("closing %s: %s", printable(self.conn.request.address), details)
        self.conn.close("forced close", details)

    def _connect(self, name: str, auth: Any) -> None:
        server = self._server
        given: Mapping[str, Any] = {} if auth is None else auth
        nsp = server.namespace_of(name)
        if nsp is None and not server.is_dynamic:
            self._refuse(name, "Invalid namespace")
        elif len(self.sockets) + len(self._pending) >= server.options.limits.max_namespaces:
            self._refuse(name, "too many namespaces")
        elif nsp is not None:
            self._join(nsp, given)
        else:
            self._pending[name] = None
            server.handlers.run(self._join_dynamic(name, given))

    async def _join_dynamic(self, name: str, auth: Mapping[str, Any]) -> None:
        """Join the child of a dynamic namespace, if one wants the client."""
        nsp = await self._server.child_for(name, auth)
        if name not in self._pending:  # the connection has ended meanwhile
            if nsp is not None:
                nsp.socket_left()
            return
        self._decided(name)
        if nsp is None:
            self._refuse(name, "Invalid namespace")
        else:
            self._join(nsp, auth)

    def _decided(self, name: str) -> None:
        """Note that a namespace is not pending any more."""
        del self._pending[name]
        if not self._pending:
            self._pending = {}  # one that had an entry keeps 120 bytes for the next, and most clients join once

    def _join(self, nsp: "Namespace", auth: Mapping[str, Any]) -> None:
        if nsp.adapter.recovers and "pid" in auth:
            self._pending[nsp.name] = None
            self._server.handlers.run(self._rejoin(nsp, auth))
            return
        socket = self._pending[nsp.name] = nsp.connect(self, auth)
        nsp.admit(socket)

    async def _rejoin(self, nsp: "Namespace", auth: Mapping[str, Any]) -> None:
        """Join a namespace with the session of a former connection, if that can be had."""
        nsp.joining_began()
        try:
            restored = await restore(nsp, self, auth)
            if nsp.name in self._pending:
                socket = self._pending[nsp.name] = nsp.connect(self, auth, restored)
                nsp.admit(socket)
            elif isinstance(restored, Session):  # the connection has ended meanwhile
                restored.keeper.persist_session(restored)
        finally:
            nsp.joining_ended()

    def _refuse(self, name: str, message: str) -> None:
        payload = {"message": message}
        encoder = self._server.encoder
        self.conn.outbox.push(encoder.encode_packet(PacketType.CONNECT_ERROR, name, payload))

    def _park(self) -> None:
        """Watch over a packet whose attachments are missing."""
        if self._packet_deadline == inf:
            timers, limits = self._server.engine.timers, self._server.options.limits
            self._packet_deadline = timers.now() + limits.max_packet_time
            self._reschedule()
        assert not isinstance(self.decoder, MsgPackDecoder)  # its packets come whole
        self._server.parked.set(self, self.decoder.pending_size)

    def _unpark(self) -> None:
        if self._packet_deadline != inf:
            self._packet_deadline = inf
            self._server.parked.set(self, 0)
            self._reschedule()

    def _reschedule(self) -> None:
        self.deadline = min(self._connect_deadline, self._packet_deadline)
        timers = self._server.engine.timers
        if self.deadline == inf:
            timers.remove(self)
        else:
            timers.add(self)
