"""What users would pick instead: python-socketio with each of its codecs, msgspec, and socket.io-parser under Node.js."""

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import orjson

from cases import Case
from ours import DECODERS, ENCODERS, Peer
from packets import MsgPackPacket, OrjsonPacket, Packet, packet_decode, packet_encode
from timing import Call

__all__ = ["PEERS", "Node"]

NODE: Final = Path(__file__).with_name("node")


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
        "python-socketio": packet_encode(Packet),
        "python-socketio, orjson": packet_encode(OrjsonPacket),
        "python-socketio, msgpack": packet_encode(MsgPackPacket),
    },
    "decode": DECODERS
    | {
        "orjson, from str": _orjson_text,
        "msgspec": _msgspec_decode,
        "python-socketio": packet_decode(Packet),
        "python-socketio, orjson": packet_decode(OrjsonPacket),
        "python-socketio, msgpack": packet_decode(MsgPackPacket),
    },
}
"""By operation and name, how to make the peer for a case. Bare JSON libraries get the data without its bytes."""


class Node:
    """A parser in a child process that times one sample whenever it is asked to.

    Args:
        parser: The package.
    """

    def __init__(self, parser: str) -> None:
        self._process = subprocess.Popen(
            ["node", "codec.js", parser],
            cwd=NODE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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

    def prepare(
        self, case: Case, operation: str, messages: Sequence[str | bytes], milliseconds: float
    ) -> Any:
        """Get ready to time a case, warmed up; return the answer: messages, or type, namespace, id and data.

        Args:
            case: The case.
            operation: ``encode`` or ``decode``.
            messages: What is decoded.
            milliseconds: What a sample takes.
        """
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
                "messages": _to_base64(list(messages)),
            }
        )
        if operation == "encode":
            return _from_base64(answer)
        packet = _from_base64(answer)
        return packet["type"], packet["nsp"], packet.get("id"), packet["data"]

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
