"""The packets that every codec benchmark encodes and decodes, for every peer the same.

A case knows the value a user emits and the messages that a JavaScript client sends for it. The wire form is written here
with `json`, not with any of the codecs that are measured, so that it can also judge their answers; in MessagePack by the library
`msgpack`, for want of another one.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from roomcast.types import PacketType

__all__ = ["CASES", "Case", "strip"]

_WIRE_TYPES: Final = {
    PacketType.EVENT: PacketType.BINARY_EVENT,
    PacketType.ACK: PacketType.BINARY_ACK,
}


def strip(value: Any, attachments: list[bytes]) -> Any:
    """Return the value with placeholders for its bytes, which are appended to ``attachments``."""
    if isinstance(value, bytes):
        attachments.append(value)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, dict):
        return {key: strip(item, attachments) for key, item in value.items()}
    if isinstance(value, list):
        return [strip(item, attachments) for item in value]
    return value


def dumps(value: Any) -> str:
    """Return JSON as `JSON.stringify` writes it: no blanks, characters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One packet, as a value and on the wire.

    Attributes:
        name: What tables and the command line call it.
        title: What readers of the report see.
        json: The JSON part of the text, what a bare JSON library has to write or read.
        text: The Socket.IO packet, without the type digit of Engine.IO.
        attachments: What follows the text.
        stripped: The data with placeholders for its bytes.
        packed: The packet in MessagePack.
    """

    name: str
    title: str
    type: PacketType
    data: Any
    nsp: str = "/"
    id: int | None = None
    json: str = field(init=False)
    text: str = field(init=False)
    attachments: list[bytes] = field(init=False)
    stripped: Any = field(init=False)
    packed: bytes = field(init=False)

    def __post_init__(self) -> None:
        attachments: list[bytes] = []
        stripped = strip(self.data, attachments)
        wire_type = _WIRE_TYPES[self.type] if attachments else self.type
        head = f"{wire_type.value}{len(attachments)}-" if attachments else f"{wire_type.value}"
        head += "" if self.nsp == "/" else f"{self.nsp},"
        head += "" if self.id is None else f"{self.id}"
        part = dumps(stripped)
        for name, value in {
            "json": part,
            "text": head + part,
            "attachments": attachments,
            "stripped": stripped,
            "packed": msgpack.packb(self.fields()),
        }.items():
            object.__setattr__(self, name, value)

    def fields(self) -> dict[str, Any]:
        """Return what a packet in MessagePack is made of, in the order of JavaScript's clients."""
        id_ = {} if self.id is None else {"id": self.id}
        return {"type": int(self.type), "data": self.data, **id_, "nsp": self.nsp}


def document(size: int) -> list[dict[str, Any]]:
    """Return records of every JSON type, at most ``size`` bytes as JSON."""
    records: list[dict[str, Any]] = []
    length = 2
    while True:
        number = len(records)
        record = {
            "id": number,
            "name": f"user-{number}",
            "active": number % 3 == 0,
            "score": number * 1.25,
            "parent": None,
            "tags": ["alpha", "beta", "gamma"],
            "position": {"x": number, "y": -number, "label": "café"},
        }
        length += len(dumps(record).encode()) + 1
        if length > size:
            return records
        records.append(record)


def upload(count: int) -> dict[str, Any]:
    """Return an object with ``count`` attachments of 1 KiB, two levels down."""
    parts = [{"index": index, "chunk": {"data": bytes(1024)}} for index in range(count)]
    return {"name": "upload", "parts": parts}


_MESSAGE: Final = ["message", {"text": "hello", "id": 1}]
_EVENT: Final = PacketType.EVENT

CASES: Final = {
    case.name: case
    for case in (
        Case(name="small", title="small event", type=_EVENT, data=_MESSAGE),
        Case(
            name="small-id",
            title="event, id, /chat",
            type=_EVENT,
            data=_MESSAGE,
            nsp="/chat",
            id=12,
        ),
        Case(name="1k", title="JSON 1 KB", type=_EVENT, data=["message", document(1_000)]),
        Case(name="100k", title="JSON 100 KB", type=_EVENT, data=["message", document(100_000)]),
        # Head and name included it stays below the default limit of one message.
        Case(name="1m", title="JSON 1 MB", type=_EVENT, data=["message", document(999_900)]),
        Case(name="1att", title="1 attachment", type=_EVENT, data=["file", upload(1)]),
        Case(name="10att", title="10 attachments", type=_EVENT, data=["file", upload(10)]),
        Case(name="ack", title="ack", type=PacketType.ACK, data=[{"ok": True}], id=12),
        Case(
            name="connect",
            title="connect",
            type=PacketType.CONNECT,
            data={"token": "0123456789abcdef"},
        ),
    )
}
