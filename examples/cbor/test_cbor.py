"""The example with both ends on real sockets: text, binary, acknowledgements, namespaces; and what a peer must not send."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import cbor
import cbor2
import cbor_client
import pytest
from cbor_server import make_server

from roomcast import EncodeError, Manager, connect
from roomcast.codec import Packet, PacketType

TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
async def url() -> Any:
    io = make_server()
    listening = await io.listen(0)
    yield f"http://127.0.0.1:{listening.port}"
    await io.close()


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_texts_bytes_and_acknowledgements(url: str, transports: Any) -> None:
    async with (
        connect(url, parser=cbor, transports=transports) as ada,
        connect(url, parser=cbor, transports=transports) as bob,
    ):
        welcome: Any = await ada.wait_for("welcome", timeout=5)
        assert isinstance(welcome["now"], datetime)
        assert welcome["picture"] == b"\x89PNG"
        assert welcome["rooms"] == {"lobby"}
        answer = await ada.timeout(5).emit_with_ack("later", WHEN, 7)
        assert answer == datetime(2026, 2, 7, 12, tzinfo=UTC)
        ada.emit("upload", "é.bin", b"\x00" * 70_000)
        assert await bob.wait_for("uploaded", timeout=5) == ("é.bin", b"\x00" * 70_000)


async def test_namespaces_share_a_connection(url: str) -> None:
    async with Manager(url, parser=cbor) as manager:
        root, admin = manager.socket("/"), manager.socket("/admin")
        await root.wait_for("welcome", timeout=5)
        values = (2**70, Decimal("1.10"), {"a", "b"}, [None, {"deep": b"x"}], "漢")
        assert await admin.timeout(5).emit_with_ack("echo", *values) == values
        with pytest.raises(EncodeError):
            root.emit("echo", object())


async def test_the_client_talks_to_the_server(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    await cbor_client.main(url)
    said = capsys.readouterr().out
    assert said.startswith("welcome: {'now': datetime.datetime(")
    assert "in a week: " in said


ROOT = [2, "/", None, ["say", "x"]]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        cbor2.dumps(ROOT)[:-1],
        cbor2.dumps(ROOT) + b"\x00",
        cbor2.dumps([*ROOT, 1]),
        cbor2.dumps([9, *ROOT[1:]]),
        cbor2.dumps({"type": 2}),
        b"\x84\x02\x61/\xf6\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x84\x02\x61/\xf6" + b"\x81" * 200 + b"\x01",
        b"\x84\x02\x61/\xf6\xd8\x1c\x82\x63say\xd8\x1d\x00",
        b"\x84\x02\x61/\xf6\x82\x63say\xa1\x01\x01",
        "text",
    ],
)
async def test_what_is_no_packet_closes_the_connection(url: str, message: str | bytes) -> None:
    class Lying(cbor.Encoder):
        def encode(self, packet: Packet) -> list[str | bytes]:
            is_event = packet.type is PacketType.EVENT
            return [message] if is_event else super().encode(packet)

    parser: Any = SimpleNamespace(Encoder=Lying, Decoder=cbor.Decoder)
    options: Any = {"transports": "websocket", "reconnection": False}
    async with connect(url, parser=parser, **options) as socket:
        socket.emit("say", "x")
        assert await socket.wait_for("disconnect", timeout=5) == "transport close"
