"""Slots of channels, and what members of a Redis Cluster say about them."""

from typing import Any

import pytest

from roomcast import BrokerError
from roomcast.adapters.slots import key_of, read_asking, read_layout, slot_of

ASKED = ("asked.example", 7000)


@pytest.mark.parametrize(
    ("channel", "slot"),
    [
        # "CLUSTER KEYSLOT" of Valkey 9
        (b"123456789", 12_739),
        (b"foo", 12_182),
        (b"socket.io#/#", 13_868),
        (b"{user1000}.following", 3_443),
        (b"foo{}{bar}", 8_363),
        (b"foo{{bar}}zap", 4_015),
        (b"foo{bar}{zap}", 5_061),
        (b"{", 4_092),
        (b"a}b{c", 13_587),
    ],
)
def test_slot_is_that_of_the_broker(channel: bytes, slot: int) -> None:
    assert slot_of(channel) == slot


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ((b"XADD", b"stream", b"*"), b"stream"),
        ((b"XINFO", b"STREAM", b"stream"), b"stream"),
        ((b"SPUBLISH", b"channel", b"message"), b"channel"),
        ((b"PUBLISH", b"channel", b"message"), None),
        ((b"PING",), None),
    ],
)
def test_key_is_what_a_command_is_about(words: tuple[bytes, ...], key: bytes | None) -> None:
    assert key_of(words) == key


@pytest.mark.parametrize(
    ("refusal", "address"),
    [
        ("ASK 3999 10.0.0.1:7001", ("10.0.0.1", 7001)),
        ("ASK 3999 ::1:7001", ("::1", 7001)),
        ("ASK 3999 :7001", ("asked.example", 7001)),
        ("ASK 3999 10.0.0.1:70010", ("10.0.0.1", 70010)),
        ("ASK 3999 10.0.0.1:700100", None),
        ("ASK 3999 10.0.0.1:", None),
        ("ASK 3999 10.0.0.1:x", None),
        ("ASK 3999", None),
        ("ASK", None),
        ("MOVED 3999 10.0.0.1:7001", None),
        ("", None),
    ],
)
def test_refusal_says_where_to_ask(refusal: str, address: Any) -> None:
    assert read_asking(refusal, ASKED) == address


def test_where_to_ask_is_mapped() -> None:
    found = read_asking("ASK 1 10.0.0.1:7001", ASKED, lambda address: ("outside", address[1] + 1))
    assert found == ("outside", 7002)


def test_layout_says_who_has_what() -> None:
    reply: Any = [
        [0, 9_999, [b"10.0.0.1", 7001, b"id"], [b"10.0.0.3", 7003, b"id", []]],
        [10_001, 16_383, [b"", 7002, b"id"], [None, 7004, b"id"]],
    ]
    layout = read_layout(reply, ASKED)
    first, second = ("10.0.0.1", 7001), ("asked.example", 7002)
    assert (layout.masters, layout.home) == ((first, second), first)
    assert layout.replicas == (("10.0.0.3", 7003), ("asked.example", 7004))
    assert layout.place(b"foo", True) == second
    assert layout.place(b"foo", False) == first
    assert layout.owners[10_000] == first  # nobody's; the first one will say so
    moved = read_layout(reply, ASKED, lambda address: ("proxy", address[1]))
    assert moved.masters == (("proxy", 7001), ("proxy", 7002))
    assert not moved.routes_as(layout)


@pytest.mark.parametrize(
    "reply",
    [
        *(None, 7, b"text", [], [7], [[0, 5]], [[0, 5, []]], [[0, 5, [b"host"]]]),
        *([[0, 16_384, [b"host", 7001]]], [[5, 4, [b"host", 7001]]], [[0, 5, [b"\xff", 7001]]]),
    ],
    ids=repr,
)
def test_what_is_no_layout_is_refused(reply: Any) -> None:
    with pytest.raises(BrokerError, match=r"asked\.example:7000"):
        read_layout(reply, ASKED)
