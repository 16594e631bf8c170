"""A server that floods one client with small events: python benches/load/peers/flood.py. It prints its port.

It speaks just enough of the protocol, and sends ready-made blocks of frames, so that the client is what takes time. Each `go` gets
so many events as it asks for.
"""

import asyncio
import json
import struct
from base64 import b64encode
from hashlib import sha1
from typing import Final

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BLOCK: Final = 500
"""Events in a block; some 24 kB."""

OPEN: Final = (
    b'0{"sid":"flood","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
)
EVENT: Final = b'42["b","' + b"x" * 32 + b'"]'


def frame(text: bytes) -> bytes:
    head = (
        bytes((0x81, len(text))) if len(text) < 126 else struct.pack("!BBH", 0x81, 126, len(text))
    )
    return head + text


def unmask(data: bytes) -> tuple[bytes, bytes]:
    """Return the payload of the first frame, which is short, and what follows it."""
    length = data[1] & 0x7F
    mask, payload = data[2:6], data[6 : 6 + length]
    return bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload)), data[6 + length :]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await talk(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()  # whoever looks whether it listens asks nothing, and clients leave in the middle of a flood


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    block = frame(EVENT) * BLOCK
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    key = next(line[18:].strip() for line in head if line.lower().startswith(b"sec-websocket-key:"))
    accept = b64encode(sha1(key + GUID, usedforsecurity=False).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + frame(OPEN)
    )
    data = b""
    while more := await reader.read(65_536):
        data += more
        while len(data) > 5 and len(data) >= 6 + (data[1] & 0x7F):
            if data[0] == 0x88:
                writer.close()
                return
            text, data = unmask(data)
            if text.startswith(b"40"):
                writer.write(frame(b'40{"sid":"flooded"}'))
            elif text.startswith(b"42"):
                _, count = json.loads(text[2:])
                for _ in range(count // BLOCK):
                    writer.write(block)
                    await writer.drain()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
