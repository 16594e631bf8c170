"""A balancer that knows nothing: each connection goes to the next server in turn, or to the one behind it where that one is gone."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Balancer", "balancing"]


class Balancer:
    """It belongs to the loop of its own thread.

    Attributes:
        ports: The servers.
        port: Its own port.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = list(ports)
        self.port = 0
        self.lines: set[asyncio.StreamWriter] = set()
        self._turn = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        self.lines.add(writer)
        self._turn += 1
        first = self._turn % len(self.ports)
        for port in (*self.ports[first:], *self.ports[:first]):
            try:
                far = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            self.lines.add(far[1])
            try:
                await asyncio.gather(pump(reader, far[1]), pump(far[0], writer))
            except asyncio.CancelledError:
                return  # the end of the test; asyncio would log it
            for line in (writer, far[1]):
                line.close()
                self.lines.discard(line)
            return
        writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def end(balancer: Balancer, server: asyncio.Server) -> None:
    """Cancel what runs, and close its connections, whatever waits in them."""
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for line in balancer.lines:
        line.transport.abort()
    await asyncio.sleep(0.01)


@contextmanager
def balancing(*ports: int) -> Iterator[Balancer]:
    """Balance between servers of this host until the end of the block."""
    balancer = Balancer(ports)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(balancer.serve, "127.0.0.1", 0))
    balancer.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield balancer
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(end(balancer, server))
        loop.close()
