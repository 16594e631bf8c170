"""What roomcast leans on in uvicorn where it answers polling clients."""

import asyncio
import contextlib

import pytest

from roomcast.engine.senders import may_send_anywhere, write_whole
from support.asgi_servers import in_process


@pytest.fixture(params=["httptools", "h11"])
def http(request):
    """The name of an implementation of HTTP."""
    return request.param


class Polled:
    """A connection on polling, whose requests go over one line each in their order."""

    async def open(self, port):
        self.port = port
        self.gets = await asyncio.open_connection("127.0.0.1", port)
        self.posts = await asyncio.open_connection("127.0.0.1", port)
        self.query = "EIO=4&transport=polling"
        self.get()
        sid = (await self.payload()).decode().partition('"sid":"')[2].partition('"')[0]
        self.query += f"&sid={sid}"

    def get(self):
        target = f"/socket.io/?{self.query}"
        self.gets[1].write(f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    async def post(self, body):
        head = f"POST /socket.io/?{self.query} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}"
        self.posts[1].write(f"{head}\r\n\r\n{body}".encode())
        assert await self.payload(self.posts) == b"ok"

    async def payload(self, line=None):
        reader, _ = line or self.gets
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 200 ok" in head
        return await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))

    async def close(self):
        for _, writer in (self.gets, self.posts):
            writer.close()
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def polled(port):
    client = Polled()
    await client.open(port)
    try:
        yield client
        await client.post("1")
    finally:
        await client.close()


@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_send_of_uvicorn_may_be_called_from_anywhere_but_not_that_of_others(
    io, http, is_wrapped
):
    app = io.asgi()
    known = []

    async def outer(scope, receive, send):
        async def send_too(message):
            assert asyncio.current_task() is task
            await send(message)

        task = asyncio.current_task()
        given = send_too if is_wrapped else send
        if scope["type"] == "http":
            known.append(may_send_anywhere(given))
        await app(scope, receive, given)

    async with in_process(outer, http=http) as port, polled(port) as client:
        client.get()
        await client.post("40")
        assert (await client.payload()).startswith(b"40")
        client.get()
        await asyncio.sleep(0.02)  # until it is held
        io.emit("hello", "x" * 10)
        assert await client.payload() == b'42["hello","xxxxxxxxxx"]'
    assert known == [not is_wrapped] * 5


@pytest.mark.parametrize("logs", [False, True])
async def test_answers_are_written_whole_unless_uvicorn_logs_them(io, http, logs, monkeypatch):
    written = []

    def write(*args):
        written.append(write_whole(*args))
        return written[-1]

    monkeypatch.setattr("roomcast.engine.exchange.write_whole", write)
    async with in_process(io.asgi(), http=http, access_log=logs) as port, polled(port) as client:
        client.get()
        await client.post("40")
        assert (await client.payload()).startswith(b"40")
        for number in range(3):
            client.get()
            await asyncio.sleep(0.02)  # until it is held
            io.emit("hello", number)
            assert await client.payload() == b'42["hello",%d]' % number
    assert written == [not logs] * 6


async def test_answer_for_a_client_that_does_not_read_is_not_lost(io, http):
    joined = []
    io.on("connection", joined.append)
    async with in_process(io.asgi(), http=http) as port, polled(port) as client:
        await client.post("40")
        client.get()
        assert (await client.payload()).startswith(b"40")
        io.emit("large", "x" * 900_000)
        client.get()
        client.get()
        outbox = joined[0].conn.outbox
        async with asyncio.timeout(10):
            while not outbox.empty or not outbox.writable:  # noqa: ASYNC110  until the second one is held
                await asyncio.sleep(0.01)
        io.emit("small")
        await asyncio.sleep(0.05)
        assert len(await client.payload()) > 900_000
        assert await client.payload() == b'42["small"]'
