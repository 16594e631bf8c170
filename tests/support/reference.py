"""The official packet parser (socket.io-parser from npm) as an oracle, in one Node.js process.

Values cross as JSON with marks for what JSON loses; the other half of this is ``tests/node/parser.js``.
"""

import base64
import json
import math
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from roomcast.codec import Packet, PacketType

__all__ = [
    "NODE_DIRECTORY",
    "UNDEFINED",
    "Message",
    "Outcome",
    "Reference",
    "missing_reference",
]

NODE_DIRECTORY: Final = Path(__file__).parents[1] / "node"

Message = str | bytes


class Undefined:
    """JavaScript's ``undefined``."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()


class Outcome(NamedTuple):
    """What became of a sequence of messages.

    Attributes:
        packets: What came out, as ``(type, nsp, id, data)``.
        error: Index of the message that was refused; what follows it was not tried. ``None`` if all were taken.
        reason: The words of the error.
    """

    packets: list[tuple[PacketType, str, Any, Any]]
    error: int | None
    reason: str = ""


def missing_reference() -> str | None:
    """Return why the reference cannot be asked, or ``None``."""
    if shutil.which("node") is None:
        return "Node.js is not installed"
    if not (NODE_DIRECTORY.parent / "node_modules" / "socket.io-parser").is_dir():
        return "the Node.js packages of tests/package.json are not installed"
    return None


class Reference:
    """One Node.js process that answers batches, with the parser of an npm package."""

    def __init__(self, package: str = "socket.io-parser") -> None:
        self.process = subprocess.Popen(
            ["node", str(NODE_DIRECTORY / "parser.js"), package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.communicate(timeout=10)

    def ask(self, op: str, inputs: list[Any]) -> list[Any]:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"op": op, "inputs": inputs}).encode() + b"\n")
        stdin.flush()
        answers: list[Any] = json.loads(stdout.readline())
        assert len(answers) == len(inputs)
        return answers

    def decode(self, inputs: list[list[Message]]) -> list[Outcome]:
        """Feed each sequence of messages to a fresh decoder, up to its first error."""
        answers = self.ask("decode", [[pack(message) for message in each] for each in inputs])
        return [outcome(answer) for answer in answers]

    def encode(self, packets: list[Packet]) -> list[list[Message]]:
        """Return the wire form of each packet."""
        inputs = [
            [
                packet.type,
                packet.nsp,
                pack(UNDEFINED if packet.id is None else packet.id),
                # CONNECT without data is `undefined` there.
                pack(UNDEFINED if packet.data is None else packet.data),
            ]
            for packet in packets
        ]
        return [[unpack(message) for message in each] for each in self.ask("encode", inputs)]


def outcome(answer: dict[str, Any]) -> Outcome:
    packets = [
        (PacketType(type_), nsp, none(unpack(id_)), none(unpack(data)))
        for type_, nsp, id_, data in answer["packets"]
    ]
    if answer["error"] is None:
        return Outcome(packets, None)
    return Outcome(packets, answer["error"][0], answer["error"][1])


def none(value: Any) -> Any:
    """Return our spelling of a member that JavaScript leaves out of its packet."""
    return None if value is UNDEFINED else value


def pack(value: Any) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if value is UNDEFINED:
        return {"u": 1}
    if isinstance(value, float) and not math.isfinite(value):
        return {"n": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return {"d": round(value.timestamp() * 1000)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"b": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {"o": [part for key, item in value.items() for part in (key, pack(item))]}
    raise TypeError(f"no mark for {type(value)}")


def unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "b" in value:
        return base64.b64decode(value["b"])
    if "d" in value:
        return datetime.fromtimestamp(value["d"] / 1000, UTC)
    if "n" in value:
        return float(value["n"].replace("Infinity", "inf"))
    if "u" in value:
        return UNDEFINED
    flat = value["o"]
    return {flat[i]: unpack(flat[i + 1]) for i in range(0, len(flat), 2)}
