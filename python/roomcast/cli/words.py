"""Why a client has not connected, in words, and what may be done about it."""

import socket
import ssl
from collections.abc import Iterator

from roomcast.cli.text import clean, json_line
from roomcast.client.url import Address
from roomcast.errors import ConnectError, TransportError

__all__ = ["why_no_line", "why_not"]

STATUSES = {
    400: "the server does not take this request for one of Socket.IO 3 or later",
    401: "the server wants to know who this is; --header gives it what it may want",
    403: "the server refuses this client; --header gives it what it may want",
    404: "no Socket.IO server is there; --path names another place",
    426: "the server wants another protocol, perhaps a WebSocket of its own kind",
    502: "a proxy in front does not reach the server",
    503: "the server, or a proxy in front of it, takes no connections now",
    504: "a proxy in front waits for the server in vain",
}


def why_not(error: ConnectError, address: Address, nsp: str, path: str) -> str:
    """Say why a client has not connected.

    Args:
        error: What the client says.
        address: The server.
        nsp: The namespace.
        path: Where the server was looked for.
    """
    if not isinstance(error, TransportError):
        return _refusal(error, nsp)
    status = error.description
    if isinstance(status, int):
        words = STATUSES.get(status)
        if words is None and 300 <= status < 400:
            words = "the server is at another address"
        said = clean(error.context, 100)
        more = "; ".join(filter(None, (words, f'it says "{said}"' if said else "")))
        notes = "".join(f"; {clean(note)}" for note in getattr(error, "__notes__", ()))
        answered = f"{address.origin}{path} answers {status}"
        return f"{answered}{f': {more}' if more else ''}{notes}"
    if str(error) == "timeout":
        return f"{address.origin} has not answered in time (--timeout)"
    return why_no_line(error, address)


def why_no_line(error: BaseException, address: Address) -> str:
    """Say why there is no connection, or none that speaks HTTP.

    Args:
        error: An exception that has the cause in it, somewhere.
        address: The server.
    """
    where = f"port {address.port} of {address.host}"
    causes = list(_causes(error))
    for cause in reversed(causes):  # what aiohttp wraps them in says less
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {address.host} is no good: {cause.verify_message} (--insecure accepts it)"
        if isinstance(cause, ssl.SSLError):
            return f"{where} does not speak TLS ({_reason(cause)}); an http:// URL may be right"
        if isinstance(cause, socket.gaierror):
            return f"unknown host {address.host}: {cause.strerror}"
        if isinstance(cause, ConnectionRefusedError):
            return f"connection refused: nobody listens on {where}"
        if isinstance(cause, TimeoutError):
            return f"{where} does not answer"
    last = causes[-1]
    words = (last.strerror if isinstance(last, OSError) else None) or str(last)
    return f"no connection with {where}: {clean(words)}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Go from an exception to what has caused it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        inner: BaseException | int | None = None
        if isinstance(found, TransportError):
            inner = found.description
        found = inner if isinstance(inner, BaseException) else found.__cause__


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")


def _refusal(error: ConnectError, nsp: str) -> str:
    message = clean(error.message) or "without a word"
    if error.message == "Invalid namespace":
        return f'namespace {nsp} is not there: the server says "{message}"; the path of the URL, or --namespace, names it'
    data = "" if error.data is None else f" {clean(json_line(error.data))}"
    return f"namespace {nsp} refuses this client: {message}{data} (--auth and --header give it what it may want)"
