"""What the checkers make of programs that use the server; they read this file, and pytest runs nothing in it."""

from collections.abc import Awaitable, Mapping
from typing import Any, assert_type

from roomcast import (
    BroadcastOperator,
    ConnectError,
    ConnectionStateRecovery,
    Handshake,
    Limits,
    Namespace,
    RecoveryFailure,
    Server,
    Socket,
    SocketOperator,
)
from roomcast.asgi import ASGIApp
from roomcast.engine import Connection
from roomcast.serving import Listening

io = Server(ping_interval=25.0, limits=Limits(max_depth=10), default=str)
Server(per_message_deflate=True)
Server(per_message_deflate={"threshold": 512, "client_no_context_takeover": False})
Server(connection_state_recovery=True)
Server(connection_state_recovery={"max_packets": 1})
Server(connection_state_recovery=ConnectionStateRecovery(max_disconnection_duration=5))
assert_type(io.of("/chat"), Namespace)
assert_type(io.asgi(), ASGIApp)
assert_type(io.sockets, dict[str, Socket])


@io.on("connection")
async def connection(socket: Socket) -> None:
    assert_type(socket.id, str)
    assert_type(socket.rooms, set[str])
    assert_type(socket.connected, bool)
    assert_type(socket.recovered, bool)
    assert_type(socket.recovery_failure, RecoveryFailure | None)
    assert_type(socket.data, dict[str, Any])
    assert_type(socket.handshake, Handshake)
    assert_type(socket.handshake.auth, Mapping[str, Any])
    assert_type(socket.conn, Connection)
    assert_type(socket.broadcast, BroadcastOperator)
    assert_type(socket.to("a", ["b"]).except_("c").all_of("d"), BroadcastOperator)
    assert_type(socket.timeout(5), SocketOperator)
    assert_type(socket.compress(False).timeout(5).compress(True), SocketOperator)
    assert_type(socket.to("a").compress(False), BroadcastOperator)
    assert_type(io.compress(False), BroadcastOperator)
    assert_type(socket.emit("x", 1, {"a": b""}), Awaitable[None])
    socket.emit("an ignored result is fine")
    socket.join("a")
    socket.leave("a")
    await socket.emit("x", ack=print)
    assert_type(await socket.emit_with_ack("x"), Any)
    assert_type(await socket.timeout(5).emit_with_ack("x"), Any)
    assert_type(socket.on("x", print), Socket)
    socket.disconnect(close=True)


@io.use
async def check(socket: Socket) -> None:
    raise ConnectError("no", {"code": 1})


@io.event
def chat(socket: Socket, text: str) -> int:
    return len(text)


@io.event("chat message")
async def chat_message(socket: Socket, text: str) -> tuple[int, str]:
    return 1, text


@io.on_error
def report(error: BaseException, socket: Socket | None, event: str) -> None: ...


async def main() -> None:
    # Decorators give back what they got.
    assert_type(chat(next(iter(io.sockets.values())), "x"), int)
    assert_type(await io.to("a").timeout(5).emit_with_ack("x"), list[Any])
    assert_type(io.in_("a").emit("x"), Awaitable[None])
    assert_type(await io.listen(0), Listening)
    assert_type((await io.listen(0)).port, int)
    await io.close()


def mistakes() -> None:
    _ = io.unknown  # type: ignore[attr-defined]
    Server(pingInterval=1)  # type: ignore[call-arg]
