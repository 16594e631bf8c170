"""HTTP proxies: which one a connection goes through, and the way through it."""

import asyncio
import ssl
from base64 import b64encode
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from roomcast.client.handshake import Head, parse_head
from roomcast.client.options import Options
from roomcast.client.url import Address

__all__ = ["Proxy", "find_proxy", "tunnel"]

OK: Final = 200


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        url: Its URL without name and password.
        host: Its host.
        port: Its port.
        authorization: The header ``Proxy-Authorization``, if it wants one.
    """

    url: str
    host: str
    port: int
    authorization: str | None


def find_proxy(address: Address, options: Options) -> Proxy | None:
    """Return the proxy for a server: that of the options, or that of the environment if the options trust it.

    Raises:
        ValueError: If the environment names one that is not spoken to over plain HTTP.
    """
    url = options.proxy
    if url is None and options.trust_env:
        from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  slow to import, and few want it

        if proxy_bypass(address.host):
            return None
        proxies = getproxies()
        url = proxies.get("https" if address.secure else "http") or proxies.get("all")
    if url is None:
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError("the proxy of the environment is no http:// proxy")
    authorization = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(credentials.encode()).decode()}"
    port = parts.port or 80
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Proxy(f"http://{host}:{port}", parts.hostname, port, authorization)


async def tunnel(
    proxy: Proxy,
    address: Address,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext | None,
    local: tuple[str, int] | None,
) -> None:
    """Connect a protocol with a server through a proxy.

    Args:
        proxy: The proxy.
        address: The server.
        protocol: Gets the transport when the way is there.
        context: For TLS with the server; ``None`` for none.
        local: Where to connect from.

    Raises:
        OSError: If the proxy cannot be reached, or refuses.
        ValueError: If its answer is none.
    """
    loop = asyncio.get_running_loop()
    transport, asking = await loop.create_connection(
        _Asking, proxy.host, proxy.port, local_addr=local
    )
    try:
        host = f"[{address.host}]" if ":" in address.host else address.host
        target = f"{host}:{address.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization is not None:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await asking.answer
        if head.status != OK:
            raise ConnectionRefusedError(
                f"the proxy {proxy.url} answered {head.status} to CONNECT {target}"
            )
        if context is None:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        else:
            secured = await loop.start_tls(
                transport, protocol, context, server_hostname=address.host
            )
            assert secured is not None
            protocol.connection_made(secured)
    except BaseException:
        transport.abort()
        raise


class _Asking(asyncio.Protocol):
    """Waits for a proxy's answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._received = bytearray()

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            parsed = parse_head(self._received)
            if parsed is not None and parsed[1] and parsed[0].status == OK:
                raise ValueError("the proxy sent more than its answer")
        except ValueError as error:
            self._settle(error)
            return
        if parsed is not None and not self.answer.done():
            self.answer.set_result(parsed[0])

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(exc or ConnectionResetError("the proxy closed the connection"))

    def _settle(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()
