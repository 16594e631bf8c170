"""What the checkers make of tests that use the test kit; they read this file, and pytest runs nothing in it."""

from collections.abc import Awaitable
from typing import Any, assert_type

from roomcast import Server, testing
from roomcast.testing import Clock, Connect, Direction, Line, Manager, Socket, SocketOperator

io = Server()


async def with_fixtures(connect: Connect, clock: Clock) -> None:
    ada = await connect(io, "/admin", auth={"token": 1}, transports=("polling", "websocket"))
    assert_type(ada, Socket)
    await clock.advance(25)
    await clock.settle()
    assert_type(clock.time(), float)
    clock.jumps = False


async def with_contexts() -> None:
    async with testing.connect(io.asgi(), auth=lambda: {"token": 1}) as ada:
        assert_type(ada, Socket)
        assert_type(ada.id, str | None)
        assert_type(ada.received, list[tuple[Any, ...]])
        assert_type(ada.emit("x", 1, b""), Awaitable[None])
        assert_type(await ada.emit_with_ack("x"), Any)
        assert_type(ada.timeout(5), SocketOperator)
        assert_type(await ada.timeout(5).emit_with_ack("x"), Any)
        assert_type(ada.volatile.compress(False).emit("x"), Awaitable[None])
        assert_type(await ada.wait_for("x", timeout=1), Any)
        assert_type(ada.on("x", print), Socket)
        assert_type(ada.line, Line)
        assert_type(ada.line.incoming, Direction)
        async for event, *args in ada:
            assert_type(event, Any)
            assert_type(args, list[Any])
        await ada.disconnect()
        ada.disconnect()
    async with Manager(io, query={"a": "b"}) as manager:
        assert_type(manager.socket("/chat"), Socket)
        async with manager.socket("/admin", auth={"token": 1}) as admin:
            assert_type(admin, Socket)


async def returns_one() -> int:
    return 1


assert_type(testing.run(returns_one()), int)


def mistakes() -> None:
    testing.connect("http://127.0.0.1:3000")  # type: ignore[arg-type]
    testing.connect(io, transport="polling")  # type: ignore[call-arg]
    testing.connect(io, transports="webtransport")  # type: ignore[arg-type]
