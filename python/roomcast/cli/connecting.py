"""What commands that are clients share: the arguments that say where to and as whom, and the client made of them."""

import argparse
import asyncio
import importlib.util
from dataclasses import dataclass, field
from typing import Any, Final

from roomcast.cli.arguments import header, json_object, seconds
from roomcast.cli.errors import ArgumentsError, CommandError
from roomcast.cli.words import why_not
from roomcast.client import Socket, connect
from roomcast.client.options import Transport
from roomcast.client.url import Address, parse_url
from roomcast.errors import ConnectError, MissingDependencyError, TransportError

__all__ = ["Destination", "add_arguments", "client", "connected", "find_destination"]

TRANSPORTS: Final = ("polling", "websocket")


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where to, and as whom.

    Attributes:
        address: The server.
        path: Where Socket.IO is there, as typed.
        nsp: The namespace.
        query: The query of the URL.
        auth: What goes along with CONNECT.
        headers: Further headers.
        transports: In their order.
        verified: Whether the certificate has to be good.
        timeout: Seconds that the server may take.
    """

    address: Address
    path: str = "/socket.io/"
    nsp: str = "/"
    query: dict[str, str] = field(default_factory=dict[str, str])
    auth: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    transports: tuple[Transport, ...] = ("websocket",)
    verified: bool = True
    timeout: float = 10.0

    @property
    def url(self) -> str:
        """The server and the namespace, as clients take them."""
        return self.address.origin + (self.nsp if self.nsp != "/" else "")


def add_arguments(parser: argparse.ArgumentParser, *, timeout: str, transport: bool = True) -> None:
    """Add the arguments that clients share, but the URL.

    Args:
        parser: Gets them.
        timeout: What ``--timeout`` limits, for the help.
        transport: Whether the transport is to be chosen.
    """
    group = parser.add_argument_group("the connection")
    add = group.add_argument
    add("--auth", type=json_object, metavar="JSON", help="an object for the CONNECT packet")
    add(
        "--header",
        type=header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header of every request; may be repeated",
    )
    add("--namespace", metavar="NSP", help="the namespace; the path of the URL says the same")
    add("--path", default="/socket.io/", help="where the server is (%(default)s)")
    parser.set_defaults(transport=None)
    if transport:
        add(
            "--transport",
            choices=TRANSPORTS,
            help="only this one (a WebSocket, and polling if there is none)",
        )
    add(
        "--insecure",
        action="store_true",
        help="accept any certificate: whoever is in between can read along",
    )
    add(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="S",
        help=f"seconds that {timeout} may take (%(default)g)",
    )


def find_destination(given: argparse.Namespace) -> Destination:
    """Return where the arguments lead.

    Raises:
        ArgumentsError: If they contradict each other, or lead nowhere.
    """
    try:
        address, nsp, query = parse_url(given.url)
    except ValueError as error:
        raise ArgumentsError(f"{given.url} is no URL of a server: {error}") from error
    path = f"/{given.path.removeprefix('/')}"
    if nsp != "/" and nsp.rstrip("/") == path.rstrip("/"):
        raise ArgumentsError(
            f"{nsp} in the URL names a namespace: leave it out; --path says where the server is ({path} if it does not)"
        )
    if given.namespace is not None:
        wanted = f"/{given.namespace.removeprefix('/')}"
        if nsp not in ("/", wanted):
            raise ArgumentsError(
                f"the path of the URL names the namespace {nsp}, and --namespace another one"
            )
        nsp = wanted
    transports: tuple[Transport, ...]
    if given.transport is not None:
        transports = (given.transport,)
    elif importlib.util.find_spec("aiohttp") is None:
        transports = ("websocket",)
    else:
        transports = ("websocket", "polling")
    return Destination(
        address=address,
        path=path,
        nsp=nsp,
        query=query or {},
        auth=given.auth,
        headers=dict(given.header),
        transports=transports,
        verified=not given.insecure,
        timeout=given.timeout,
    )


def client(to: Destination, *, reconnection: bool) -> Socket:
    """Return a client that is not connected yet.

    Args:
        to: Where to.
        reconnection: Whether a lost connection is made anew.

    Raises:
        CommandError: If polling is asked for, and aiohttp is not installed.
    """
    try:
        return connect(
            to.url,
            path=to.path,
            add_trailing_slash=False,
            query=to.query,
            auth=to.auth,
            extra_headers=to.headers,
            transports=to.transports,
            try_all_transports=True,
            reconnection=reconnection,
            timeout=to.timeout,
            ssl=to.verified,
        )
    except MissingDependencyError as error:
        raise CommandError(
            'polling needs aiohttp: pip install "roomcast[client]"; or --transport websocket'
        ) from error


async def connected(socket: Socket, to: Destination) -> None:
    """Connect a client.

    Raises:
        CommandError: If that fails; it says why, and what may be done about it.
    """
    opened: list[bool] = []
    socket.manager.once("open", lambda: opened.append(True))
    try:
        async with asyncio.timeout(to.timeout):
            await socket
    except ConnectError as error:
        why = why_not(error, to.address, to.nsp, to.path)
        if isinstance(error, TransportError) and isinstance(error.description, int):
            why += _see_doctor(to)
        raise CommandError(why) from error
    except TimeoutError as error:
        within = f"has not answered within {to.timeout:g} s"
        if opened:
            within += ": a middleware there may wait, or the server be too slow"
        where = f"namespace {to.nsp}" if opened else f"{to.address.origin}{to.path}"
        raise CommandError(f"{where} {within}{_see_doctor(to)}") from error
    finally:
        if not socket.connected:
            await socket.disconnect()


def _see_doctor(to: Destination) -> str:
    return f"; roomcast doctor {to.url} looks for the cause"
