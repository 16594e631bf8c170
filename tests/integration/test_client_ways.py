"""The ways of a client to its server: TLS with contexts of its own, proxies, addresses; real sockets throughout."""

import asyncio
import ssl
from base64 import b64encode
from contextlib import asynccontextmanager

import pytest
import trustme

import roomcast.uvicorn
from roomcast import Server, TransportError, connect
from support.asgi_servers import in_process

pytestmark = pytest.mark.usefixtures("clean")

TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]


def serve():
    io = Server()

    @io.on("connection")
    def connection(socket):
        socket.on("echo", lambda *args: args)
        socket.on("who", lambda: (socket.handshake.address, socket.handshake.secure))

    return io


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(folder / "key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate"))
    authority.cert_pem.write_to_path(str(folder / "authority"))
    return {
        "ssl_keyfile": str(folder / "key"),
        "ssl_certfile": str(folder / "certificate"),
        "ssl_ca_certs": str(folder / "authority"),
    }


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def secured(app, files, **options):
    return in_process(app, ws=roomcast.uvicorn.WebSocketProtocol, **files, **options)


class Proxy:
    """An HTTP proxy that knows CONNECT, and forwards requests that name a whole URL.

    Attributes:
        asked: The first lines of the requests.
    """

    def __init__(self, authorization=None):
        self.asked = []
        self._authorization = authorization

    async def talk(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if await self._answer(head, reader, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head, reader, writer):
        first, *lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        self.asked.append(first)
        if headers.get("proxy-authorization") != self._authorization:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return True
        method, target, _ = first.split()
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            host, _, path = target.removeprefix("http://").partition("/")
            name, _, port = host.partition(":")
            far_reader, far_writer = await asyncio.open_connection(name, int(port))
            far_writer.write(head.replace(target.encode(), f"/{path}".encode(), 1))
        await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))
        return True

    async def _pipe(self, reader, writer):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()


@asynccontextmanager
async def proxied(authorization=None):
    proxy = Proxy(authorization)
    server = await asyncio.start_server(proxy.talk, "127.0.0.1", 0)
    try:
        yield proxy, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_tls_with_a_context_of_its_own(files, trusting, transports):
    async with secured(serve().asgi(), files) as port:
        url = f"https://localhost:{port}"
        async with connect(url, ssl=trusting, transports=transports) as socket:
            assert (await socket.emit_with_ack("who"))[1] is True
            value = b"x" * 500_000
            assert await socket.emit_with_ack("echo", value) == value


@pytest.mark.parametrize("transports", TRANSPORTS[:2])
async def test_certificates_are_verified_unless_they_are_not_to_be(files, transports):
    async with secured(serve().asgi(), files) as port:
        url = f"https://localhost:{port}"
        with pytest.raises(TransportError) as caught:
            await connect(url, transports=transports)
        assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.description)
        async with connect(url, transports=transports, ssl=False) as socket:
            assert await socket.emit_with_ack("echo", 1) == 1


@pytest.mark.parametrize("transports", TRANSPORTS[:2])
async def test_client_certificates(authority, files, trusting, transports):
    async with secured(serve().asgi(), files, ssl_cert_reqs=ssl.CERT_REQUIRED) as port:
        url = f"https://localhost:{port}"
        options = {"transports": transports, "ssl": trusting, "timeout": 5}
        with pytest.raises(TransportError):
            await connect(url, **options)
        authority.issue_cert("client.example").configure_cert(trusting)
        async with connect(url, **options) as socket:
            assert await socket.emit_with_ack("echo", 1) == 1


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_a_proxy_with_a_password(transports):
    io = serve()
    listening = await io.listen(0)
    authorization = "Basic " + b64encode(b"user:p@ss").decode()
    try:
        async with proxied(authorization) as (proxy, port):
            url = f"http://127.0.0.1:{listening.port}"
            async with connect(
                url, transports=transports, proxy=f"http://user:p%40ss@127.0.0.1:{port}"
            ) as socket:
                assert await socket.emit_with_ack("echo", 1, b"x") == (1, b"x")
                if len(transports) > 1:
                    async with asyncio.timeout(5):
                        while socket.transport != "websocket":  # noqa: ASYNC110  the proxy tells nobody
                            await asyncio.sleep(0.01)
            assert proxy.asked
            assert any(line.startswith("CONNECT") for line in proxy.asked) == (
                "websocket" in transports
            )
            with pytest.raises(TransportError):
                await connect(url, transports=transports, proxy=f"http://127.0.0.1:{port}")
    finally:
        await io.close()


@pytest.mark.parametrize("transports", TRANSPORTS[:2])
async def test_tls_through_a_proxy(files, trusting, transports):
    async with secured(serve().asgi(), files) as port, proxied() as (proxy, proxy_port):
        async with connect(
            f"https://localhost:{port}",
            ssl=trusting,
            transports=transports,
            proxy=f"http://127.0.0.1:{proxy_port}",
        ) as socket:
            assert await socket.emit_with_ack("echo", 1) == 1
        assert proxy.asked[0].startswith(f"CONNECT localhost:{port} ")


@pytest.mark.parametrize("transports", TRANSPORTS[:2])
async def test_the_environment_is_asked_only_if_it_is_trusted(monkeypatch, transports):
    io = serve()
    listening = await io.listen(0)
    url = f"http://127.0.0.1:{listening.port}"
    try:
        async with proxied() as (proxy, port):
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("no_proxy", "example.com")
            async with connect(url, transports=transports) as socket:
                assert await socket.emit_with_ack("echo", 1) == 1
            assert proxy.asked == []
            async with connect(url, transports=transports, trust_env=True) as socket:
                assert await socket.emit_with_ack("echo", 1) == 1
            assert proxy.asked
            proxy.asked.clear()
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            async with connect(url, transports=transports, trust_env=True) as socket:
                assert await socket.emit_with_ack("echo", 1) == 1
            assert proxy.asked == []
    finally:
        await io.close()


@pytest.mark.parametrize("transports", TRANSPORTS[:2])
async def test_the_local_address_is_chosen(transports):
    io = serve()
    listening = await io.listen(0)
    try:
        url = f"http://127.0.0.1:{listening.port}"
        async with connect(url, transports=transports, local_address="127.0.0.9") as socket:
            assert (await socket.emit_with_ack("who"))[0] == "127.0.0.9"
    finally:
        await io.close()
