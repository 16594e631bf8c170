"""The official client for Java, where that is there: `tests/java`."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from roomcast import ConnectError, Namespace, Server, Socket

JAVA: Final = Path(__file__).parents[1] / "java"
JARS: Final = os.environ.get("ROOMCAST_JAVA")

CHECKS: Final = 16

pytestmark = [
    pytest.mark.skipif(
        JARS is None or shutil.which("javac") is None,
        reason="no client for Java: ROOMCAST_JAVA=/path/to/jars",
    ),
    pytest.mark.timeout(120),
]


def serve(nsp: Namespace) -> None:
    """Do what the client checks."""

    @nsp.use
    def refuse(socket: Socket) -> None:
        if socket.handshake.auth.get("no"):
            raise ConnectError("not you", data={"code": 7})

    @nsp.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("auth", socket.handshake.auth)
        socket.on("echo", lambda *args: socket.emit("echo", *args))
        socket.on("echo_ack", lambda *args: args)
        socket.on("join", socket.join)
        socket.on("to_room", lambda room, *args: nsp.to(room).emit("room", *args))
        socket.on("kick", socket.disconnect)

        @socket.on("abort")
        def abort() -> None:
            transport: Any = socket.conn.transport  # of now: an upgrade brings another one
            transport.abort()

        @socket.on("silent")
        async def silent() -> None:
            await asyncio.sleep(5)

        @socket.on("ask_me")
        async def ask_me(question: Any) -> None:
            socket.emit("answer", await socket.timeout(5).emit_with_ack("question", question))

        @socket.on("many")
        def many(count: int) -> None:
            for number in range(count):
                socket.emit("number", number, b"x" * (number % 50))


async def run(*command: str | Path) -> tuple[int | None, str]:
    """Run a program; return how it ended and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.parametrize("namespace", ["/", "/chat"])
@pytest.mark.parametrize("transports", ["polling,websocket", "websocket", "polling"])
async def test_official_client_for_java(tmp_path: Path, transports: str, namespace: str) -> None:
    jars = f"{JARS}/*"
    code, out = await run("javac", "-cp", jars, "-d", tmp_path, JAVA / "Client.java")
    assert code == 0, out
    io = Server(ping_interval=0.8, ping_timeout=1.5)
    serve(io)
    serve(io.of("/chat"))
    listening = await io.listen(0)
    try:
        url = f"http://127.0.0.1:{listening.port}"
        code, out = await run(
            "java", "-cp", f"{tmp_path}:{jars}", "Client", url, transports, namespace
        )
    finally:
        await io.close()
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert (code, len(lines)) == (0, CHECKS)
