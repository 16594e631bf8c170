"""A TCP relay that keeps what a server sends, to see on the wire what a client of another library does not show."""

import asyncio
from types import TracebackType
from typing import Self

__all__ = ["Tap"]


class Tap:
    """Listens on a port of its own, and relays each connection to a server.

    Attributes:
        port: The port.
        sent: What the clients have sent, connection by connection.
        received: What the server has.
    """

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self.sent: list[bytearray] = []
        self.received: list[bytearray] = []
        self._server_port = server_port
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self.sent.append(bytearray())
        self.received.append(bytearray())
        for source, target, kept in (
            (reader, server_writer, self.sent[-1]),
            (server_reader, writer, self.received[-1]),
        ):
            task = asyncio.ensure_future(_copy(source, target, kept))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _copy(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, kept: bytearray
) -> None:
    try:
        while data := await source.read(65_536):
            kept += data
            target.write(data)
    except ConnectionError:
        pass
    finally:
        target.close()
