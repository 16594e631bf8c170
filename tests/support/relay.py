"""A TCP relay that breaks: it ends lines, at a byte if wanted, holds them up, or refuses new ones."""

import asyncio
import re
from typing import Final, Literal, NamedTuple, Self

__all__ = ["Relay", "Request"]

Direction = Literal["up", "down"]

HEAD: Final = re.compile(rb"(GET|POST) (\S+) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n")


class Request(NamedTuple):
    """A request of a client.

    Attributes:
        method: Its method.
        target: Path and query.
        headers: Its headers, by names in lower case.
    """

    method: str
    target: str
    headers: dict[str, str]


class _Line(asyncio.Protocol):
    """One end of a line through the relay."""

    def __init__(self, relay: "Relay", direction: Direction) -> None:
        self.relay = relay
        self.direction: Direction = direction
        self.other: _Line | None = None
        self.transport: asyncio.Transport | None = None
        self.waiting = bytearray()
        self.seen = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.relay.lines.add(self)
        if self.direction == "up":
            self.relay.accept(self)
        else:
            self.flush()

    def data_received(self, data: bytes) -> None:
        self.relay.traffic[self.direction] += data
        self.seen += data
        self.relay.pass_on(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.relay.lines.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def flush(self) -> None:
        if self.transport is not None and self.waiting:
            self.transport.write(bytes(self.waiting))
            self.waiting.clear()

    def abort(self) -> None:
        for line in (self, self.other):
            if line is not None and line.transport is not None:
                line.transport.abort()


class Relay:
    """Listens on a port of its own, and relays each connection to a server.

    Attributes:
        port: The port.
        target: The port of the server; may be changed for connections to come.
        refusing: Whether new connections are ended at once.
        ban: What a client must not say: a line on which it does is ended.
        traffic: What clients have sent (``up``) and servers (``down``), over all connections.
        connections: How many connections there were.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target
        self.refusing = False
        self.ban: bytes | None = None
        self.traffic: dict[Direction, bytearray] = {"up": bytearray(), "down": bytearray()}
        self.connections = 0
        self.lines: set[_Line] = set()
        self._held = False
        self._cuts: dict[Direction, int] = {}
        self._dialling: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """What clients have asked for so far."""
        found = []
        for method, target, lines in HEAD.findall(bytes(self.traffic["up"])):
            pairs = [line.split(": ", 1) for line in lines.decode("latin-1").split("\r\n") if line]
            headers = {name.lower(): value for name, value in pairs}
            found.append(Request(method.decode(), target.decode(), headers))
        return found

    @property
    def cutting(self) -> bool:
        """Whether a line is still to be cut."""
        return bool(self._cuts)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Line(self, "up"), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        self.cut()
        for task in list(self._dialling):
            task.cancel()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """End every line at once."""
        for line in list(self.lines):
            line.abort()

    def cut_after(self, direction: Direction, count: int) -> None:
        """End the next line on which something goes in a direction, after so many more bytes that way."""
        self._cuts[direction] = count

    def hold(self) -> None:
        """Let nothing through any more, in either direction; nothing is read either, so that senders notice."""
        self._held = True
        for line in self.lines:
            if line.transport is not None:
                line.transport.pause_reading()

    def release(self) -> None:
        """Let everything through that was held up, and what follows."""
        self._held = False
        for line in list(self.lines):
            line.flush()
            if line.transport is not None:
                line.transport.resume_reading()

    # What lines call.

    def accept(self, line: _Line) -> None:
        self.connections += 1
        if self.refusing:
            line.abort()
            return
        if self._held and line.transport is not None:
            line.transport.pause_reading()
        line.other = _Line(self, "down")
        line.other.other = line
        task = asyncio.ensure_future(self._dial(line, line.other))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, line: _Line, other: _Line) -> None:
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: other, "127.0.0.1", self.target
            )
        except OSError:
            line.abort()
        if line.transport is None:
            other.abort()

    def pass_on(self, line: _Line, data: bytes) -> None:
        other = line.other
        if other is None:
            return
        if self.ban is not None and self.ban in data:
            line.abort()
            return
        left = self._cuts.get(line.direction)
        if left is None:
            other.waiting += data
            if not self._held:
                other.flush()
            return
        other.waiting += data[:left]
        other.flush()
        if len(data) >= left:
            del self._cuts[line.direction]
            # What was passed on arrives, then the line ends.
            if other.transport is not None:
                other.transport.close()
            if line.transport is not None:
                line.transport.abort()
        else:
            self._cuts[line.direction] = left - len(data)
