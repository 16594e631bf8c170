"""A way to the broker that freezes: lines stay open, and nothing passes or is answered, as behind a firewall that has forgotten them."""

import asyncio
import contextlib
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """A TCP proxy on a free port."""

    port: int
    server: asyncio.Server

    def __init__(self, target: int) -> None:
        self.target = target
        self.frozen = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """Let nothing pass any more: what is sent on lines that exist is lost for ever, new lines hang."""
        self.frozen = True

    def thaw(self) -> None:
        """Let new lines pass; those that were frozen stay dead."""
        self.frozen = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        try:
            if self.frozen:
                await reader.read()
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
            finally:
                far_writer.close()
        except asyncio.CancelledError:
            return  # the end of the test; asyncio would log it
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dead = False
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                dead |= self.frozen
                if not dead:
                    writer.write(data)
                    await writer.drain()
        if not dead:
            writer.close()
