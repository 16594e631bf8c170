"""The cluster messages of socket.io-adapter, which the sharded and the streams adapter send: how they are written and read.

A message is ``{type, data, uid, nsp}``, as JSON, or as MessagePack if there are bytes in it. What is in it goes on as a request or an
answer with the fields of the classic format (`wire.RequestType`).

roomcast adds, where nobody else looks: ``seq``, the number of the message in its channel (`numbering.py`), and ``first`` where the
numbers of a channel begin anew; ``sid`` and ``args`` of an answer; the types from 100 on.

Source:
    socket.io-adapter 2.5.8, ``lib/cluster-adapter.ts``; socket.io-redis-adapter 8.3.0, ``lib/sharded-adapter.ts``.
"""

import json
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from roomcast.adapters.notepack import Notepack
from roomcast.adapters.wire import (
    InvalidMessageError,
    Requests,
    RequestType,
    is_object,
    write_options,
)
from roomcast.server.adapter import BroadcastOptions

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BROADCAST", "REQUEST_TYPES", "Messages", "new_uid"]

BROADCAST: Final = 3
"""The type of a broadcast; with a request's id in it, acknowledgements are asked for."""

REQUESTS: Final[dict[int, RequestType]] = {
    BROADCAST: RequestType.BROADCAST,
    4: RequestType.REMOTE_JOIN,
    5: RequestType.REMOTE_LEAVE,
    6: RequestType.REMOTE_DISCONNECT,
    7: RequestType.REMOTE_FETCH,
    9: RequestType.SERVER_SIDE_EMIT,
    101: RequestType.POSITION,
}
ANSWERS: Final[dict[int, RequestType]] = {
    8: RequestType.REMOTE_FETCH,
    10: RequestType.SERVER_SIDE_EMIT,
    11: RequestType.BROADCAST_CLIENT_COUNT,
    12: RequestType.BROADCAST_ACK,
    100: RequestType.BROADCAST_GONE,
}
REQUEST_TYPES: Final = {kind: number for number, kind in REQUESTS.items()}
ANSWER_TYPES: Final = {kind: number for number, kind in ANSWERS.items()}


def new_uid() -> str:
    """Return an id for a node or a request."""
    return token_hex(8)


class Messages:
    """Writes and reads the messages of one node in one namespace."""

    def __init__(self, notepack: Notepack, uid: str, nsp: str, *, packed: bool = False) -> None:
        """Take whose they are, and whether all are written as MessagePack."""
        self._requests = Requests(notepack)
        self._write: Callable[[dict[str, Any]], bytes] = (
            notepack.pack if packed else self._requests.write
        )
        self._packed = packed
        self._notepack = notepack
        self._uid = uid
        self._nsp = nsp
        # Of an event's text, in front of its list.
        self._prefix_length = len("42" if nsp == "/" else f"42{nsp},")
        self._tail = f',"uid":"{uid}","nsp":{json.dumps(nsp)},"seq":'
        pack = notepack.pack
        self._packed_tail = pack("uid") + pack(uid) + pack("nsp") + pack(nsp) + pack("seq")
        self._uid_bytes = uid.encode()
        self._tail_size = max(len(self._tail), len(self._packed_tail)) + 40

    def is_own(self, data: bytes) -> bool:
        """Say whether a broadcast or request that came back is one of this node's, by what it ends with."""
        return self._uid_bytes in data[-self._tail_size :]

    def read(self, data: bytes) -> tuple[bool, dict[str, Any]]:
        """Return whether a message is an answer, and its fields; those of another namespace without any.

        Raises:
            InvalidMessageError: If it is no message.
        """
        return self.translated(self._requests.read(data))

    def translated(self, message: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Return the same for a message whose bytes have been read.

        Raises:
            InvalidMessageError: If it is no message.
        """
        kind, nsp, fields = message.get("type"), message.get("nsp"), message.get("data", {})
        if type(kind) is not int or not isinstance(nsp, str) or not is_object(fields):
            raise InvalidMessageError("no message")
        uid = message.get("uid")
        if not isinstance(uid, str) or not uid:
            raise InvalidMessageError("no sender")
        if nsp != self._nsp:
            return False, {}
        is_answer = kind in ANSWERS
        known = (ANSWERS if is_answer else REQUESTS).get(kind)
        if known is None:
            raise InvalidMessageError("an unknown message")
        read = dict(fields)
        if known == RequestType.SERVER_SIDE_EMIT:
            read["data"] = fields.get("packet")
        packet = fields.get("packet")
        if known == RequestType.BROADCAST and is_object(packet):
            read["packet"] = packet | {"nsp": nsp}
        for name in ("uid", "seq", "first"):
            read[name] = message.get(name)
        read["type"] = int(known)
        return is_answer, read

    def write_broadcast(
        self, event: str, args: tuple[Any, ...], options: BroadcastOptions, id: str | None = None
    ) -> bytes:
        """Return a broadcast, but for its number; see `numbered`.

        Raises:
            EncodeError: If an argument has no JSON form.
            ReservedEventError: If the event belongs to the library.
        """
        packet = self._notepack.encoder.encode_event(self._nsp, event, args)
        opts = write_options(options, timeout=id is not None)
        if packet.attachments or self._packed:
            pack = self._notepack.pack
            return b"\x85\xa4type\x03\xa4data%b\xa6packet\x82\xa4type\x02\xa4data%b%b\xa4opts%b" % (
                b"\x82" if id is None else b"\x83",
                self._notepack.pack_event(self._nsp, event, args),
                b"" if id is None else b"\xa9requestId" + pack(id),
                pack(opts),
            )
        assert packet.text is not None  # our own encoder's
        request = "" if id is None else f'"requestId":"{id}",'
        text = (
            f'{{"type":3,"data":{{"packet":{{"type":2,"data":{packet.text[self._prefix_length :]}}},'
            f'{request}"opts":{json.dumps(opts, separators=(",", ":"))}}}'
        )
        return text.encode("utf-8", "backslashreplace")  # JSON has that form for half an emoji

    def numbered(self, begun: bytes, position: int, is_first: bool) -> bytes:
        """Return the whole of a broadcast."""
        if begun[:1] == b"{":
            first = ',"first":true' if is_first else ""
            return begun + f"{self._tail}{position}{first}}}".encode()
        number = b"\xcf" + position.to_bytes(8, "big")
        whole = begun + self._packed_tail + number
        return b"\x86" + whole[1:] + b"\xa5first\xc3" if is_first else whole

    def write_request(self, request: dict[str, Any], position: int, is_first: bool) -> bytes:
        """Return a request.

        Raises:
            TypeError: If a value has no form.
            ValueError: If something is nested too deep.
        """
        return self._write(self._request(request, position, is_first))

    def write_answer(self, answer: dict[str, Any]) -> bytes:
        """Return an answer; errors as for `write_request`."""
        return self._write(self._answer(answer))

    def _request(self, request: dict[str, Any], position: int, is_first: bool) -> dict[str, Any]:
        fields = {name: value for name, value in request.items() if name != "type"}
        kind: RequestType = request["type"]
        if kind == RequestType.SERVER_SIDE_EMIT:
            fields["packet"] = fields.pop("data")
        message = self._message(REQUEST_TYPES[kind], fields) | {"seq": position}
        return message | {"first": True} if is_first else message

    def _answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in answer.items() if name != "type"}
        kind: RequestType = answer.get("type", RequestType.REMOTE_FETCH)
        if kind == RequestType.SERVER_SIDE_EMIT:
            fields["packet"] = fields.pop("data")
        return self._message(ANSWER_TYPES[kind], fields)

    def _message(self, kind: int, data: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "data": data, "uid": self._uid, "nsp": self._nsp}
