"""What a browser makes of the server's answers for a page of another origin."""

from typing import Final

from roomcast.cli.doctor.examination import Examination
from roomcast.cli.doctor.handshake import leave, open_session
from roomcast.cli.doctor.http import Answer, NoAnswerError, ask, target
from roomcast.cli.doctor.line import Line, open_line
from roomcast.cli.doctor.opened import read_open
from roomcast.cli.text import clean

__all__ = ["look_at_cors"]

ALLOWED: Final = "access-control-allow-origin"
CREDENTIALS: Final = "access-control-allow-credentials"


async def look_at_cors(seen: Examination) -> None:
    """See whether a page of the origin may connect."""
    origin = seen.origin
    if origin is None:
        seen.report.note(
            "CORS", "not looked at: --origin https://app.example says where the page is from"
        )
        return
    if seen.opened is not None:
        await _look_at_requests(seen, origin)
    if seen.websocket:
        await _look_at_websocket(seen, origin)


async def _look_at_requests(seen: Examination, origin: str) -> None:
    report = seen.report
    try:
        answer = await open_session(seen, Origin=origin)
        opened = read_open(answer.text) if answer.status == 200 else None
        if opened is not None:
            await leave(seen, opened.sid)
        if origin == seen.to.address.origin and opened is not None:
            report.ok("CORS", "pages of this very origin need none")
            return
        preflight = await _ask_first(seen, origin)
    except NoAnswerError as error:
        report.fail("CORS", f"no answer to requests with an origin: {clean(error)}", _allow(origin))
        return
    if opened is None:
        report.fail(
            "CORS",
            f"the server refuses pages of {origin}: {answer.status} {clean(answer.text, 100)}",
            _allow(origin),
        )
        return
    wrong = _wrong(answer, origin, credentials=seen.cookies)
    if wrong is not None:
        report.fail("CORS", *wrong)
        return
    if _wrong(preflight, origin, credentials=False) is not None or preflight.status >= 300:
        report.warn(
            "CORS",
            f"pages of {origin} may connect, but not with headers of their own: OPTIONS is answered {preflight.status}",
            "Only extraHeaders and PUT-like requests need it: let the proxy or the framework in front pass OPTIONS to the server, or answer it as GET.",
        )
        return
    with_cookies = (
        "with cookies" if answer.header(CREDENTIALS).lower() == "true" else "without cookies"
    )
    report.ok("CORS", f"pages of {origin} may connect, {with_cookies}")


async def _ask_first(seen: Examination, origin: str) -> Answer:
    """Send the preflight of a request with a header of its own."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return await ask(seen.to, "OPTIONS", target(seen.to, "polling"), headers=headers)


def _wrong(answer: Answer, origin: str, *, credentials: bool) -> tuple[str, str] | None:
    """Return what is wrong with an answer for a page of that origin, and what to change."""
    values = answer.head.all(ALLOWED)
    if len(values) > 1 or "," in "".join(values):
        return (
            f"{ALLOWED} is there twice: {clean(', '.join(values))}",
            "Both the server and something in front of it (a CORS middleware, the proxy) set it, and browsers take neither: leave it to one of them.",
        )
    if not values:
        return f"the answers do not allow pages of {origin}: no {ALLOWED}", _allow(origin)
    allowed = values[0]
    if allowed not in ("*", origin):
        hint = (
            " An origin has no slash at its end and no path."
            if allowed.rstrip("/") == origin
            else ""
        )
        return (
            f"the answers allow pages of {clean(allowed)}, not of {origin}",
            _allow(origin) + hint,
        )
    if credentials and (allowed == "*" or answer.header(CREDENTIALS).lower() != "true"):
        return (
            f"pages of {origin} may connect without cookies only, and the proxy needs them",
            f"Name the origin and allow credentials: Server(cors={{'origin': ['{origin}'], 'credentials': True}}), and withCredentials: true in the page.",
        )
    return None


def _allow(origin: str) -> str:
    return (
        f"Allow it at the server: roomcast Server(cors=['{origin}']), Node.js new Server({{ cors: {{ origin: '{origin}' }} }}), "
        f"python-socketio cors_allowed_origins=['{origin}']."
    )


async def _look_at_websocket(seen: Examination, origin: str) -> None:
    """See whether a WebSocket of the page is let in: CORS does not reach those, but servers look at their origin."""
    try:
        line = await open_line(seen.to, target(seen.to, "websocket"), {"Origin": origin})
    except NoAnswerError as error:
        found = clean(error)
    else:
        if isinstance(line, Line):
            with line:
                return
        found = f"{line.status} {clean(line.text, 100)}"
    seen.report.fail(
        "origin", f"WebSockets of pages of {origin} are refused: {found}", _allow(origin)
    )
