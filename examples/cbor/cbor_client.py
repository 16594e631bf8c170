"""A client whose packets are CBOR: python examples/cbor/cbor_client.py [URL]."""

import asyncio
import sys
from datetime import UTC, datetime

import cbor

import roomcast


async def main(url: str) -> None:
    """Hear the greeting, and ask what date it is in a week."""
    async with roomcast.connect(url, parser=cbor) as socket:
        print("welcome:", await socket.wait_for("welcome"))
        later = await socket.timeout(5).emit_with_ack("later", datetime.now(UTC), 7)
        print("in a week:", later)
        socket.emit("upload", "hello.txt", b"hello")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["http://127.0.0.1:3000"]))
