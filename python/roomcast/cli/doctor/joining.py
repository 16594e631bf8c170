"""Whether the namespace lets a client in: roomcast's own client, with the auth that was given."""

import asyncio
import importlib.util
import time
from dataclasses import replace
from typing import Final

from roomcast.cli.bench.units import seconds
from roomcast.cli.connecting import client
from roomcast.cli.doctor.examination import Examination
from roomcast.cli.text import clean, json_line
from roomcast.errors import ConnectError, TransportError

__all__ = ["join"]

AT_ONCE: Final = 0.2
"""Seconds after which a client that is let in should still be there."""


async def join(seen: Examination) -> None:
    """Join the namespace."""
    to, report = seen.to, seen.report
    if not seen.websocket and importlib.util.find_spec("aiohttp") is None:
        report.note(
            "namespace", 'not looked at, as polling needs aiohttp: pip install "roomcast[client]"'
        )
        return
    to = replace(to, transports=("websocket",) if seen.websocket else ("polling",))
    socket = client(to, reconnection=False)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(to.timeout):
            await socket
        took = time.monotonic() - begun
        await asyncio.sleep(AT_ONCE)
        if not socket.connected:
            report.fail(
                "namespace",
                f"{to.nsp} lets this client in and disconnects it at once: {await socket.wait_for('disconnect')}",
                "A handler of connection calls disconnect, or the server dies of it: look into its log.",
            )
            return
        report.ok("namespace", f"{to.nsp} lets this client in, in {seconds(took)}")
    except TransportError as error:
        report.fail(
            "namespace",
            f"the connection is lost before {to.nsp} answers: {clean(error.description or error)}",
            "Look into the log of the server, and of the proxy in front of it.",
        )
    except ConnectError as error:
        _refused(seen, error)
    except TimeoutError:
        report.fail(
            "namespace",
            f"{to.nsp} does not answer within {to.timeout:g} s",
            "A middleware waits: each has to end, or in JavaScript to call next(). A blocking call in the event loop does the same.",
        )
    finally:
        await socket.disconnect()


def _refused(seen: Examination, error: ConnectError) -> None:
    nsp, report = seen.to.nsp, seen.report
    message = clean(error.message) or "no reason given"
    data = "" if error.data is None else f" {clean(json_line(error.data))}"
    if error.message == "Invalid namespace":
        report.fail(
            "namespace",
            f"{nsp} is not there: {message}",
            f"The path of a URL is a namespace: leave {nsp} out of it, or let the server have io.of({nsp!r}). "
            "Where the server is goes into the option path, not into the URL.",
        )
    else:
        given = "auth was given" if seen.to.auth else "no auth was given"
        report.fail(
            "namespace",
            f"{nsp} refuses this client: {message}{data}",
            f'A middleware of the server says so, and {given}: --auth \'{{"token": "…"}}\' gives it here; clients have the option auth, '
            "a function of theirs for tokens that expire.",
        )
