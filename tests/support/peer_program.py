"""A program that is a Socket.IO server for the tests of the client; ``tests/node/peer.js`` is the same with the reference.

It is told what to do by a JSON command per line on stdin, and answers each with one on stdout; the commands are explained there.
In every namespace a socket knows

    ====================  =====================================================================================
    echo                  emits the same back
    answer, later         acknowledges with its arguments; with the second one, after the milliseconds of the first
    mute                  logs, and never acknowledges
    note                  logs its arguments, and acknowledges with nothing
    store                 appends the second argument to the file of the first, and acknowledges with nothing
    ask                   emits its arguments with an acknowledgement, and logs that
    burst                 emits so many numbers
    volatile              emits its arguments volatile
    handshake             acknowledges with headers, query and auth
    leave, close          disconnects the socket; closes the connection
    ====================  =====================================================================================

``/guarded`` wants the token ``yes``, ``/early`` emits twice in its middleware, ``/slow`` takes its time.
"""

import asyncio
import json
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from roomcast import ConnectError, Namespace, Server
from roomcast.server import Socket
from support.reference import pack, unpack

Command = dict[str, Any]


class Peer:
    """One server."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.io = Server(**options)
        self.log: list[list[Any]] = []
        self.listening: Any = None
        for name in ("/", "/chat", "/late", "/guarded", "/early", "/slow"):
            self.serve(self.io.of(name))

        @self.io.of("/guarded").use
        def guard(socket: Socket) -> None:
            if socket.handshake.auth.get("token") != "yes":
                raise ConnectError("no entry", {"wanted": "token"})

        @self.io.of("/early").use
        async def greet(socket: Socket) -> None:
            socket.emit("early", 1)
            socket.emit("early", 2)
            await asyncio.sleep(0.02)

        @self.io.of("/slow").use
        async def wait(socket: Socket) -> None:
            await asyncio.sleep(0.1)

    def serve(self, nsp: Namespace) -> None:
        log = self.log

        @nsp.on("connection")
        def connection(socket: Socket) -> None:
            log.append(["connection", nsp.name, dict(socket.handshake.auth), socket.recovered])

        @nsp.event
        def disconnect(socket: Socket, reason: str) -> None:
            log.append(["disconnect", nsp.name, reason])

        @nsp.event
        def echo(socket: Socket, *args: Any) -> None:
            socket.emit("echo", *args)

        @nsp.event
        def answer(socket: Socket, *args: Any) -> tuple[Any, ...]:
            return args

        @nsp.event
        async def later(socket: Socket, milliseconds: float, value: Any) -> Any:
            await asyncio.sleep(milliseconds / 1_000)
            return value

        @nsp.event
        async def mute(socket: Socket, *args: Any) -> None:
            log.append(["mute"])
            await asyncio.Event().wait()

        @nsp.event
        def note(socket: Socket, *args: Any) -> None:
            log.append(["note", *args])

        @nsp.event
        def ask(socket: Socket, *args: Any) -> None:
            socket.emit(*args, ack=lambda *answer: log.append(["answer", *answer]))

        @nsp.event
        def burst(socket: Socket, count: int) -> None:
            for number in range(count):
                socket.emit("number", number)

        self.serve_more(nsp)

    def serve_more(self, nsp: Namespace) -> None:
        @nsp.event("volatile")
        def emit_volatile(socket: Socket, *args: Any) -> None:
            socket.volatile.emit(*args)

        @nsp.event
        def store(socket: Socket, path: str, value: Any) -> None:
            with Path(path).open("a") as file:
                file.write(json.dumps(value) + "\n")

        @nsp.event
        def handshake(socket: Socket) -> dict[str, Any]:
            found = socket.handshake
            return {
                "headers": dict(found.headers),
                "query": dict(found.query),
                "auth": dict(found.auth),
            }

        @nsp.event
        def leave(socket: Socket) -> None:
            socket.disconnect()

        @nsp.event
        def close(socket: Socket) -> None:
            socket.conn.close()


class Program:
    def __init__(self) -> None:
        self.peers: list[Peer] = []

    async def start(self, command: Command) -> Any:
        peer = Peer(command["options"])
        peer.listening = await peer.io.listen(command["port"])
        self.peers.append(peer)
        return {"server": len(self.peers) - 1, "port": peer.listening.port}

    async def log(self, command: Command) -> Any:
        log = self.peers[command["server"]].log
        entries, log[:] = log[:], []
        return [pack(entry) for entry in entries]

    async def emit(self, command: Command) -> None:
        nsp = self.peers[command["server"]].io.of(command["nsp"])
        (nsp.volatile if command["volatile"] else nsp).emit(*map(unpack, command["args"]))

    async def drop(self, command: Command) -> None:
        self._drop(self.peers[command["server"]])

    async def stop(self, command: Command) -> None:
        peer = self.peers[command["server"]]
        self._drop(peer)
        await peer.io.close(timeout=0)

    def _drop(self, peer: Peer) -> None:
        # Lines in the midst of a request are the HTTP server's, those of WebSockets are the connections' own.
        for connection in list(peer.io.engine.connections.values()):
            connection.close(discard=True)
        for protocol in list(peer.listening._server.server_state.connections):
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()


async def main() -> None:
    program = Program()
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        try:
            answer = await getattr(program, command["op"])(command)
        except Exception:  # noqa: BLE001  for the test
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
