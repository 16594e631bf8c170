"""`roomcast.compat`: what its packets are beside what tests/property/test_compat_packet.py drives at random."""

import copy
import gc
import json
import pickle
import subprocess
import sys
import weakref
from typing import Any

import msgpack
import pytest
import socketio
from engineio import json as engineio_json
from socketio import msgpack_packet, packet as reference

from roomcast import compat
from roomcast.compat import (
    MsgPackPacket,
    Packet,
    StrictMsgPackPacket,
    StrictPacket,
    json as own_json,
)
from roomcast.compat.msgpack_packet import _default_hook
from roomcast.errors import (
    EncodeError,
    MissingDependencyError,
    PacketError,
    PacketErrorKind,
    ReservedEventError,
)
from roomcast.msgpack import Ext
from roomcast.types import Limits

THREE = ("ours", "ours-msgpack", "theirs")
"""Names for tests of both packets and of the one that they stand for."""


def test_import_needs_nothing_of_python_socketio():
    code = "import sys, roomcast.compat; print({'socketio', 'engineio'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@pytest.mark.parametrize("name", dir(msgpack_packet.MsgPackPacket))
def test_has_all_that_is_public_there(name):
    assert hasattr(MsgPackPacket, name) or name.startswith("_")
    assert hasattr(Packet, name) >= hasattr(reference.Packet, name) or name.startswith("_")


def test_characters_stand_as_they_are():
    assert Packet(data=["é", "\ud800", 1e-7]).encode() == '2["é","\\ud800",1e-7]'


def test_values_that_python_alone_writes_are_written_so():
    assert Packet(data=[float("nan"), {1.0: 2}]).encode() == '2[NaN,{"1.0":2}]'
    assert repr(Packet(encoded_packet='2["\\ud800",NaN]').data) == "['\\ud800', nan]"


def test_attachments_are_the_objects_themselves():
    data = b"1", bytearray(b"2")
    text, *attachments = Packet(data=list(data)).encode()
    assert text == '52-[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    assert all(one is other for one, other in zip(attachments, data, strict=True))


def test_data_keeps_its_placeholders_until_the_last_attachment():
    packet = Packet(encoded_packet='52-["a",{"_placeholder":true,"num":1}]')
    data = packet.data
    assert not packet.add_attachment(b"0")
    assert packet.data is data
    assert packet.add_attachment(b"1")
    assert packet.data == ["a", b"1"]
    assert data == ["a", {"_placeholder": True, "num": 1}]
    with pytest.raises(ValueError, match="Unexpected binary attachment"):
        packet.add_attachment(b"2")


def test_attributes_may_be_anything():
    packet = Packet()
    for name in ("packet_type", "data", "namespace", "id", "attachment_count", "attachments"):
        value = object()
        setattr(packet, name, value)
        assert getattr(packet, name) is value
    packet.mine = 1
    assert packet.mine == 1


def test_attachments_may_be_replaced():
    packet = Packet(encoded_packet='51-["a",{"_placeholder":true,"num":0}]')
    packet.attachments = type("Own", (list,), {})()
    assert packet.add_attachment(b"0")
    assert packet.data == ["a", b"0"]


def test_packets_are_copied_pickled_and_collected():
    packet = Packet(data=["a", b"b"], namespace="/n", id=7)
    packet.mine = packet
    for other in (copy.copy(packet), copy.deepcopy(packet), pickle.loads(pickle.dumps(packet))):
        assert other.encode() == packet.encode()
        assert other.mine.id == 7
    gone = weakref.ref(packet)
    del packet, other
    gc.collect()
    assert gone() is None

    packet = Packet()
    packet.data = [packet]
    gone = weakref.ref(packet)
    del packet
    gc.collect()
    assert gone() is None


def test_a_cycle_is_a_recursion_error():
    data: list[Any] = []
    data.append(data)
    for call in (Packet.data_is_binary, Packet.deconstruct_binary):
        with pytest.raises(RecursionError):
            call(data)
    packet = Packet(binary=False, data=data)
    with pytest.raises(ValueError, match="Circular"):
        packet.encode()


def test_deeper_data_than_the_core_takes_goes_the_long_way():
    data: list[Any] = ["x"]
    for _ in range(300):
        data = [data]
    text = Packet(data=data).encode()
    assert text == reference.Packet(data=data).encode()
    assert Packet(encoded_packet=text).data == data


@pytest.mark.parametrize(
    "method", ["data_is_binary", "deconstruct_binary", "reconstruct_binary", "decode"]
)
def test_a_replaced_method_is_called(method):
    def calls_of(base: Any) -> list[Any]:
        def replaced(self, *args):
            calls.append(args)
            return getattr(super(own, self), method)(*args)

        def class_replaced(cls, *args):
            calls.append(args)
            return getattr(super(own, cls), method)(*args)

        calls: list[Any] = []
        new = replaced if method == "decode" else classmethod(class_replaced)
        own = type("Own", (base,), {method: new})
        text, attachment = own(data=["a", b"b"]).encode()
        packet = own(encoded_packet=text)
        packet.add_attachment(attachment)
        assert packet.data == ["a", b"b"]
        return calls

    assert calls_of(Packet) == calls_of(reference.Packet) != []


@pytest.mark.parametrize("base", [Packet, reference.Packet], ids=("ours", "theirs"))
def test_a_class_that_knows_more_that_is_binary_finds_it_anywhere(base):
    class Wider(base):
        @classmethod
        def data_is_binary(cls, data):
            return isinstance(data, memoryview) or super().data_is_binary(data)

    for data in (memoryview(b""), ["a", {"b": [memoryview(b"")]}], ["a", b""]):
        assert Wider(data=data).packet_type == 5
    for data in (None, ["a", {"b": [1]}], ("a", b"")):
        assert Wider(data=data).packet_type == 2
    assert base(data=[memoryview(b"")]).packet_type == 2


@pytest.mark.parametrize("base", [Packet, MsgPackPacket, reference.Packet], ids=THREE)
@pytest.mark.parametrize("kind", ["class attributes", "properties", "slots", "setter"])
def test_a_subclass_may_have_its_own_attributes(base, kind):
    names = ("packet_type", "data", "namespace", "id", "attachment_count", "attachments")
    written: list[str] = []

    def set_any(self, name, value):
        written.append(name)
        base.__setattr__(self, name, value)

    def property_of(name):
        def write(self, value):
            written.append(name)
            self.__dict__["own " + name] = value

        return property(lambda self: self.__dict__["own " + name], write)

    own: Any = type(
        "Own",
        (base,),
        {
            "class attributes": dict.fromkeys(names, "the class's"),
            "properties": {name: property_of(name) for name in names},
            "slots": {"__slots__": names},
            "setter": {"__setattr__": set_any},
        }[kind],
    )
    packet = own(2, ["a", 1], "/n", 7)
    assert [getattr(packet, name) for name in names] == [2, ["a", 1], "/n", 7, 0, []]
    plain = base(2, ["a", 1], "/n", 7).encode()
    assert packet.encode() == plain
    packet.decode(base(3, ["b"], "/m", 8).encode())
    assert [getattr(packet, name) for name in names[:4]] == [3, ["b"], "/m", 8]
    assert own(encoded_packet=plain).encode() == plain
    if kind in ("properties", "setter"):
        assert set(written) == set(names)
    if base.uses_binary_events:
        text, attachment = own(data=["a", b"b"]).encode()
        packet = own(encoded_packet=text)
        assert packet.attachment_count == 1
        assert packet.add_attachment(attachment)
        assert packet.data == ["a", b"b"]
        assert packet.attachments == [b"b"]


@pytest.mark.parametrize("base", [Packet, MsgPackPacket, reference.Packet], ids=THREE)
def test_slots_of_a_subclass_are_copied(base):
    class Slotted(base):
        __slots__ = ("mine",)

    packet = Slotted(data=["a"])
    packet.mine, packet.other = [1], 2
    for other in (copy.copy(packet), copy.deepcopy(packet)):
        assert (other.data, other.mine, other.other) == (["a"], [1], 2)
    del packet.mine
    assert not hasattr(copy.copy(packet), "mine")


def test_a_subclass_may_take_other_arguments_and_be_a_mixin():
    class Named:
        def encode(self):
            return "mixed " + super().encode()

    class Own(Named, Packet):
        def __init__(self, name, *, data):
            super().__init__(data=[name, data])
            self.name = name

    class Text(Packet):
        uses_binary_events = False

    packet = Own("hello", data=1)
    assert packet.encode() == 'mixed 2["hello",1]'
    assert packet.name == "hello"
    assert Text(data=[b""], binary=True).packet_type == 2
    assert Text(data=[b""]).packet_type == 2


class Spaced:
    """A JSON module whose work can be told from others'."""

    @staticmethod
    def dumps(value, *, separators):
        assert separators == (",", ":")
        return " " + json.dumps(value)

    @staticmethod
    def loads(text):
        return json.loads(text, parse_int=str)


@pytest.mark.parametrize("cls", [Packet, MsgPackPacket, reference.Packet], ids=THREE)
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((2, [], "/", 1, False, None, 7), {}),
        ((2,), {"packet_type": 3}),
        ((), {"type": 2}),
        ((2,), {"dat\ud800": []}),
    ],
)
def test_wrong_arguments_are_refused(cls, args, kwargs):
    with pytest.raises((TypeError, UnicodeEncodeError)):
        cls(*args, **kwargs)


@pytest.mark.parametrize("base", [Packet, MsgPackPacket, reference.Packet], ids=THREE)
def test_whatever_makes_packets_may_be_replaced(base, monkeypatch):
    made = []

    class WithNew(base):
        def __new__(cls, *args, **kwargs):
            made.append("new")
            return super().__new__(cls)

    class Meta(type):
        def __call__(cls, *args, **kwargs):
            made.append("call")
            return super().__call__(*args, **kwargs)

    class WithMeta(base, metaclass=Meta):
        pass

    class Replaced(base):
        pass

    def init(self, *args, **kwargs):
        made.append("init")
        base.__init__(self, *args, **kwargs)

    assert Replaced(3, data=["a"]).packet_type == 3
    monkeypatch.setattr(Replaced, "__init__", init)
    for cls in (WithNew, WithMeta, Replaced):
        packet = cls(3, ["a"], id=4, namespace="/b")
        assert (packet.packet_type, packet.data, packet.namespace, packet.id) == (3, ["a"], "/b", 4)
    assert made == ["new", "call", "init"]


def test_other_bases_hear_of_subclasses():
    heard = []

    class Listening:
        def __init_subclass__(cls, **options):
            super().__init_subclass__()
            heard.append((cls.__name__, options))

    class Both(Packet, Listening, colour="red"):
        pass

    assert heard == [("Both", {"colour": "red"})]
    with pytest.raises(TypeError, match="no keyword arguments"):
        type("Alone", (Packet,), {}, colour="red")


@pytest.mark.parametrize("cls", [Packet, MsgPackPacket, reference.Packet], ids=THREE)
@pytest.mark.parametrize("name", ["packet_type", "data", "namespace", "id"])
def test_a_deleted_attribute_is_missing(cls, name):
    packet = cls(2, ["a"], "/b", 3)
    delattr(packet, name)
    with pytest.raises(AttributeError, match=name):
        getattr(packet, name)
    with pytest.raises(AttributeError, match=name):
        packet.encode()
    setattr(packet, name, 5 if name != "namespace" else "/b")
    packet.encode()


def test_json_modules_belong_to_classes():
    one, two, three = (type(name, (Packet,), {}) for name in ("One", "Two", "Three"))
    socketio.AsyncServer(serializer=one, json=Spaced)
    socketio.AsyncClient(serializer=two, json=json)
    socketio.Server(serializer=three)
    assert one(data=["a", 1]).encode() == '2 ["a", 1]'
    assert one(encoded_packet='23["a",1]').data == ["a", "1"]
    assert one(encoded_packet='23["a",1]').id == 3
    assert one(data=[b"a"]).encode() == ['51- [{"_placeholder": true, "num": 0}]', b"a"]
    assert two(data=["é"]).encode() == '2["\\u00e9"]'
    assert three(data=["é"]).encode() == Packet(data=["é"]).encode() == '2["é"]'
    assert Packet.json is three.json is own_json


def test_json_module_of_python_socketio_is_as_good_as_our_own():
    class There(Packet):
        json = engineio_json

    class Strict(StrictPacket):
        json = engineio_json

    assert There(data=["é", 1e-7]).encode() == Strict(data=["é", 1e-7]).encode() == '2["é",1e-7]'
    assert There(encoded_packet='2["é"]').data == ["é"]
    There.json = Spaced
    assert There(data=["a", 1]).encode() == '2 ["a", 1]'
    There.json = engineio_json
    assert There(data=["é"]).encode() == '2["é"]'


def test_own_json_module_serves_pubsub_managers():
    assert own_json.loads(own_json.dumps({"a": [1]}, separators=(",", ":"))) == {"a": [1]}
    assert own_json.loads("1" * 100) == int("1" * 100)
    with pytest.raises(ValueError, match="100"):
        own_json.loads("1" * 101)


def strict(text):
    packet = StrictPacket(encoded_packet=text)
    return packet.packet_type, packet.namespace, packet.id, packet.data


def test_strict_takes_packets():
    assert strict('2/n,7["a",1]') == (2, "/n", 7, ["a", 1])
    packet = StrictPacket(encoded_packet='51-["a",{"_placeholder":true,"num":0}]')
    assert packet.attachment_count == 1
    packet.add_attachment(b"b")
    assert packet.data == ["a", b"b"]
    assert packet.encode() == ['51-["a",{"_placeholder":true,"num":0}]', b"b"]
    assert StrictPacket(0, {"sid": "x"}, "/n").encode() == '0/n,{"sid":"x"}'


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('2["connect"]', PacketErrorKind.RESERVED_EVENT),
        ("2", PacketErrorKind.MISSING_EVENT_NAME),
        ("2{}", PacketErrorKind.INVALID_PAYLOAD),
        ("0[]", PacketErrorKind.INVALID_PAYLOAD),
        ("9[]", PacketErrorKind.UNKNOWN_PACKET_TYPE),
        ('511-["a"]', PacketErrorKind.TOO_MANY_ATTACHMENTS),
        ('51-["a",{"_placeholder":true,"num":1}]', PacketErrorKind.ILLEGAL_PLACEHOLDER),
        ('2["a",NaN]', PacketErrorKind.INVALID_JSON),
        ("2[" + "[" * 200 + "]" * 201, PacketErrorKind.TOO_DEEP),
        (b"2[]", PacketErrorKind.UNEXPECTED_BINARY),
    ],
)
def test_strict_refuses_what_the_codec_refuses(text, kind):
    with pytest.raises(PacketError) as raised:
        StrictPacket(encoded_packet=text)
    assert raised.value.kind == kind


@pytest.mark.parametrize("empty", ["", b""], ids=repr)
def test_only_strict_refuses_an_empty_message(empty):
    for cls in (Packet, MsgPackPacket, reference.Packet):
        packet = cls(encoded_packet=empty)
        assert (packet.packet_type, packet.data) == (2, None)
    for cls in (StrictPacket, StrictMsgPackPacket):
        with pytest.raises(PacketError):
            cls(encoded_packet=empty)
        assert cls(encoded_packet=None).packet_type == 2


def test_strict_refuses_to_send_what_is_refused_elsewhere():
    with pytest.raises(ReservedEventError):
        StrictPacket(data=["disconnect"]).encode()
    with pytest.raises(EncodeError):
        StrictPacket(data={"no": "list"}).encode()
    with pytest.raises(EncodeError):
        StrictPacket(data=["a"] + [b""] * 11).encode()


def test_strict_has_limits_and_json_of_its_class():
    class Small(StrictPacket):
        limits = Limits(max_depth=1)
        json = Spaced

    assert Small(data=["a"]).encode() == '2 ["a"]'
    assert Small(encoded_packet='2["a",1]').data == ["a", "1"]
    with pytest.raises(PacketError):
        Small(encoded_packet='2["a",[]]')
    with pytest.raises(EncodeError):
        Small(data=["a", []]).encode()


def test_msgpack_hooks_belong_to_classes():
    def default(value):
        return {"set": sorted(value)}

    class Named(MsgPackPacket):
        def _to_dict(self):
            return super()._to_dict() | {"name": "mine"}

    own = MsgPackPacket.configure(dumps_default=default, ext_hook=lambda code, data: (code, data))
    assert MsgPackPacket(encoded_packet=own(data=["x", {2, 1}], namespace="/").encode()).data == [
        "x",
        {"set": [1, 2]},
    ]
    encoded = MsgPackPacket(data=["x", msgpack.ExtType(7, b"a")], namespace="/").encode()
    assert own(encoded_packet=encoded).data == ["x", (7, b"a")]
    assert MsgPackPacket(encoded_packet=encoded).data == ["x", msgpack.ExtType(7, b"a")]
    assert MsgPackPacket.configure().ext_hook is msgpack.ExtType
    assert msgpack.unpackb(Named(data=["x"]).encode())["name"] == "mine"
    assert issubclass(own, MsgPackPacket)


def test_msgpack_hook_may_raise():
    encoded = MsgPackPacket(data=["x", msgpack.ExtType(7, b"a")], namespace="/").encode()
    with pytest.raises(ZeroDivisionError):
        MsgPackPacket.configure(ext_hook=lambda *_: 1 / 0)(encoded_packet=encoded)


def test_msgpack_without_the_library(monkeypatch):
    def refuse(name, *args, **kwargs):
        raise ImportError(name)

    monkeypatch.setattr("roomcast.compat.lenient.import_module", refuse)
    encoded = MsgPackPacket(data=["x", 1], namespace="/").encode()
    assert MsgPackPacket(encoded_packet=encoded).data == ["x", 1]
    with pytest.raises(MissingDependencyError, match="pip install msgpack"):
        MsgPackPacket(data=[{1}]).encode()
    with pytest.raises(MissingDependencyError, match="pip install msgpack"):
        MsgPackPacket(encoded_packet=b"\xc1")
    assert _default_hook() is Ext


def test_msgpack_packets_are_packets():
    packet = MsgPackPacket(3, [b"b"], "/n", 7)
    assert isinstance(packet, Packet)
    assert packet.packet_type == 3
    assert pickle.loads(pickle.dumps(packet)).encode() == packet.encode()


def test_strict_msgpack():
    packet = StrictMsgPackPacket(data=["x", b"b"])
    assert packet.encode() == MsgPackPacket(data=["x", b"b"], namespace="/").encode()
    assert StrictMsgPackPacket(encoded_packet=packet.encode()).data == ["x", b"b"]
    with pytest.raises(PacketError):
        StrictMsgPackPacket(encoded_packet=MsgPackPacket(data=["connect"], namespace="/").encode())
    with pytest.raises(ReservedEventError):
        StrictMsgPackPacket(data=["connect"]).encode()


def test_install_is_for_what_is_made_from_then_on():
    before = socketio.AsyncServer()
    compat.install()
    try:
        compat.install()
        assert Packet.json is engineio_json
        during = (
            socketio.AsyncServer(),
            socketio.Client(),
            socketio.Server(),
            socketio.AsyncClient(),
        )
    finally:
        compat.uninstall()
    after = socketio.AsyncServer()
    assert before.packet_class is after.packet_class is reference.Packet
    assert reference.Packet.__module__ == "socketio.packet"
    assert {made.packet_class for made in during} == {Packet}
    assert socketio.Server(serializer="msgpack").packet_class is msgpack_packet.MsgPackPacket
    compat.uninstall()
    assert Packet.json is own_json


def test_install_says_what_is_missing(monkeypatch):
    def refuse(name, *args, **kwargs):
        raise ImportError(name)

    monkeypatch.setattr("roomcast.compat.installing.import_module", refuse)
    with pytest.raises(MissingDependencyError, match="pip install"):
        compat.install()
    monkeypatch.undo()
    assert socketio.Server().packet_class is reference.Packet


@pytest.mark.parametrize(
    "wire",
    [
        # A key or a text that is not UTF-8, and behind it an extension that the hook refuses; a key that is no text.
        b"\x83\xa7data\xcb>z\xc7\x01\xff\x00\xa3nsp\xa1/\xa4type\x90",
        b"\x83\xa4type\xa3\xed\xa0\x80\xa4data\xd4\xa3\x00\xa3nsp\xa1/",
        b"\x81\x07\xd4\xa3\x00",
    ],
)
def test_of_two_mistakes_the_first_one_counts(wire):
    with pytest.raises(Exception) as theirs:  # noqa: PT011  whatever it is
        msgpack_packet.MsgPackPacket(encoded_packet=wire)
    with pytest.raises(theirs.type) as ours:
        MsgPackPacket(encoded_packet=wire)
    assert ours.type is theirs.type
