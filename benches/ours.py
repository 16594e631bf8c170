"""What roomcast is called with in a benchmark, and orjson as the floor of any JSON: at most as fast, ideally."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from cases import Case
from roomcast import _core
from roomcast.types import PacketType
from timing import Call

__all__ = ["DECODERS", "ENCODERS", "Peer", "decoded", "encoded", "renewal"]


class Peer(NamedTuple):
    """A call to time, and how to know that it does what it should.

    Attributes:
        call: What is timed.
        answer: Turns what it returns into a form that all peers have in common.
        expected: That form of the right answer.
    """

    call: Call
    answer: Callable[[Any], object]
    expected: object

    def correct(self) -> bool:
        """Call once; return whether the answer is right."""
        return self.answer(self.call.function(self.call.argument)) == self.expected


def encoded(text: str, attachments: list[bytes]) -> object:
    """Return the head, the JSON value and the attachments: what an encoder may write differently is gone."""
    head = re.match(r"[^\[{]*", text)
    assert head is not None
    return head.group(), json.loads(text[head.end() :]), [bytes(part) for part in attachments]


def decoded(type: int, nsp: str, id: int | None, data: Any) -> object:
    """Return a packet without the difference between a type and its binary twin."""
    types = {PacketType.BINARY_EVENT: PacketType.EVENT, PacketType.BINARY_ACK: PacketType.ACK}
    return types.get(PacketType(type), type), nsp, id, data


def renewal(case: Case) -> Callable[[], str] | None:
    """Return what makes a new text of a case, where a text remembers that it was read; see `Call`."""
    return None if case.text.isascii() else case.text.encode().decode


def _encode(case: Case) -> Peer:
    encode, packet = _core.encode, _core.Packet
    type_, nsp, number = case.type, case.nsp, case.id

    def call(data: Any) -> Any:
        return encode(packet(type_, data, nsp, number))

    return Peer(
        Call(call, case.data),
        lambda parts: encoded(parts[0], parts[1:]),
        encoded(case.text, case.attachments),
    )


def _encode_server(case: Case) -> Peer:
    encoder = _core.Encoder()
    type_, nsp, number = case.type, case.nsp, case.id
    argument: Any = case.data
    if type_ is PacketType.EVENT:
        event, *rest = case.data
        argument = tuple(rest)

        def call(data: Any) -> Any:
            return encoder.encode_event(nsp, event, data, number)

    else:

        def call(data: Any) -> Any:
            return encoder.encode_packet(type_, nsp, data, number)

    return Peer(
        Call(call, argument),
        lambda packet: encoded(packet.text.removeprefix("4"), packet.attachments),
        encoded(case.text, case.attachments),
    )


def _decode(case: Case) -> Peer:
    feed = _core.Decoder().feed
    attachments = case.attachments

    def text(message: str) -> Any:
        return feed(message)

    def binary(message: str) -> Any:
        packet = feed(message)
        for attachment in attachments:
            packet = feed(attachment)
        return packet

    return Peer(
        Call(binary if attachments else text, case.text, renewal(case)),
        lambda packet: decoded(packet.type, packet.nsp, packet.id, packet.data),
        decoded(case.type, case.nsp, case.id, case.data),
    )


def _floor_encode(case: Case) -> Peer:
    def call(data: Any) -> Any:
        return orjson.dumps(data)

    return Peer(Call(call, case.stripped), json.loads, case.stripped)


def _floor_decode(case: Case) -> Peer:
    def call(part: bytes) -> Any:
        return orjson.loads(part)

    return Peer(Call(call, case.json.encode()), lambda value: value, case.stripped)


ENCODERS = {"orjson": _floor_encode, "roomcast": _encode, "roomcast server": _encode_server}
"""The bare JSON library, the function for users, and the call the server makes."""

DECODERS = {"orjson": _floor_decode, "roomcast": _decode}
"""The bare JSON library, from bytes as it likes them best, and the decoder of a connection."""
