"""One roomcast server of the cluster: python worker.py PORT BROKER_URL PAGE_URL.

It has what ``server.js`` beside it has: whichever server a client is at, all hear what it says.
"""

import asyncio
import contextlib
import sys

from roomcast import AckTimeoutError, RedisAdapter, Server, Socket

PORT, BROKER, PAGE = sys.argv[1:]
NAME = f"roomcast, port {PORT}"
ASK_SECONDS = 2.0
MAX_TEXT = 200

io = Server(adapter=RedisAdapter(BROKER), cors=PAGE)


@io.event
def say(socket: Socket, text: str) -> None:
    """Tell everybody, at whatever server they are."""
    io.emit("said", str(text)[:MAX_TEXT], NAME)


@io.event
async def ask(socket: Socket) -> list[str]:
    """Ask every client of the cluster for an answer; return those that came in time."""
    try:
        answers = await io.timeout(ASK_SECONDS).emit_with_ack("who")
    except AckTimeoutError as error:
        answers = error.responses
    return sorted(map(str, answers))


@io.event
async def count(socket: Socket) -> tuple[int, int]:
    """Return how many servers and how many clients the cluster has."""
    return await io.adapter.server_count(), len(await io.fetch_sockets())


async def main() -> None:
    """Serve until the program is interrupted."""
    listening = await io.listen(int(PORT))
    print(NAME, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await io.close()
        await listening.wait_closed()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
