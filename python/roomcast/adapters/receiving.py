"""What other nodes ask and answer, and what this one does about it, whatever the format that it travels in.

A request or an answer comes here as a dict with the fields of the classic format (`RequestType`); the other formats translate
theirs. Any may come. What is no message is dropped and counted, the first of its kind is logged, and nothing that goes wrong with
one keeps the next from being read.

Source:
    socket.io-redis-adapter 8.3.0, ``RedisAdapter.onrequest`` and ``onresponse``; socket.io-adapter 2.5.8, ``ClusterAdapter.onMessage``
    and ``onResponse``.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.collecting import ClusterAck, Fetch, RemoteAck, Responses
from roomcast.adapters.ends import Incoming, Outgoing
from roomcast.adapters.gaps import Gaps
from roomcast.adapters.notepack import Notepack
from roomcast.adapters.wire import (
    InvalidMessageError,
    Requests,
    RequestType,
    is_list,
    is_object,
    read_event,
    read_names,
    read_options,
)
from roomcast.adapters.wiring import AnyPublisher, AnySubscriber
from roomcast.errors import EncodeError
from roomcast.logs import Once, printable
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.remote import RemoteHandshake, RemoteSocket

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["Node", "NodeOverBroker", "Pending", "Receiver"]

MAX_ACK_TIMEOUT: Final = 3_600.0
"""Seconds that sockets of this node are waited for at most on behalf of another one."""

log = logging.getLogger("roomcast.adapters")

Pending = ClusterAck | Fetch | Responses
"""Who waits for answers."""


class Node(Protocol):
    """What a bus needs of the node: what the namespaces share."""

    requests_timeout: float

    @property
    def publisher(self) -> Outgoing:
        """What goes out."""
        ...

    @property
    def subscriber(self) -> Incoming:
        """What comes in."""
        ...

    def ensure_started(self) -> None:
        """Begin to work, if there is an event loop."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""

    def tell_gap(self, nsp: str, sender: str, missing: int) -> None:
        """Report messages that never arrived."""


class NodeOverBroker(Node, Protocol):
    """A node that has a broker to ask."""

    @property
    def publisher(self) -> AnyPublisher:
        """What goes out."""
        ...

    @property
    def subscriber(self) -> AnySubscriber:
        """What comes in."""
        ...


class Receiver(ABC):
    """The receiving half of one namespace on a bus. It belongs to the event loop of its server.

    Attributes:
        uid: The id of this node in this namespace.
    """

    uid: str

    def __init__(self, node: Node, adapter: ClusterAdapter, notepack: Notepack) -> None:
        """Prepare to receive."""
        self._node = node
        self._adapter = adapter
        self._nsp = adapter.nsp
        self._notepack = notepack
        self._requests = Requests(notepack)
        self._pending: dict[str, Pending] = {}
        self._once = Once()

    @abstractmethod
    def _send_answer(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Send an answer to whoever has asked.

        Raises:
            TypeError: If a value cannot travel.
            ValueError: The same.
        """

    def _heard(self, gaps: Gaps, sender: bytes, position: int) -> bool:
        """Take the number of a message; say whether the message is to be read."""
        missing = gaps.heard(sender, position)
        if missing > 0:
            self._tell_gap(sender, missing)
        elif missing < 0:
            self._refuse("repeated", "a sequence number that makes no sense")
            return False
        return True

    def _tell_gap(self, sender: bytes, missing: int) -> None:
        self._node.tell_gap(self._nsp.name, sender.decode("ascii", "replace"), missing)

    def _take_request(self, request: dict[str, Any], gaps: Gaps) -> None:
        """Do what another node asks for.

        Raises:
            InvalidMessageError: If it is no request.
        """
        if request.get("uid") == self.uid:
            self._node.count("own")
            return
        if not self._take_sequence(request, gaps):
            return
        kind = request.get("type")
        handle = self._HANDLERS.get(kind) if type(kind) is int else None
        if handle is None:
            raise InvalidMessageError("an unknown request")
        handle(self, request)

    def _take_sequence(self, request: dict[str, Any], gaps: Gaps) -> bool:
        """Look at the number of a message, if it has one; say whether the message is to be read."""
        uid, position = request.get("uid"), request.get("seq")
        if position is None:
            return True
        if not isinstance(uid, str) or type(position) is not int or not 0 <= position < 2**64:
            raise InvalidMessageError("no sequence number")
        sender = uid.encode("utf-8", "replace")
        if request.get("type") == RequestType.POSITION:
            missing = gaps.reached(sender, position)
            if missing:
                self._tell_gap(sender, missing)
            return False
        return self._heard(gaps, sender, position)

    def _on_sockets(self, request: dict[str, Any]) -> None:
        rooms = read_names(request.get("rooms"))
        sockets = [socket.id for socket in self._adapter.select(BroadcastOptions(rooms=rooms))]
        self._send_answer(request, {"requestId": _id(request), "sockets": sockets})

    def _on_all_rooms(self, request: dict[str, Any]) -> None:
        rooms = self._adapter.rooms
        names = rooms.room_names() + [socket.id for socket in rooms.select()]
        self._send_answer(request, {"requestId": _id(request), "rooms": names})

    def _on_join(self, request: dict[str, Any]) -> None:
        if "opts" in request:
            options = read_options(request["opts"])
            rooms = read_names(request.get("rooms"))
            if request["type"] == RequestType.REMOTE_JOIN:
                self._adapter.join_here(options, rooms)
            else:
                self._adapter.leave_here(options, rooms)
            return
        socket, (room,) = self._legacy(request), read_names([request.get("room")])
        if socket is not None:
            if request["type"] == RequestType.REMOTE_JOIN:
                socket.join(room)
            else:
                socket.leave(room)
            self._send_answer(request, {"requestId": _id(request)})

    def _on_disconnect(self, request: dict[str, Any]) -> None:
        close = request.get("close") is True
        if "opts" in request:
            self._adapter.disconnect_here(read_options(request["opts"]), close)
            return
        socket = self._legacy(request)
        if socket is not None:
            socket.disconnect(close)
            self._send_answer(request, {"requestId": _id(request)})

    def _legacy(self, request: dict[str, Any]) -> "Socket | None":
        """Return the socket that a request of an older version names."""
        sid = request.get("sid")
        if not isinstance(sid, str):
            raise InvalidMessageError("nobody is named")
        return self._adapter.rooms.get(sid)

    def _on_fetch(self, request: dict[str, Any]) -> None:
        sockets = self._adapter.select(read_options(request.get("opts")))
        told = [_describe(each) for each in sockets]
        answer = {"requestId": _id(request), "sockets": told}
        try:
            self._send_answer(request, answer)
        except (TypeError, ValueError):
            for described in told:
                described["data"] = self._sendable(described["data"])
            self._send_answer(request, answer)

    def _sendable(self, data: Any) -> Any:
        """Return the data of a socket, or nothing if it cannot travel."""
        try:
            self._requests.write({"data": data})
        except (TypeError, ValueError) as error:
            self._refuse("unsent_data", f"data of a socket: {error}")
            return {}
        return data

    def _on_server_side_emit(self, request: dict[str, Any]) -> None:
        data = request.get("data")
        if not is_list(data) or not data or not isinstance(data[0], str):
            raise InvalidMessageError("no event")
        items = data
        answering = None
        if request.get("requestId") is not None:
            answering = _Answering(self, request, _id(request))
        self._nsp.on_server_side_emit(items[0], tuple(items[1:]), answering)

    def answer_emit(self, request: dict[str, Any], id: str, args: tuple[Any, ...]) -> None:
        """Answer an event of another server."""
        data = args[0] if args else None
        answer = {"type": RequestType.SERVER_SIDE_EMIT, "requestId": id, "data": data}
        try:
            self._send_answer(request, answer)
        except (TypeError, ValueError) as error:
            raise EncodeError(str(error)) from error

    def _on_ask(self, request: dict[str, Any]) -> None:
        options = read_options(request.get("opts"))
        event = read_event(request.get("packet"), self._nsp.name)
        id = _id(request)
        if event is None:
            self._node.count("foreign_namespaces")
            return

        def answered(sid: str, args: tuple[Any, ...]) -> None:
            kind = RequestType.BROADCAST_ACK
            answer: dict[str, Any] = {
                "type": kind,
                "requestId": id,
                "packet": args[0] if args else None,
                "sid": sid,
            }
            if len(args) != 1:
                answer["args"] = args
            self._send_answer(request, answer)

        def gone(sid: str) -> None:
            self._send_answer(
                request, {"type": RequestType.BROADCAST_GONE, "requestId": id, "sid": sid}
            )

        timeout = min(options.timeout or self._node.requests_timeout, MAX_ACK_TIMEOUT)
        ack = RemoteAck(timeout, self._nsp.server.engine.timers, answered, gone)
        self._adapter.deliver_and_ask(event[0], event[1], options, ack)
        self._send_answer(
            request,
            {
                "type": RequestType.BROADCAST_CLIENT_COUNT,
                "requestId": id,
                "clientCount": len(ack),
            },
        )
        ack.begin()

    _HANDLERS: Final[dict[int, Callable[["Receiver", dict[str, Any]], None]]] = {
        RequestType.SOCKETS: _on_sockets,
        RequestType.ALL_ROOMS: _on_all_rooms,
        RequestType.REMOTE_JOIN: _on_join,
        RequestType.REMOTE_LEAVE: _on_join,
        RequestType.REMOTE_DISCONNECT: _on_disconnect,
        RequestType.REMOTE_FETCH: _on_fetch,
        RequestType.SERVER_SIDE_EMIT: _on_server_side_emit,
        RequestType.BROADCAST: _on_ask,
    }

    def _take_answer(self, answer: dict[str, Any]) -> None:
        """Take an answer.

        Raises:
            InvalidMessageError: If it is none.
        """
        pending = self._pending.get(_id(answer))
        if pending is None:  # of somebody else, or too late
            self._node.count("foreign_responses")
        else:
            self._take_response(pending, answer)

    def _take_response(self, pending: Pending, response: dict[str, Any]) -> None:
        kind = response.get("type")
        if isinstance(pending, Fetch):
            sockets = response.get("sockets")
            if not is_list(sockets):
                raise InvalidMessageError("no sockets")
            pending.told([self._remote(each) for each in sockets])
        elif isinstance(pending, Responses):
            if kind == RequestType.SERVER_SIDE_EMIT:
                pending.answered(response.get("data"))
        elif kind == RequestType.BROADCAST_CLIENT_COUNT:
            count = response.get("clientCount")
            if type(count) is not int or count < 0:
                raise InvalidMessageError("no count")
            pending.counted(count)
        elif kind == RequestType.BROADCAST_ACK:
            sid, args = response.get("sid"), response.get("args")
            answer = tuple(args) if is_list(args) else None
            if answer is None:
                answer = (response.get("packet"),)
            pending.answered(sid if isinstance(sid, str) else None, answer)
        elif kind == RequestType.BROADCAST_GONE:
            sid = response.get("sid")
            if isinstance(sid, str):
                pending.left(sid)

    def _remote(self, told: Any) -> RemoteSocket:
        if not is_object(told):
            raise InvalidMessageError("no socket")
        fields = told
        id = fields.get("id")
        if not isinstance(id, str):
            raise InvalidMessageError("a socket without an id")
        data = fields.get("data")
        return RemoteSocket(
            self._nsp,
            id,
            RemoteHandshake.read(fields.get("handshake")),
            read_names(fields.get("rooms")),
            data if is_object(data) else {},
        )

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do what a message asks for; what cannot be done is counted."""
        try:
            action()
        except InvalidMessageError as error:
            self._refuse("invalid", str(error))
        except Exception as error:  # noqa: BLE001  a message must not end the reading of the others
            self._refuse("undeliverable", str(error))

    def _refuse(self, counter: str, reason: str) -> None:
        """Count a message that is dropped; the first of its kind is logged."""
        self._node.count(counter)
        if self._once.is_first(counter, ""):
            log.warning(
                "a message in %s was dropped: %s", printable(self._nsp.name), printable(reason)
            )


class _Answering:
    """Sends the answer to an event of another server."""

    __slots__ = ("_bus", "_id", "_request")

    def __init__(self, bus: Receiver, request: dict[str, Any], id: str) -> None:
        self._bus = bus
        self._request = request
        self._id = id

    def answer(self, id: int, args: tuple[Any, ...]) -> None:
        """Send it."""
        self._bus.answer_emit(self._request, self._id, args)


def _id(message: dict[str, Any]) -> str:
    id = message.get("requestId")
    if not isinstance(id, str):
        raise InvalidMessageError("no id")
    return id


def _describe(socket: "Socket") -> dict[str, Any]:
    """Return a socket as other nodes are told of it."""
    handshake = socket.handshake
    return {
        "id": socket.id,
        "handshake": {
            "headers": handshake.headers,
            "time": handshake.time,
            "address": handshake.address,
            "xdomain": handshake.xdomain,
            "secure": handshake.secure,
            "issued": handshake.issued,
            "url": handshake.url,
            "query": handshake.query,
            "auth": handshake.auth,
        },
        "rooms": list(socket.rooms),
        "data": socket.data,
    }
