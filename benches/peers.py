"""What users would pick instead: python-socketio with each of its codecs, msgspec, and socket.io-parser under Node.js."""

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self

import msgspec
import orjson
from socketio import msgpack_packet, packet as json_packet  # type: ignore[import-untyped]  # it has no types

from cases import Case
from ours import DECODERS, ENCODERS, Peer, decoded, encoded, renewal
from timing import Call

__all__ = ["PEERS", "Node"]

NODE: Final = Path(__file__).with_name("node")


Packet: Final[Any] = json_packet.Packet
MsgPackPacket: Final[Any] = msgpack_packet.MsgPackPacket


class OrjsonPacket(json_packet.Packet):  # type: ignore[misc]  # it has no types
    """The packet that python-socketio uses when it is given orjson as its `json`."""

    json = SimpleNamespace(
        loads=orjson.loads, dumps=lambda value, **_: orjson.dumps(value).decode()
    )


def _packet_encode(packet: Any) -> Callable[[Case], Peer]:
    def make(case: Case) -> Peer:
        type_, nsp, number = int(case.type), case.nsp, case.id

        def call(data: Any) -> Any:
            return packet(type_, data=data, namespace=nsp, id=number).encode()

        if packet is MsgPackPacket:  # a format of its own, with bytes in it: read back

            def unpacked(wire: bytes) -> object:
                back = packet(encoded_packet=wire)
                return decoded(back.packet_type, back.namespace, back.id, back.data)

            return Peer(
                Call(call, case.data), unpacked, decoded(case.type, case.nsp, case.id, case.data)
            )

        def parts(wire: str | list[Any]) -> object:
            return encoded(wire, []) if isinstance(wire, str) else encoded(wire[0], wire[1:])

        return Peer(Call(call, case.data), parts, encoded(case.text, case.attachments))

    return make


def _packet_decode(packet: Any) -> Callable[[Case], Peer]:
    def make(case: Case) -> Peer:
        attachments = case.attachments

        def single(message: str | bytes) -> Any:
            return packet(encoded_packet=message)

        def binary(message: str) -> Any:
            result = packet(encoded_packet=message)
            for attachment in attachments:
                result.add_attachment(attachment)
            return result

        if packet is MsgPackPacket:
            wire = packet(int(case.type), data=case.data, namespace=case.nsp, id=case.id).encode()
            call = Call(single, wire)
        else:
            call = Call(binary if attachments else single, case.text, renewal(case))
        return Peer(
            call,
            lambda packet: decoded(
                packet.packet_type, packet.namespace or "/", packet.id, packet.data
            ),
            decoded(case.type, case.nsp, case.id, case.data),
        )

    return make


def _msgspec_encode(case: Case) -> Peer:
    encode = msgspec.json.Encoder().encode

    def call(data: Any) -> Any:
        return encode(data)

    return Peer(Call(call, case.stripped), json.loads, case.stripped)


def _msgspec_decode(case: Case) -> Peer:
    decode = msgspec.json.Decoder().decode

    def call(part: bytes) -> Any:
        return decode(part)

    return Peer(Call(call, case.json.encode()), lambda value: value, case.stripped)


def _orjson_text(case: Case) -> Peer:
    def call(part: str) -> Any:
        return orjson.loads(part)

    renew = None if case.json.isascii() else case.json.encode().decode
    return Peer(Call(call, case.json, renew), lambda value: value, case.stripped)


PEERS: Final[dict[str, dict[str, Callable[[Case], Peer]]]] = {
    "encode": ENCODERS
    | {
        "msgspec": _msgspec_encode,
        "python-socketio": _packet_encode(Packet),
        "python-socketio, orjson": _packet_encode(OrjsonPacket),
        "python-socketio, msgpack": _packet_encode(MsgPackPacket),
    },
    "decode": DECODERS
    | {
        "orjson, from str": _orjson_text,
        "msgspec": _msgspec_decode,
        "python-socketio": _packet_decode(Packet),
        "python-socketio, orjson": _packet_decode(OrjsonPacket),
        "python-socketio, msgpack": _packet_decode(MsgPackPacket),
    },
}
"""By operation and name, how to make the peer for a case. Bare JSON libraries get the data without its bytes."""


class Node:
    """socket.io-parser in a child process that times one sample whenever it is asked to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "codec.js"], cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.versions: dict[str, str] = self._ask({"do": "versions"})

    def _ask(self, question: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    def prepare(self, case: Case, operation: str, milliseconds: float) -> bool:
        """Get ready to time a case, warmed up; return whether the answer is right."""
        answer = self._ask(
            {
                "do": "prepare",
                "operation": operation,
                "milliseconds": milliseconds,
                "packet": {
                    "type": case.type,
                    "nsp": case.nsp,
                    "id": case.id,
                    "data": _to_base64(case.data),
                },
                "text": case.text,
                "attachments": _to_base64(case.attachments),
            }
        )
        if operation == "encode":
            text, *attachments = _from_base64(answer)
            return encoded(text, attachments) == encoded(case.text, case.attachments)
        packet = _from_base64(answer)
        got = decoded(packet["type"], packet["nsp"], packet.get("id"), packet["data"])
        return got == decoded(case.type, case.nsp, case.id, case.data)

    def time(self) -> float:
        """Take one sample of what was prepared last, in nanoseconds a call."""
        return float(self._ask({"do": "time"}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=10)  # the end of its input ends it


def _to_base64(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _to_base64(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_base64(item) for item in value]
    return value


def _from_base64(value: Any) -> Any:
    if isinstance(value, dict):
        if "base64" in value:
            return base64.b64decode(value["base64"])
        return {key: _from_base64(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_base64(item) for item in value]
    return value
