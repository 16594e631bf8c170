"""Whether WebSockets get through: one from the start, and one that takes a session over from polling."""

import time
from statistics import median
from typing import Final

from roomcast.cli.bench.units import seconds
from roomcast.cli.doctor.advice import upgrades
from roomcast.cli.doctor.examination import Examination
from roomcast.cli.doctor.handshake import leave, open_session
from roomcast.cli.doctor.http import Answer, NoAnswerError, target
from roomcast.cli.doctor.line import Line, open_line
from roomcast.cli.doctor.opened import read_open
from roomcast.cli.text import clean

__all__ = ["look_at_websockets"]

PINGS: Final = 3
"""Round trips that are taken."""


async def look_at_websockets(seen: Examination) -> None:
    """See whether WebSockets work."""
    if seen.opened is not None and "websocket" not in seen.opened.upgrades:
        seen.report.note(
            "WebSocket",
            "the server does not offer it (its option transports), so clients stay on polling",
        )
        return
    await _open(seen)
    if seen.websocket and seen.opened is not None and seen.sticks:
        await _move(seen)


async def _open(seen: Examination) -> None:
    to, report = seen.to, seen.report
    try:
        line = await open_line(to, target(to, "websocket"))
    except NoAnswerError as error:
        _killed(seen, f"the handshake gets no answer: {clean(error)}", None)
        return
    if isinstance(line, Answer):
        _refused(seen, line)
        return
    with line:
        try:
            first = await line.receive()
            opened = read_open(first)
            if opened is None:
                report.fail(
                    "WebSocket",
                    f"it begins with {clean(first, 60)}, which is not Socket.IO",
                    "Another WebSocket server has this path: give Socket.IO a path of its own.",
                )
                return
            pings = [await line.ping() for _ in range(PINGS)]
        except NoAnswerError as error:
            _killed(seen, f"it opens, but then {clean(error)}", None)
            return
    seen.websocket = True
    report.ok("WebSocket", f"it opens; a round trip takes {seconds(median(pings))}")


def _refused(seen: Examination, answer: Answer) -> None:
    code = answer.refusal()
    if code == 0:
        seen.report.note(
            "WebSocket",
            "the server does not take it (its option transports), so clients stay on polling",
        )
    elif code == 4:
        seen.report.fail(
            "WebSocket",
            f"the server refuses it: {answer.status} {clean(answer.text, 100)}",
            "Look at its allow_request (allowRequest) and at what --header gives it.",
        )
    elif code == 3 or answer.status == 426:
        _killed(
            seen,
            f"it is answered {answer.status}, as if it had not asked for one: the header Upgrade is lost on the way",
            answer,
        )
    else:
        _killed(seen, f"it is answered {answer.status} in place of 101", answer)


def _killed(seen: Examination, found: str, answer: Answer | None) -> None:
    advice = upgrades(seen.software(answer), seen.to.path)
    if seen.opened is None:
        seen.report.fail(
            "WebSocket", found, f"Neither polling nor a WebSocket works. For a proxy:\n{advice}"
        )
    else:
        seen.report.fail(
            "WebSocket",
            found,
            "Polling works and a WebSocket does not, so a proxy in between does not let it through; clients stay on polling, and those that begin "
            f"with a WebSocket do not connect. Let it pass on the headers Upgrade and Connection, over HTTP/1.1:\n{advice}",
        )


async def _move(seen: Examination) -> None:
    """Take a session over, as clients do by default, up to the answer of the probe."""
    to, report = seen.to, seen.report
    sid = ""
    try:
        answer = await open_session(seen)
        opened = read_open(answer.text)
        if opened is None:
            return
        sid = opened.sid
        headers = {"Cookie": answer.cookies()} if answer.cookies() else {}
        line = await open_line(to, target(to, "websocket", sid=sid), headers)
        if isinstance(line, Line):
            with line:
                begun = time.monotonic()
                line.send("2probe")
                found = await line.receive()
                took = time.monotonic() - begun
            if found == "3probe":
                report.ok(
                    "upgrade", f"from polling to a WebSocket; the probe takes {seconds(took)}"
                )
                return
        else:
            found = f"{line.status} {line.text}"
    except NoAnswerError as error:
        found = str(error)
    finally:
        if sid:
            await leave(seen, sid)
    report.fail(
        "upgrade",
        f"a WebSocket cannot take a session over from polling: {clean(found, 100)}",
        "Requests of polling and WebSockets reach different processes: let the proxy send both of a client to the same one, "
        "or let clients begin with a WebSocket (transports=['websocket']).",
    )
