"""What other nodes say on the classic bus, and what this one does about it.

Any bytes may come. What is no message of the format is dropped and counted, the first of its kind is logged, and nothing that goes
wrong with one keeps the next from being read.

Source:
    socket.io-redis-adapter 8.3.0, ``RedisAdapter.onmessage``, ``onrequest`` and ``onresponse``.
"""

import logging
from collections.abc import Callable
from secrets import choice
from typing import TYPE_CHECKING, Any, Final, Protocol

from roomcast.adapters.cluster import ClusterAdapter
from roomcast.adapters.collecting import ClusterAck, Fetch, RemoteAck, Responses
from roomcast.adapters.gaps import Gaps
from roomcast.adapters.notepack import Notepack, UnpackError
from roomcast.adapters.publisher import Publisher
from roomcast.adapters.subscriber import Subscriber
from roomcast.adapters.wire import (
    MAX_SIZE,
    Channels,
    InvalidMessageError,
    Requests,
    RequestType,
    is_list,
    is_object,
    read_event,
    read_names,
    read_options,
)
from roomcast.errors import EncodeError
from roomcast.logs import Once, printable
from roomcast.server.adapter import BroadcastOptions
from roomcast.server.remote import RemoteHandshake, RemoteSocket

if TYPE_CHECKING:
    from roomcast.server.socket import Socket

__all__ = ["ClassicReceiver", "Node", "Pending", "new_uid"]

UID_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UID_LENGTH: Final = 6

ARRAY_3: Final = b"\x93"
ARRAY_4: Final = b"\x94"
UINT64: Final = b"\xcf"
POSITION_SIZE: Final = 9
"""Bytes of a sequence number behind a broadcast: always in the longest form, so that it is found from the end."""

PEEK_SIZE: Final = 1_024
"""Bytes from which on the options of a broadcast are read before its payload."""

MAX_ACK_TIMEOUT: Final = 3_600.0
"""Seconds that sockets of this node are waited for at most on behalf of another one."""

log = logging.getLogger("roomcast.adapters")

Pending = ClusterAck | Fetch | Responses
"""Who waits for answers."""


class Node(Protocol):
    """What a bus needs of the node: what the namespaces share."""

    key: str
    requests_timeout: float
    answers_specifically: bool
    publisher: Publisher
    subscriber: Subscriber

    def ensure_started(self) -> None:
        """Begin to work, if there is an event loop."""

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter."""

    def tell_gap(self, nsp: str, sender: str, missing: int) -> None:
        """Report messages that never arrived."""


def new_uid() -> str:
    """Return an id for a node or a request."""
    return "".join([choice(UID_ALPHABET) for _ in range(UID_LENGTH)])


class ClassicReceiver:
    """The receiving half of one namespace on the classic bus. It belongs to the event loop of its server.

    Attributes:
        uid: The id of this node in this namespace.
    """

    def __init__(self, node: Node, adapter: ClusterAdapter, notepack: Notepack) -> None:
        """Prepare to receive."""
        self.uid = new_uid()
        self._node = node
        self._adapter = adapter
        self._nsp = adapter.nsp
        self._notepack = notepack
        self._requests = Requests(notepack)
        self._channels = Channels.of(node.key, adapter.nsp.name)
        self._own_head = notepack.pack(self.uid)
        self._room_start = len(self._channels.broadcast)
        self._gaps = Gaps()
        self._pending: dict[str, Pending] = {}
        self._once = Once()

    def on_broadcast(self, channel: bytes, data: bytes) -> None:
        """Take a broadcast of another node, or an emitter."""
        node = self._node
        if data[1:8] == self._own_head and data[:1] == ARRAY_4:
            node.count("own")
            return
        if not self._take_position(data):
            return
        room_bytes = channel[self._room_start : -1]
        if room_bytes:
            try:
                room = room_bytes.decode("utf-8", "surrogatepass")
                wanted = self._adapter.concerns(room)
            except UnicodeError:
                self._refuse("invalid", "a room that is no text")
                return
        else:
            wanted = self._adapter.concerns_anybody
        if not wanted:
            node.count("foreign_rooms")
            return
        self._deliver(data, peek=not room_bytes and len(data) >= PEEK_SIZE)

    def on_own(self, channel: bytes, data: bytes) -> None:
        """Take what roomcast nodes say to each other alone: a broadcast or a request."""
        if data[:1] not in (ARRAY_3, ARRAY_4):
            self.on_request(channel, data)
        elif data[1:8] == self._own_head:
            self._node.count("own")
        elif self._take_position(data):
            self._deliver(data, peek=len(data) >= PEEK_SIZE)

    def _take_position(self, data: bytes) -> bool:
        """Look at the number of a broadcast, if it has one; say whether the message is to be read."""
        if len(data) <= MAX_SIZE:
            if data[:1] != ARRAY_4 or data[-POSITION_SIZE : -POSITION_SIZE + 1] != UINT64:
                return True
            position = int.from_bytes(data[1 - POSITION_SIZE :], "big")
            return self._heard(data[2:8], position)
        self._refuse("too_large", f"{len(data)} bytes")
        return False

    def _heard(self, sender: bytes, position: int) -> bool:
        missing = self._gaps.heard(sender, position)
        if missing > 0:
            self._tell_gap(sender, missing)
        elif missing < 0:
            self._refuse("repeated", "a sequence number that makes no sense")
            return False
        return True

    def _tell_gap(self, sender: bytes, missing: int) -> None:
        self._node.tell_gap(self._nsp.name, sender.decode("ascii", "replace"), missing)

    def _deliver(self, data: bytes, *, peek: bool) -> None:
        """Send a broadcast of another node to the sockets of this one."""
        adapter, notepack = self._adapter, self._notepack
        try:
            if peek:
                options = read_options(notepack.split(data, 2))
                named = options.rooms or options.all_of
                if named and not any(map(adapter.concerns, named)):
                    self._node.count("foreign_rooms")
                    return
            message = notepack.unpack(data)
            if not is_list(message) or len(message) < 3:
                raise InvalidMessageError("no broadcast")
            uid, packet, given = message[:3]
            if uid == self.uid:
                self._node.count("own")
                return
            options = read_options(given)
            event = read_event(packet, self._nsp.name)
        except (UnpackError, InvalidMessageError) as error:
            self._refuse("invalid", str(error))
            return
        if event is None:
            self._node.count("foreign_namespaces")
            return
        self._guarded(lambda: adapter.deliver(event[0], event[1], options))

    def on_request(self, channel: bytes, data: bytes) -> None:
        """Take a request."""
        try:
            request = self._requests.read(data)
            if request.get("uid") == self.uid:
                self._node.count("own")
                return
            if not self._take_sequence(request):
                return
            kind = request.get("type")
            handle = self._HANDLERS.get(kind) if type(kind) is int else None
            if handle is None:
                raise InvalidMessageError("an unknown request")
            handle(self, request)
        except InvalidMessageError as error:
            self._refuse("invalid", str(error))
        except Exception as error:  # noqa: BLE001  a message must not end the reading of the others
            self._refuse("undeliverable", str(error))

    def _take_sequence(self, request: dict[str, Any]) -> bool:
        uid, position = request.get("uid"), request.get("seq")
        if position is None:
            return True
        if not isinstance(uid, str) or type(position) is not int or not 0 <= position < 2**64:
            raise InvalidMessageError("no sequence number")
        sender = uid.encode("utf-8", "replace")
        if request.get("type") == RequestType.POSITION:
            missing = self._gaps.reached(sender, position)
            if missing:
                self._tell_gap(sender, missing)
            return False
        return self._heard(sender, position)

    def _on_sockets(self, request: dict[str, Any]) -> None:
        rooms = read_names(request.get("rooms"))
        sockets = [socket.id for socket in self._adapter.select(BroadcastOptions(rooms=rooms))]
        self._answer(request, {"requestId": _id(request), "sockets": sockets})

    def _on_all_rooms(self, request: dict[str, Any]) -> None:
        rooms = self._adapter.rooms
        names = rooms.room_names() + [socket.id for socket in rooms.select()]
        self._answer(request, {"requestId": _id(request), "rooms": names})

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
            self._answer(request, {"requestId": _id(request)})

    def _on_disconnect(self, request: dict[str, Any]) -> None:
        close = request.get("close") is True
        if "opts" in request:
            self._adapter.disconnect_here(read_options(request["opts"]), close)
            return
        socket = self._legacy(request)
        if socket is not None:
            socket.disconnect(close)
            self._answer(request, {"requestId": _id(request)})

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
            self._answer(request, answer)
        except (TypeError, ValueError, OverflowError):
            for described in told:
                described["data"] = self._sendable(described["data"])
            self._answer(request, answer)

    def _sendable(self, data: Any) -> Any:
        """Return the data of a socket, or nothing if it cannot travel."""
        try:
            self._requests.write({"data": data})
        except (TypeError, ValueError, OverflowError) as error:
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
            answering = _Answering(self, _id(request))
        self._nsp.on_server_side_emit(items[0], tuple(items[1:]), answering)

    def answer_emit(self, id: str, args: tuple[Any, ...]) -> None:
        """Answer an event of another server: always on the common channel, as the reference does."""
        kind = RequestType.SERVER_SIDE_EMIT
        data = args[0] if args else None
        try:
            message = self._requests.write({"type": kind, "requestId": id, "data": data})
        except (TypeError, ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error
        self._node.publisher.publish(self._channels.response, message)

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
            self._publish_answer(request, self._notepack.pack(answer))

        def gone(sid: str) -> None:
            self._answer(request, {"type": RequestType.BROADCAST_GONE, "requestId": id, "sid": sid})

        timeout = min(options.timeout or self._node.requests_timeout, MAX_ACK_TIMEOUT)
        ack = RemoteAck(timeout, self._nsp.server.engine.timers, answered, gone)
        self._adapter.deliver_and_ask(event[0], event[1], options, ack)
        self._answer(
            request,
            {
                "type": RequestType.BROADCAST_CLIENT_COUNT,
                "requestId": id,
                "clientCount": len(ack),
            },
        )
        ack.begin()

    _HANDLERS: Final[dict[int, Callable[["ClassicReceiver", dict[str, Any]], None]]] = {
        RequestType.SOCKETS: _on_sockets,
        RequestType.ALL_ROOMS: _on_all_rooms,
        RequestType.REMOTE_JOIN: _on_join,
        RequestType.REMOTE_LEAVE: _on_join,
        RequestType.REMOTE_DISCONNECT: _on_disconnect,
        RequestType.REMOTE_FETCH: _on_fetch,
        RequestType.SERVER_SIDE_EMIT: _on_server_side_emit,
        RequestType.BROADCAST: _on_ask,
    }

    def _answer(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        self._publish_answer(request, self._requests.write(answer))

    def _publish_answer(self, request: dict[str, Any], data: bytes) -> None:
        channel = self._channels.response
        uid = request.get("uid")
        if self._node.answers_specifically and isinstance(uid, str):
            channel = b"%b%b#" % (channel, uid.encode("utf-8", "replace"))
        self._node.publisher.publish(channel, data)

    def on_response(self, channel: bytes, data: bytes) -> None:
        """Take an answer."""
        try:
            response = self._requests.read(data)
            pending = self._pending.get(_id(response))
            if pending is None:  # of somebody else, or too late
                self._node.count("foreign_responses")
            else:
                self._take_response(pending, response)
        except InvalidMessageError as error:
            self._refuse("invalid", str(error))
        except Exception as error:  # noqa: BLE001  a message must not end the reading of the others
            self._refuse("undeliverable", str(error))

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
        try:
            action()
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

    __slots__ = ("_bus", "_id")

    def __init__(self, bus: ClassicReceiver, id: str) -> None:
        self._bus = bus
        self._id = id

    def answer(self, id: int, args: tuple[Any, ...]) -> None:
        """Send it."""
        self._bus.answer_emit(self._id, args)


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
