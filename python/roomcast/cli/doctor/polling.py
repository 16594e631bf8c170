"""What an open session says about the server, and whether it lives on polling: versions, heartbeat, clock, affinity, held requests."""

import asyncio
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Final

from roomcast.cli.bench.units import bytes_, seconds
from roomcast.cli.doctor.advice import held_requests, sticky
from roomcast.cli.doctor.examination import Examination
from roomcast.cli.doctor.handshake import leave, open_session
from roomcast.cli.doctor.http import Answer, NoAnswerError, ask, target
from roomcast.cli.doctor.opened import Opened, is_old, read_open
from roomcast.cli.text import clean

__all__ = ["look_at_clock", "look_at_heartbeat", "look_at_polling", "look_at_version"]

SESSIONS: Final = 8
"""Sessions that are opened to see whether a second request finds them: two processes in turn miss in half of the cases."""

PROXY_PATIENCE: Final = 60.0
"""Seconds that proxies wait for an answer unless told otherwise (nginx ``proxy_read_timeout``, AWS)."""

SHORTEST_TIMEOUT: Final = 2.0
"""Seconds below which a slow network is taken for a dead one."""

SMALLEST_PAYLOAD: Final = 10_000
"""Bytes below which ordinary events may not pass."""

SKEW: Final = 30.0
"""Seconds by which clocks may differ before something notices: tokens and signatures have such a leeway."""

SLOW: Final = 1.0
"""Seconds after which an answer that is there should have arrived."""


async def look_at_version(seen: Examination) -> None:
    """See which clients the server takes."""
    try:
        answer = await ask(seen.to, "GET", target(seen.to, "polling", eio=3))
    except NoAnswerError:
        return
    if answer.status == 200 and is_old(answer.text):
        seen.report.ok(
            "version", "Socket.IO 3 and later (Engine.IO 4); clients of Socket.IO 2, too"
        )
    else:
        seen.report.ok(
            "version", "Socket.IO 3 and later (Engine.IO 4); clients of Socket.IO 2 are refused"
        )


def look_at_heartbeat(seen: Examination, opened: Opened) -> None:
    """See whether heartbeat and limits are what proxies and networks bear."""
    interval, timeout = opened.ping_interval, opened.ping_timeout
    found = f"every {interval:g} s, with {timeout:g} s for the answer"
    if interval >= PROXY_PATIENCE:
        seen.report.warn(
            "heartbeat",
            found,
            f"Proxies end what says nothing for {PROXY_PATIENCE:g} s: take a ping_interval (pingInterval) below that; 25 s is usual.",
        )
    elif timeout < SHORTEST_TIMEOUT or interval < 1:
        seen.report.warn(
            "heartbeat",
            found,
            "A mobile network pauses for longer, and clients are then disconnected: 25 s and 20 s are usual "
            "(ping_interval, ping_timeout; in JavaScript 25000 and 20000, milliseconds).",
        )
    else:
        seen.report.ok("heartbeat", found)
    if 0 < opened.max_payload < SMALLEST_PAYLOAD:
        seen.report.warn(
            "size",
            f"messages may have {bytes_(opened.max_payload)}",
            "A client with a larger one is disconnected: raise max_http_buffer_size (maxHttpBufferSize); 1 MB is usual.",
        )


def look_at_clock(seen: Examination, answer: Answer) -> None:
    """See whether the clock of the server is that of this machine."""
    try:
        then = parsedate_to_datetime(answer.header("date"))
    except (ValueError, TypeError):
        return
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    skew = (then - datetime.now(UTC)).total_seconds()
    if abs(skew) > SKEW:
        which = "ahead of" if skew > 0 else "behind"
        seen.report.warn(
            "clock",
            f"the server's is {abs(skew):.0f} s {which} that of this machine",
            "Set both by NTP. Heartbeats do not mind, but tokens (JWT), cookies and signatures are refused as expired or not yet valid.",
        )
    else:
        seen.report.ok("clock", "as that of this machine")


async def look_at_polling(seen: Examination) -> None:
    """See whether sessions are found again, and whether requests are held."""
    await _look_at_affinity(seen)
    if seen.sticks:
        await _look_at_held(seen)


async def _look_at_affinity(seen: Examination) -> None:
    took: list[float] = []
    lost = kept_by_cookies = 0
    other: Answer | None = None
    for _ in range(SESSIONS):
        try:
            answer = await open_session(seen)
            opened = read_open(answer.text)
            if opened is None:
                other = answer
                continue
            follow = await _follow(seen, opened.sid)
            took.append(follow.seconds)
            if follow.status == 400 and follow.refusal() == 1:
                lost += 1
                cookies = answer.cookies()
                again = await _follow(seen, opened.sid, Cookie=cookies) if cookies else follow
                kept_by_cookies += again.status == 200
            elif follow.status != 200:
                other = follow
        except NoAnswerError as error:
            _broken(seen, f"a second request gets no answer: {clean(error)}")
            return
    if other is not None:
        _broken(seen, f"a second request is answered {other.status}: {clean(other.text, 100)}")
        return
    seen.sticks = not lost or kept_by_cookies == lost
    of_them = f"{lost} of {SESSIONS} sessions"
    if not lost:
        seen.report.ok(
            "polling", f"a request takes {seconds(median(took))}, on a connection of its own"
        )
    elif seen.sticks:
        seen.cookies = True
        seen.report.warn(
            "affinity",
            f"{of_them} are lost by clients that send no cookies",
            "The proxy tells clients apart by a cookie, so they have to send it: in browsers of another origin withCredentials: true, and "
            "cors={'origin': […], 'credentials': True} at the server; roomcast's client does by itself, that of Node.js does not. "
            f"Or let it go by the address:\n{sticky(seen.software())}",
        )
    else:
        seen.report.fail(
            "affinity",
            f"{of_them} are unknown to the process that gets the next request (code 1, Session ID unknown)",
            "Several processes stand behind this address, and requests of one client reach different ones. Let the proxy send a client to the "
            "same one each time, or let clients begin with a WebSocket (transports=['websocket']). A server that restarts all the time shows the "
            f"same.\n{sticky(seen.software())}",
        )


async def _follow(seen: Examination, sid: str, **headers: str) -> Answer:
    """Send the request that follows a handshake, and ends its session."""
    where = target(seen.to, "polling", sid=sid)
    return await ask(seen.to, "POST", where, headers=headers, body="1")


def _broken(seen: Examination, found: str) -> None:
    seen.report.fail(
        "polling",
        found,
        "Let the proxy or the firewall pass POST requests with a text/plain body to this path, as well as GET.",
    )


async def _look_at_held(seen: Examination) -> None:
    try:
        answer = await open_session(seen)
        opened = read_open(answer.text)
        if opened is None:
            return
        cookies = {"Cookie": answer.cookies()} if answer.cookies() else {}
        await _hold(seen, opened, cookies)
    except NoAnswerError as error:
        seen.report.fail(
            "long polling",
            f"a request that is held gets no answer: {clean(error)}",
            f"Something in between gives up: raise its time-outs.\n{_patience(seen, None)}",
        )


async def _hold(seen: Examination, opened: Opened, cookies: dict[str, str]) -> None:
    """Hold a request, and see whether its answer comes when it is there, and not before."""
    to, report = seen.to, seen.report
    hold = min(seen.hold, opened.ping_interval * 0.8)
    where = target(to, "polling", sid=opened.sid)
    begun = time.monotonic()
    held = asyncio.create_task(
        ask(to, "GET", where, headers=cookies, timeout=hold + to.timeout + SLOW)
    )
    await asyncio.wait((held,), timeout=hold)
    if held.done():
        answer = await held
        report.fail(
            "long polling",
            f"a request that is to be held is answered {answer.status} after {seconds(time.monotonic() - begun)}: {clean(answer.text, 60)}",
            "Something in between does not wait for the server. It has to wait longer than a heartbeat takes:\n"
            + _patience(seen, opened),
        )
        await leave(seen, opened.sid)
        return
    released = time.monotonic()
    await ask(to, "POST", where, headers=cookies, body="1")  # which answers what is held
    await held
    late = time.monotonic() - released
    if late > SLOW:
        report.warn(
            "long polling",
            f"an answer arrives {seconds(late)} after it was there",
            f"A proxy holds answers back: turn its buffering and its compression off for this path.\n{_patience(seen, opened)}",
        )
    else:
        report.ok(
            "long polling", f"a request was held for {hold:g} s, and answered in {seconds(late)}"
        )


def _patience(seen: Examination, opened: Opened | None) -> str:
    opened = opened or seen.opened
    heartbeat = 45.0 if opened is None else opened.ping_interval + opened.ping_timeout
    return held_requests(seen.software(), max(heartbeat + 15, PROXY_PATIENCE))
