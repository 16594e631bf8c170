"""Polling: one GET that the server holds until it has something, one POST at a time for what waits.

Source:
    engine.io-client, ``lib/transports/polling.ts``.
"""

import asyncio
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Final

from roomcast._core import Outbox, decode_payload
from roomcast.client.options import Options
from roomcast.client.proxies import Proxy, find_proxy
from roomcast.client.requests import Requests
from roomcast.client.tls import context_of
from roomcast.client.transport import LINGER, Details, Receiver
from roomcast.errors import MissingDependencyError, TransportError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Polling", "import_aiohttp"]

OK: Final = 200
CLOSE: Final = "1"
NOOP: Final = "6"
CONTENT_TYPE: Final = "text/plain;charset=UTF-8"

MAX_CONTEXT: Final = 4_096
"""Bytes of a refusal's body that an error keeps."""

KEEP_ALIVE: Final = 4.0
"""Seconds for which a line without a request is kept. Node.js and uvicorn close theirs after 5, perhaps while a POST is on its way."""

UNLIMITED: Final = 2**62
"""The size of a POST where the server names none."""


def import_aiohttp() -> ModuleType:
    """Return aiohttp.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import aiohttp  # noqa: PLC0415  only who polls needs it
    except ImportError as error:
        raise MissingDependencyError(
            'polling needs aiohttp: pip install "roomcast[client]"; or connect with transports="websocket"'
        ) from error
    return aiohttp


class Polling:
    """Polling. It belongs to one event loop."""

    name: ClassVar[str] = "polling"

    def __init__(self, requests: Requests, options: Options, receiver: Receiver) -> None:
        """Take where it goes to.

        Args:
            requests: Paths and headers.
            options: The options.
            receiver: Gets what arrives.
        """
        self._aiohttp = import_aiohttp()
        self._requests = requests
        self._options = options
        self._receiver = receiver
        self._session: aiohttp.ClientSession | None = None
        self._proxy: Proxy | None = None
        self._outbox: Outbox | None = None
        self._sid: str | None = None
        self._max_payload = UNLIMITED
        self._polling: asyncio.Task[None] | None = None
        self._posting: asyncio.Task[None] | None = None
        self._paused = False
        self._stopped = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left of it."""
        return self._session is None

    async def open(self) -> None:
        """Ask for a session; the packet that opens it goes to the receiver.

        Raises:
            TransportError: If there is none.
        """
        aiohttp, options = self._aiohttp, self._options
        address = self._requests.address
        try:
            self._proxy = find_proxy(address, options)
        except ValueError as error:
            raise TransportError("xhr poll error", error) from error
        session = self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context_of(options.ssl) if address.secure else True,
                limit=0,
                keepalive_timeout=KEEP_ALIVE,
                local_addr=None if options.local_address is None else (options.local_address, 0),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=options.of(self.name, "request_timeout")),
        )
        # aiohttp would repeat a GET whose answer was lost with its line, and with it the packets in it, and nobody would know.
        session._retry_connection = False  # noqa: SLF001
        try:
            packets = decode_payload(await self._request("GET"))
            if not isinstance(packets[0], str) or packets[0][:1] != "0":
                raise TransportError("xhr poll error", OK, _shown(packets[0]))
            self._deliver(packets)
        except BaseException:
            self._stopped = True
            await self._end_session()
            raise

    def start(self, sid: str, max_payload: int) -> None:
        """Poll from now on.

        Args:
            sid: The session.
            max_payload: Bytes that a POST may have; 0 for no limit.
        """
        self._sid = sid
        self._max_payload = min(max_payload, UNLIMITED) or UNLIMITED
        self._polling = asyncio.get_running_loop().create_task(self._poll())

    def carry(self, outbox: Outbox) -> None:
        """Send what an outbox holds from now on."""
        self._outbox = outbox
        outbox.carry(self)
        outbox.schedule()

    def flush(self) -> None:
        """Send what the outbox holds, unless something is under way."""
        outbox = self._outbox
        if outbox is None or outbox.empty or self._paused or self._stopped:
            return
        if self._posting is None or self._posting.done():
            outbox.writable = False
            self._posting = asyncio.get_running_loop().create_task(self._post(outbox))

    def close(self) -> None:
        """Say goodbye, after what the outbox holds."""
        if self._closing is not None:
            return
        outbox = self._outbox
        if outbox is None or self._session is None or self._stopped:
            self.abort()
            return
        self._paused = False
        self.flush()
        self._closing = asyncio.get_running_loop().create_task(self._farewell())

    def abort(self) -> None:
        """End at once."""
        self._stopped = True
        for task in (self._polling, self._posting):
            if task is not None:
                task.cancel()
        if self._closing is None and self._session is not None:
            self._closing = asyncio.get_running_loop().create_task(self._end_session())

    async def pause(self) -> None:
        """Ask no more, and wait until nothing is under way."""
        self._paused = True
        tasks = [
            task for task in (self._polling, self._posting) if task is not None and not task.done()
        ]
        if tasks:
            await asyncio.wait(tasks)

    def resume(self) -> None:
        """Go on: the pause was in vain."""
        self._paused = False
        if self._polling is not None and self._polling.done() and not self._stopped:
            self._polling = asyncio.get_running_loop().create_task(self._poll())
        outbox = self._outbox
        if outbox is not None and (self._posting is None or self._posting.done()):
            outbox.writable = True
        self.flush()

    def retire(self) -> None:
        """End: another transport has taken over."""
        self._outbox = None
        self.abort()

    async def wait_closed(self) -> None:
        """Wait for the end, `LINGER` seconds at most."""
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _poll(self) -> None:
        try:
            while not self._paused and not self._stopped:
                packets = decode_payload(await self._request("GET"))
                if self._deliver(packets):
                    return
        except TransportError as error:
            self._fail(error)

    def _deliver(self, packets: list[str | bytes]) -> bool:
        """Hand packets on; return whether one of them ends the connection."""
        for packet in packets:
            if packet == CLOSE:
                self._tell("transport close", Details("transport closed by the server"))
                return True
            if packet != NOOP:
                self._receiver.receive(packet)
        return False

    async def _post(self, outbox: Outbox) -> None:
        try:
            while not outbox.empty:
                payload, _ = outbox.take_payload(self._max_payload)
                await self._request("POST", payload)
                if self._paused or self._stopped:
                    return
            outbox.writable = True
        except TransportError as error:
            self._fail(error)

    async def _farewell(self) -> None:
        """Wait for the last POST, and say goodbye; the GET is answered by that, or not waited for."""
        try:
            async with asyncio.timeout(LINGER):
                while self._posting is not None and not self._posting.done():
                    await asyncio.wait((self._posting,))
                if self._stopped:
                    return
                # In a POST of its own: the reference reads what stands before it in the same one too late.
                await self._request("POST", CLOSE.encode())
                if self._polling is not None:
                    await asyncio.wait((self._polling,), timeout=0.1)
        except (TimeoutError, TransportError):
            pass
        finally:
            self._stopped = True
            await self._end_session()

    async def _end_session(self) -> None:
        current = asyncio.current_task()
        tasks = [
            task
            for task in (self._polling, self._posting)
            if task is not None and task is not current
        ]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(self, method: str, body: bytes | None = None) -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            TransportError: If there is none, or its status is another than 200.
        """
        from yarl import URL  # noqa: PLC0415  aiohttp brings it

        aiohttp, requests = self._aiohttp, self._requests
        message = "xhr poll error" if method == "GET" else "xhr post error"
        session = self._session
        if session is None:
            raise TransportError(message, ConnectionAbortedError("the transport is closed"))
        headers = requests.headers(self.name)
        if body is not None:
            headers["Content-Type"] = CONTENT_TYPE
        proxy = self._proxy
        authorization = None
        if proxy is not None and proxy.authorization is not None:
            authorization = {"Proxy-Authorization": proxy.authorization}
            if not requests.address.secure:  # aiohttp has these for CONNECT only
                headers |= authorization
        url = URL(requests.address.origin + requests.target(self.name, self._sid), encoded=True)
        try:
            async with session.request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=None if proxy is None else proxy.url,
                proxy_headers=authorization,
            ) as response:
                if requests.cookies is not None:
                    requests.cookies.take(response.headers.getall("Set-Cookie", ()))
                data = await self._read(response)
                if response.status != OK:
                    raise _refused(message, response.status, data, response.headers.get("Location"))
                return data
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(message, error) from error

    async def _read(self, response: "aiohttp.ClientResponse") -> bytes:
        limit = self._options.limits.max_http_buffer_size if response.status == OK else MAX_CONTEXT
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > limit:
                if response.status != OK:
                    break
                raise ValueError(f"the answer is larger than {limit} bytes (max_http_buffer_size)")
        return b"".join(parts)

    def _fail(self, error: TransportError) -> None:
        context = error.description if isinstance(error.description, int) else None
        self._tell("transport error", Details(error, context))

    def _tell(self, reason: str, details: Details) -> None:
        if not self._stopped:
            self._stopped = True
            self._receiver.lost(self, reason, details)


def _refused(message: str, status: int, body: bytes, location: str | None) -> TransportError:
    error = TransportError(message, status, _shown(body))
    if location is not None:
        error.add_note(
            f"the server answered {status} with another address, which is not followed: {location[:200]!r}"
        )
    return error


def _shown(body: str | bytes) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    return text[:MAX_CONTEXT]
