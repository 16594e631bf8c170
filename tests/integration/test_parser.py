"""Other wire formats: MessagePack with official clients and servers, and a parser of a program's own, on real sockets."""

import json
from base64 import b64decode, b64encode

import pytest

import roomcast.msgpack
from roomcast import EncodeError, PacketType, ReservedEventError, Server, connect
from roomcast.codec import Packet
from support.official_client import OfficialClients
from support.programs import node

NODE = """
const { Server } = require("socket.io");
const io = new Server(0, { parser: require("socket.io-msgpack-parser") });
io.on("connection", (socket) => {
  socket.emit("welcome", { bytes: Buffer.from([0, 1]) });
  socket.on("echo", (...args) => args.at(-1)(...args.slice(0, -1)));
});
io.httpServer.on("listening", () => console.log(`http://127.0.0.1:${io.httpServer.address().port}`));
"""

TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]


class Encoder:
    """A packet as one text of JSON, whatever is in it."""

    def encode(self, packet: Packet) -> list[str | bytes]:
        return [json.dumps([packet.type, packet.nsp, packet.id, packet.data], default=self._bytes)]

    def _bytes(self, value: object) -> object:
        if isinstance(value, bytes):
            return {"$bytes": b64encode(value).decode()}
        raise TypeError(type(value).__name__)


class Decoder:
    """Reads what `Encoder` writes."""

    def feed(self, data: str | bytes) -> Packet:
        kind, nsp, id, content = json.loads(data, object_hook=self._object)
        return Packet(kind, content, nsp, id)

    def close(self) -> None:
        pass

    def _object(self, value: dict) -> object:
        return b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value


class OwnParser:
    Encoder = Encoder
    Decoder = Decoder


def serve(parser: object) -> Server:
    io = Server(parser=parser)

    @io.on("connection")
    def connection(socket):
        socket.emit("welcome", {"bytes": b"\x00\x01"})
        socket.on("echo", lambda *args: args)
        socket.on("all", lambda value: io.emit("all", value) and None)

    return io


@pytest.mark.parametrize("parser", [roomcast.msgpack, OwnParser, OwnParser()])
@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_both_ends_are_ours(parser, transports):
    io = serve(parser)
    listening = await io.listen(0)
    url = f"http://127.0.0.1:{listening.port}"
    try:
        async with connect(url, parser=parser, transports=transports) as socket:
            assert await socket.wait_for("welcome", timeout=5) == {"bytes": b"\x00\x01"}
            assert await socket.emit_with_ack("echo", 1, "é", [b"x" * 70_000]) == (
                1,
                "é",
                [b"x" * 70_000],
            )
            async with connect(url, parser=parser, transports=transports) as other:
                other.emit("all", {"n": 2**40})
                assert await socket.wait_for("all", timeout=5) == {"n": 2**40}
            with pytest.raises(ReservedEventError):
                socket.emit("connect")
    finally:
        await io.close()


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_messagepack_of_our_client_on_the_official_server(transports):
    with node(NODE) as program:
        async with connect(program.url, parser=roomcast.msgpack, transports=transports) as socket:
            assert await socket.wait_for("welcome", timeout=5) == {"bytes": b"\x00\x01"}
            assert await socket.emit_with_ack("echo", 1, "é", [b"x" * 70_000]) == (
                1,
                "é",
                [b"x" * 70_000],
            )


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_messagepack_of_the_official_client_on_our_server(transports):
    io = serve(roomcast.msgpack)
    listening = await io.listen(0)
    try:
        async with OfficialClients() as clients:
            clients.reset(f"http://127.0.0.1:{listening.port}")
            client = clients.open(transports=transports, parser="socket.io-msgpack-parser")
            assert await client.next("welcome") == [{"bytes": b"\x00\x01"}]
            assert await client.ask("echo", 1, "é", [b"abc"]) == [1, "é", [b"abc"]]
            client.emit("all", {"n": 2**40})
            assert await client.next("all") == [{"n": 2**40}]
            clients.reset("")
    finally:
        await io.close()


@pytest.mark.parametrize(
    "packet",
    [
        Packet(PacketType.EVENT, ["connect"]),
        Packet(PacketType.EVENT, []),
        Packet(PacketType.EVENT, {"a": 1}),
        Packet(PacketType.ACK, [1]),
        Packet(PacketType.CONNECT, [1]),
        None,
    ],
)
async def test_what_a_parser_makes_is_held_to_the_protocol(packet):
    class Lying(Decoder):
        def feed(self, data):
            read = super().feed(data)
            if read.type is PacketType.EVENT and read.data == ["lie"]:
                if packet is None:
                    raise RuntimeError
                return packet
            return read

    class Parser:
        pass

    Parser.Encoder, Parser.Decoder = Encoder, Lying
    io = serve(Parser)
    listening = await io.listen(0)
    try:
        url = f"http://127.0.0.1:{listening.port}"
        async with connect(
            url, parser=OwnParser, transports="websocket", reconnection=False
        ) as socket:
            socket.emit("lie")
            assert await socket.wait_for("disconnect", timeout=5) == "transport close"
    finally:
        await io.close()


async def test_mistakes_are_errors_at_the_call():
    with pytest.raises(TypeError, match="must have an Encoder and a Decoder"):
        Server(parser=object())
    io = serve(OwnParser)
    with pytest.raises(EncodeError, match="the parser cannot encode it: set"):
        io.emit("e", {1})
