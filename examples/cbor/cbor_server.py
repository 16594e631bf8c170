"""A server whose packets are CBOR: python examples/cbor/cbor_server.py, and then cbor_client.py beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import cbor

from roomcast import Server, Socket


def make_server() -> Server:
    """Return the server, for `main` and for tests."""
    io = Server(parser=cbor)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        """Greet with what JSON has no form for."""
        socket.emit(
            "welcome", {"now": datetime.now(UTC), "picture": b"\x89PNG", "rooms": {"lobby"}}
        )

    @io.event
    def later(socket: Socket, when: datetime, days: int) -> datetime:
        """Answer by an acknowledgement."""
        return when + timedelta(days=days)

    @io.event
    def upload(socket: Socket, name: str, content: bytes) -> None:
        """Tell everybody else of a file."""
        socket.broadcast.emit("uploaded", name, content)

    @io.of("/admin").on("connection")
    def admin(socket: Socket) -> None:
        """Let what comes on another namespace go back as it is."""

        def echo(*args: Any) -> Any:
            return args

        socket.on("echo", echo)

    return io


if __name__ == "__main__":
    make_server().run(3000)
