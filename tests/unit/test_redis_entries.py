"""Entries of a stream: which stream, what they look like, and whom they are for without reading them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from roomcast.adapters.entries import (
    Entries,
    id_of,
    number_of,
    peek_options,
    read_entry,
    stream_of,
    unpolled_stream_of,
)
from roomcast.adapters.notepack import Notepack
from roomcast.server.adapter import BroadcastOptions


@pytest.mark.parametrize(
    ("nsp", "stream", "unpolled"),
    [
        ("/", b"socket.io-3", None),
        ("/admin", b"socket.io-0", None),
        ("/custom-namespace", b"socket.io-2", b"socket.io--2"),
    ],
)
def test_stream_of_a_namespace_is_one_that_all_read(
    nsp: str, stream: bytes, unpolled: bytes | None
) -> None:
    assert stream_of("socket.io", 4, nsp) == stream
    assert unpolled_stream_of("socket.io", 4, nsp) == unpolled
    assert stream_of("name", 1, nsp) == b"name"
    assert unpolled_stream_of("name", 1, nsp) is None


def test_entry_is_what_the_official_adapter_writes() -> None:
    entries = Entries(Notepack(), "0123456789abcdef", "/")
    options = BroadcastOptions()
    _, data = entries.broadcast("hello", ("world", 1), options, packet_nsp=False)
    assert data == (
        b'{"packet":{"type":2,"data":["hello","world",1]},"opts":{"rooms":[],"except":[],"flags":{}}}'
    )
    kind, data = entries.broadcast("bin", (b"\x01\x02\x03",), options, packet_nsp=False)
    words = entries.write(kind, data)
    assert words[:7] == (b"uid", b"0123456789abcdef", b"nsp", b"/", b"type", b"3", b"data")
    assert (
        data == b"gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA=="
    )


def test_binary_entry_of_the_official_adapter_is_read() -> None:
    data = (
        b"gqZwYWNrZXSCpHR5cGUCpGRhdGGTo2JpbsQDAQID1v8AAAAApG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA=="
    )
    fields = {b"uid": b"a", b"nsp": b"/", b"type": b"3", b"data": data}
    message = read_entry(Notepack(), fields)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert message["data"]["packet"] == {"type": 2, "data": ["bin", b"\x01\x02\x03", epoch]}


INNER = {"opts": {"rooms": ["inner"], "except": [], "flags": {}}}


@pytest.mark.parametrize(
    "args",
    [
        [],
        [INNER],
        ['{"x":1,"opts":{"rooms":["inner"]}}'],
        [1, {"a": 1, **INNER}],
        ['"', '","opts":{'],
    ],
)
def test_whom_it_is_for_is_seen_at_its_end(args: list[Any]) -> None:
    opts = {"rooms": ["a", ',"opts":{'], "except": ["b"], "flags": {"volatile": True}}
    packet = {"type": 2, "data": ["hello", *args]}
    data = json.dumps({"packet": packet, "opts": opts}, separators=(",", ":")).encode()
    options = peek_options(data)
    assert options is not None
    assert (options.rooms, options.except_) == (("a", ',"opts":{'), ("b",))
    turned = json.dumps({"opts": opts, "packet": packet}, separators=(",", ":")).encode()
    assert peek_options(turned) is None


@pytest.mark.parametrize("data", [b"", b"{", b'{,"opts":{', b"gqZ", b'{"a":1,"opts":{]}', b"\xff"])
def test_what_cannot_be_seen_is_read(data: bytes) -> None:
    assert peek_options(data) is None


def test_ids_have_an_order() -> None:
    numbers = [number_of(id) for id in ("0-0", "0-1", "9-18446744073709551615", "10-0", "11-5")]
    assert None not in numbers
    assert numbers == sorted(numbers, key=lambda number: number or 0)
    assert [id_of(number or 0) for number in numbers][-2:] == ["10-0", "11-5"]
    assert [number_of(id) for id in ("", "1", "1-", "-1-1", "1-1 ", "\u0661-1", None, 1)] == [
        None
    ] * 8
