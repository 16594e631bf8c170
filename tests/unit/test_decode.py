"""What the decoder takes and refuses: socketio.md 1.1 and 1.3, row by row.

Rows where we differ from socket.io-parser 4.2.7 carry ``# differs``; `support.deviations` says why.
"""

import gc
import math
import threading
from typing import Any

import pytest

from roomcast.codec import Decoder, Limits, Packet, PacketError, PacketErrorKind as Kind, PacketType

EVENT = PacketType.EVENT
ACK = PacketType.ACK
PLACEHOLDER = '{"_placeholder":true,"num":0}'


def feed(*messages: Any, **options: Any) -> Packet:
    """Return the one packet that a sequence of messages makes."""
    decoder = Decoder(**options)
    *first, last = messages
    for message in first:
        assert decoder.feed(message) is None
    packet = decoder.feed(last)
    assert packet is not None
    assert decoder.pending_size == 0
    return packet


def refusal(*messages: Any, **options: Any) -> PacketError:
    """Return why the last message of a sequence is refused."""
    decoder = Decoder(**options)
    *first, last = messages
    for message in first:
        decoder.feed(message)
    with pytest.raises(PacketError) as info:
        decoder.feed(last)
    return info.value


@pytest.mark.parametrize(
    ("messages", "packet"),
    [
        (["0"], Packet(PacketType.CONNECT)),
        (["0/admin"], Packet(PacketType.CONNECT, None, "/admin")),
        (["0/admin,"], Packet(PacketType.CONNECT, None, "/admin")),
        (['0/admin,{"token":"123"}'], Packet(PacketType.CONNECT, {"token": "123"}, "/admin")),
        (["1/admin,"], Packet(PacketType.DISCONNECT, None, "/admin")),
        (["1"], Packet(PacketType.DISCONNECT)),
        (["15"], Packet(PacketType.DISCONNECT, None, "/", 5)),
        (['012{"a":1}'], Packet(PacketType.CONNECT, {"a": 1}, "/", 12)),
        (['20["a"]'], Packet(EVENT, ["a"], "/", 0)),
        (['2007["a"]'], Packet(EVENT, ["a"], "/", 7)),
        (['2/admin,13["foo"]'], Packet(EVENT, ["foo"], "/admin", 13)),
        (["2[1]"], Packet(EVENT, [1])),
        (["2[1.5]"], Packet(EVENT, [1.5])),
        (['3/admin,13["bar"]'], Packet(ACK, ["bar"], "/admin", 13)),
        (["313[]"], Packet(ACK, [], "/", 13)),
        (["3[]"], Packet(ACK, [])),
        (["312"], Packet(ACK, None, "/", 12)),
        (["4"], Packet(PacketType.CONNECT_ERROR)),
        (['4"x"'], Packet(PacketType.CONNECT_ERROR, "x")),
        (["4{}"], Packet(PacketType.CONNECT_ERROR, {})),
        (
            ['4{"message":"Not authorized","data":{"code":7}}'],
            Packet(PacketType.CONNECT_ERROR, {"message": "Not authorized", "data": {"code": 7}}),
        ),
        (['51-["baz",' + PLACEHOLDER + "]", b"\x01"], Packet(EVENT, ["baz", b"\x01"])),
        (["61-/n,1[" + PLACEHOLDER + "]", b"\x01"], Packet(ACK, [b"\x01"], "/n", 1)),
        (["61-3", b"unused"], Packet(ACK, None, "/", 3)),
        (['2/a/b?c="d",["e"]'], Packet(EVENT, ["e"], '/a/b?c="d"')),
        (['2/ä,["é"]'], Packet(EVENT, ["é"], "/ä")),
    ],
)
def test_decode_reads_the_packets_of_the_protocol(messages: list[Any], packet: Packet) -> None:
    decoded = feed(*messages)
    assert decoded == packet
    assert decoded.type is packet.type


@pytest.mark.parametrize("name", ["error", "connection", "reconnect", "message", "", "Connect"])
def test_decode_takes_names_that_only_sound_reserved(name: str) -> None:
    assert feed(f'2["{name}"]').data == [name]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *[(text, Kind.UNKNOWN_PACKET_TYPE) for text in ("7", "9", "a", "-", "[", "é", "\x00", "\uff15")],
        ("", Kind.UNKNOWN_PACKET_TYPE),  # differs: CONNECT there
        (" ", Kind.UNKNOWN_PACKET_TYPE),  # differs: CONNECT there
        ('\t["a"]', Kind.UNKNOWN_PACKET_TYPE),
        *[
            (text, Kind.ILLEGAL_ATTACHMENTS)
            for text in (
                '5["a"]', '5-["a"]', '51["a"]', "5", "51", '51.5-["a"]', '5-1-["a"]', '50-["a"]',
                "5a-", "51.23-", "6", "60-[]", "5/n-", '51,-["a"]', '500-["a"]',
            )
        ],
        *[
            (text + '["a"]', Kind.ILLEGAL_ATTACHMENTS)  # differs: numbers to JavaScript
            for text in ("51e0-", "50x1-", "5 1-", "51 -", "5+1-", "51.0-", "5\ufeff1-")
        ],
        *[
            (text + '["a"]', Kind.TOO_MANY_ATTACHMENTS)
            for text in ("511-", "5999999999-", "518446744073709551617-", "5" + "9" * 400 + "-")
        ],
        *[(text, Kind.INVALID_PAYLOAD) for text in ("0[]", '0"x"', "0null", "01true")],
        ("0{", Kind.INVALID_JSON),
        *[(text, Kind.INVALID_PAYLOAD) for text in ("1{}", "1[]", "1null", "1/a,{}", "1x")],
        ("2", Kind.MISSING_EVENT_NAME),  # differs: an event without a name there
        ("2/a,", Kind.MISSING_EVENT_NAME),  # differs
        ("212", Kind.MISSING_EVENT_NAME),  # differs
        ("51-", Kind.MISSING_EVENT_NAME),  # differs
        ('2/n["a"]', Kind.MISSING_EVENT_NAME),  # differs: the namespace takes all, without a name
        *[(text, Kind.INVALID_PAYLOAD) for text in ("2{}", '2"a"', "2true", "2null", '2/a,"x"')],
        *[
            (text, Kind.INVALID_PAYLOAD)
            for text in ("2[]", "2[null]", "2[true]", "2[{}]", "2[[]]", '2[{"toString":"x"}]')
        ],
        ("51-[" + PLACEHOLDER + "]", Kind.INVALID_PAYLOAD),  # a placeholder is no name
        *[
            (text, Kind.INVALID_JSON)
            for text in ('2["a"', '2["a"]]', '2["a"],', '2["a"] x', "2[", '2["a",]', '2["a"1]')
        ],
        *[
            (f'2["{name}"]', Kind.RESERVED_EVENT)
            for name in (
                "connect", "connect_error", "disconnect", "disconnecting", "newListener",
                "removeListener", "c\\u006fnnect",
            )
        ],
        ('51-["disconnect",' + PLACEHOLDER + "]", Kind.RESERVED_EVENT),
        *[(text, None) for text in ('2n,["a"]', '2-1["a"]', '21.5["a"]', '21e3["a"]', '2+1["a"]')],
        ('2 ["a"]', None),  # differs: id 0 there
        ('2 1["a"]', None),  # differs
        ('21 ["a"]', None),  # differs
        ('2\u00a0["a"]', None),  # differs
        ('2/a, 1["a"]', None),  # differs
        ("0 ", None),  # differs
        ("1 ", None),  # differs
        *[(text, Kind.INVALID_PAYLOAD) for text in ("312{}", '3"x"', "3null", "3true", "4[]", "4null", "4true", "41.5")],
        ("29007199254740992[\"a\"]", Kind.ID_TOO_LARGE),  # differs: rounds there
        ("2" + "1" * 100 + '["a"]', Kind.ID_TOO_LARGE),  # differs
    ],
)  # fmt: skip
def test_decode_refuses_what_is_no_packet(text: str, kind: Kind | None) -> None:
    error = refusal(text)
    if kind is None:  # a blank or a letter where the id or the payload begins
        assert error.kind in {Kind.INVALID_PAYLOAD, Kind.INVALID_JSON}
    else:
        assert error.kind is kind
    assert 0 <= error.offset <= len(text.encode())


@pytest.mark.parametrize(
    ("text", "kind", "offset"),
    [
        ("7", Kind.UNKNOWN_PACKET_TYPE, 0),
        ('2["connect"]', Kind.RESERVED_EVENT, 1),
        ('2/ä,["a",x]', Kind.INVALID_JSON, 10),
        ('2["é", nul]', Kind.INVALID_JSON, 8),
        ('2["a"]]', Kind.INVALID_JSON, 6),
        ("2/admin,[true]", Kind.INVALID_PAYLOAD, 8),
    ],
)
def test_decode_says_where_it_stopped(text: str, kind: Kind, offset: int) -> None:
    error = refusal(text)
    assert (error.kind, error.offset) == (kind, offset)
    assert str(error) == f"{kind} at byte {offset}"


def test_decode_starts_where_it_is_told() -> None:
    assert Decoder().feed('42["a"]', 1) == Packet(EVENT, ["a"])
    assert Decoder().feed('42["é漢"]', 1) == Packet(EVENT, ["é漢"])
    assert Decoder().feed('xyz42["a"]', 4) == Packet(EVENT, ["a"])
    with pytest.raises(PacketError) as info:
        Decoder().feed('42["a"', 1)
    assert info.value.kind is Kind.INVALID_JSON
    with pytest.raises(PacketError) as info:
        Decoder().feed("4", 1)
    assert info.value.kind is Kind.UNKNOWN_PACKET_TYPE


def test_decode_refuses_texts_and_attachments_out_of_turn() -> None:
    assert refusal(b"x").kind is Kind.UNEXPECTED_BINARY
    header = '52-["a"]'
    assert refusal(header, '2["b"]').kind is Kind.UNEXPECTED_TEXT
    assert refusal(header, b"1", '2["b"]').kind is Kind.UNEXPECTED_TEXT
    decoder = Decoder()
    decoder.feed(header)
    decoder.feed(b"1")
    assert decoder.feed(b"2") == Packet(EVENT, ["a"])
    with pytest.raises(PacketError) as info:
        decoder.feed(b"3")
    assert info.value.kind is Kind.UNEXPECTED_BINARY


@pytest.mark.parametrize(
    "num",
    ["-1", "1", "9223372036854775808", "1" * 300, '"0"', '"splice"', "null", "true", "[]", "{}", "[0]", "1e400"],
)  # fmt: skip
def test_decode_refuses_illegal_placeholders_at_the_header(num: str) -> None:
    text = f'51-["a",{{"_placeholder":true,"num":{num}}}]'
    assert refusal(text).kind is Kind.ILLEGAL_PLACEHOLDER
    text = f'51-["a",{{"num":{num},"_placeholder":true}}]'
    assert refusal(text).kind is Kind.ILLEGAL_PLACEHOLDER


@pytest.mark.parametrize("num", ["0.5", "0.0", "0e0", "1.0"])  # differs: taken there
def test_decode_wants_an_exact_integer_in_a_placeholder(num: str) -> None:
    text = f'52-["a",{{"_placeholder":true,"num":{num}}}]'
    assert refusal(text).kind is Kind.ILLEGAL_PLACEHOLDER


def test_decode_refuses_a_placeholder_without_num() -> None:
    assert refusal('51-["a",{"_placeholder":true}]').kind is Kind.ILLEGAL_PLACEHOLDER


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        ('["a",{"_placeholder":true,"num":0},{"num":0,"_placeholder":true}]', ["a", b"0", b"0"]),
        ('["a",{"_placeholder":true,"num":1}]', ["a", b"1"]),
        ('["a"]', ["a"]),
        ('["a",{"_placeholder":true,"num":1,"more":{"x":[]}}]', ["a", b"1"]),
        ('["a",{"more":[1,{"a":2}],"num":1,"_placeholder":true}]', ["a", b"1"]),
        ('["a",{"x":[{"_placeholder":true,"num":0}]}]', ["a", {"x": [b"0"]}]),
        ('["a",{"_placeholder":"true","num":0}]', ["a", {"_placeholder": "true", "num": 0}]),
        ('["a",{"_placeholder":1,"num":0}]', ["a", {"_placeholder": 1, "num": 0}]),
        ('["a",{"_placeholder":{},"num":0}]', ["a", {"_placeholder": {}, "num": 0}]),
        ('["a",{"_placeholder":false,"num":9}]', ["a", {"_placeholder": False, "num": 9}]),
        ('["a",{"_placeholder":null,"num":9}]', ["a", {"_placeholder": None, "num": 9}]),
        # The last of two equal keys wins, here as everywhere.
        ('["a",{"_placeholder":true,"num":9,"num":1}]', ["a", b"1"]),
        ('["a",{"_placeholder":true,"_placeholder":0,"num":9}]', ["a", {"_placeholder": 0, "num": 9}]),
        ('["a",{"_placeholder":0,"_placeholder":true,"num":1}]', ["a", b"1"]),
        ('["a",{"\\u005fplaceholder":true,"n\\u0075m":1}]', ["a", b"1"]),
        ('["a",{"_placeholder":true,"num":-0}]', ["a", b"0"]),
        ('["a",{"in":{"_placeholder":true,"num":0},"_placeholder":true,"num":1}]', ["a", b"1"]),
        ('["a",{"x":{"_placeholder":true,"num":0},"x":1}]', ["a", {"x": 1}]),
        ('["a",{"x":1,"x":{"_placeholder":true,"num":0}}]', ["a", {"x": b"0"}]),
        ('["a",{"x":{"_placeholder":true,"num":0},"x":{"_placeholder":true,"num":1}}]', ["a", {"x": b"1"}]),
    ],
)  # fmt: skip
def test_decode_puts_attachments_in_place_of_placeholders(payload: str, data: Any) -> None:
    assert feed("52-" + payload, b"0", b"1") == Packet(EVENT, data)


@pytest.mark.parametrize(
    "payload",
    [
        '["a",{"_placeholder":true,"num":1,"in":{"_placeholder":true,"num":9}}]',
        '["a",{"in":{"_placeholder":true,"num":9},"_placeholder":true,"num":1}]',
        '["a",{"x":{"_placeholder":true,"num":9},"x":1}]',
    ],
)
def test_decode_checks_placeholders_wherever_they_stand(payload: str) -> None:
    # Differs: the reference does not look into what a placeholder or a repeated key replaces.
    assert refusal("52-" + payload).kind is Kind.ILLEGAL_PLACEHOLDER


@pytest.mark.parametrize("text", ['2["a",%s]', "31[%s]", '2["a",{"x":[%s]}]'])
def test_decode_leaves_placeholders_of_packets_without_attachments_alone(text: str) -> None:
    for look in ('{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":"splice"}'):
        packet = feed(text % look)
        assert "_placeholder" in repr(packet.data)


def test_decode_keeps_bytes_and_copies_what_can_change() -> None:
    kept = b"kept as it is"
    assert feed('51-["a",' + PLACEHOLDER + "]", kept).data[1] is kept
    for buffer in (bytearray(b"copied"), memoryview(bytearray(b"copied"))):
        packet = feed('51-["a",' + PLACEHOLDER + "]", buffer)
        buffer[:] = b"change"
        assert packet.data[1] == b"copied"
        assert type(packet.data[1]) is bytes
    strided = memoryview(b"c-o-p-y-")[::2]
    assert feed('51-["a",' + PLACEHOLDER + "]", strided).data[1] == b"copy"


@pytest.mark.parametrize("data", [None, 1, ["2[]"], object()])
def test_decode_wants_text_or_a_buffer(data: Any) -> None:
    with pytest.raises(TypeError):
        Decoder().feed(data)


@pytest.mark.parametrize(
    ("json", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("-12", -12),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", 2**63),
        ("-9223372036854775809", -(2**63) - 1),
        ("123456789012345678901234567890", 123456789012345678901234567890),  # a double there
        ("1.5", 1.5),
        ("1.0", 1.0),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("0.1e-2", 0.001),
        ("2.2250738585072011e-308", 2.2250738585072011e-308),
        ("1e400", math.inf),
        ("-1e400", -math.inf),
        ("1e-400", 0.0),
        ("1" * 400 + ".0", math.inf),
        ("true", True),
        ("null", None),
        ('""', ""),
        (r'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
        (r'"\u00e9\u6F22"', "é漢"),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\uD83D\uDE00"', "😀"),
        ('"é漢😀\x7f\u2028"', "é漢😀\x7f\u2028"),
        (r'"\ud800"', "\ufffd"),
        (r'"\udfff"', "\ufffd"),
        (r'"a\ud83db"', "a\ufffdb"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\ud83d\u0041"', "\ufffdA"),
        (r'"\ud83d\n"', "\ufffd\n"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"é\ud83d"', "é\ufffd"),
        (r'{"\ud800":1}', {"\ufffd": 1}),
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"":{"":[]}}', {"": {"": []}}),
        (' [ 1 , { "a" : 2 } ] ', [1, {"a": 2}]),
        ("\t\r\n1", 1),
        ('{"__proto__":1,"constructor":2}', {"__proto__": 1, "constructor": 2}),
    ],
)
def test_decode_reads_json(json: str, value: Any) -> None:
    decoded = feed(f'2["a",{json}]').data[1]
    assert decoded == value
    assert type(decoded) is type(value)
    # Alone in a wide string, so that the text is not one byte per character.
    assert feed(f'2["漢",{json}]').data[1] == value


@pytest.mark.parametrize(
    "json",
    [
        "NaN", "Infinity", "-Infinity", "undefined", "nul", "tru", "True", "01", "-01", "+1", "-", ".5", "1.",
        "1.e1", "1e", "1e+", "0x1", "1_0", "'a'", '"', '"a', '"\\"', '"\\x41"', '"\\u12"', '"\\u00G0"', '"\\u"',
        '"\n"', '"\x00"', '"\x1f"', "[1,]", "[,1]", "[1 2]", "{", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "{1:1}",
        "{,}", "[}", "{]", "// c\n1", "\u00a01", "\ufeff1", "\v1", "\x001", '"\\ud83d\\u00"', '"\\ud83d\\"',
    ],
)  # fmt: skip
def test_decode_refuses_what_is_no_json(json: str) -> None:
    assert refusal(f'2["a",{json}]').kind is Kind.INVALID_JSON
    assert refusal(f'2["漢",{json}]').kind is Kind.INVALID_JSON


def test_decode_takes_lone_surrogates_that_stand_in_the_text() -> None:
    assert feed('2["a\ud800"]').data == ["a\ufffd"]
    assert feed('2["a","\ud83d\\ude00"]').data[1] == "\ufffd\ufffd"  # half of it an escape
    assert feed('2/\udfff,["a"]').nsp == "/\ufffd"
    assert feed('2["\ud83d\ude00\ud83d"]').data == [
        "😀\ufffd"
    ]  # as two code points of a Python string
    assert refusal("\ud800").kind is Kind.UNKNOWN_PACKET_TYPE


def test_decoder_refuses_everything_after_an_error() -> None:
    decoder = Decoder()
    with pytest.raises(PacketError):
        decoder.feed("7")
    for message in ('2["a"]', b"x", "7"):
        with pytest.raises(PacketError) as info:
            decoder.feed(message)
        assert info.value.kind is Kind.DECODER_CLOSED


def test_decoder_gives_back_its_memory_after_an_error() -> None:
    decoder = Decoder()
    decoder.feed('52-["a",' + PLACEHOLDER + "]")
    decoder.feed(b"x" * 1000)
    assert decoder.pending_size >= 1000
    with pytest.raises(PacketError):
        decoder.feed("2")
    assert decoder.pending_size == 0


def test_close_forgets_the_unfinished_packet() -> None:
    decoder = Decoder()
    decoder.feed('52-["a"]')
    decoder.close()
    decoder.close()
    assert decoder.pending_size == 0
    with pytest.raises(PacketError) as info:
        decoder.feed('2["a"]')
    assert info.value.kind is Kind.DECODER_CLOSED


def test_pending_size_counts_header_and_attachments() -> None:
    decoder = Decoder()
    assert decoder.pending_size == 0
    header = '53-["é",' + PLACEHOLDER + "]"
    decoder.feed(header)
    before = decoder.pending_size
    assert before == len(header.encode())
    decoder.feed(b"x" * 10)
    assert decoder.pending_size == before + 10
    decoder.feed(b"")
    assert decoder.pending_size == before + 10
    assert decoder.feed(b"y") is not None
    assert decoder.pending_size == 0


def test_decode_gives_a_fresh_packet_each_time() -> None:
    decoder = Decoder()
    first, second = decoder.feed('2["a",[]]'), decoder.feed('2["a",[]]')
    assert first is not None
    assert second is not None
    first.data[1].append(1)
    assert second.data == ["a", []]


@pytest.mark.parametrize("enabled", [True, False])
def test_decode_leaves_the_garbage_collector_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        feed('2["a",' + "[]," * 1000 + "{}]")
        assert gc.isenabled() is enabled
        refusal('2["a",' + "[]," * 1000 + "{]")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_decoder_holds_no_lock_while_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Making an exception runs Python code, and that may run anything: a collection, another thread.
    seen: list[int] = []
    decoders: list[Decoder] = []
    init = PacketError.__init__

    def spy(self: PacketError, kind: str, offset: int) -> None:
        seen.append(decoders[-1].pending_size)
        init(self, kind, offset)

    monkeypatch.setattr(PacketError, "__init__", spy)
    sequences: list[list[str | bytes]] = [
        [b"x"],
        ['51-["a"]', "2"],
        ["7", "7"],
        ["7", b"x"],
        ['51-["a"]', b"x" * 99],
    ]
    for messages in sequences:
        decoders.append(Decoder(Limits(max_packet_size=50)))
        for message in messages:
            try:
                decoders[-1].feed(message)
            except PacketError:
                pass
    assert len(seen) == 7


def test_decoder_may_be_used_from_any_thread() -> None:
    decoder = Decoder(Limits())
    decoder.feed('51-["a",' + PLACEHOLDER + "]")
    results: list[Packet | None] = []
    thread = threading.Thread(target=lambda: results.append(decoder.feed(b"x")))
    thread.start()
    thread.join()
    assert results == [Packet(EVENT, ["a", b"x"])]
