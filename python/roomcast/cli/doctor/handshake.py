"""The handshake on polling: whether a Socket.IO server is at the path, and what is there if it is none."""

from dataclasses import replace
from typing import Final

from roomcast.cli.doctor.examination import Examination
from roomcast.cli.doctor.http import Answer, NoAnswerError, ask, target
from roomcast.cli.doctor.opened import is_old, read_open
from roomcast.cli.text import clean

__all__ = ["leave", "open_session", "shake_hands"]

NO_POLLING: Final = 0
OTHER_VERSION: Final = 5
"""Codes of Engine.IO, as those in `_REFUSALS`."""

_REFUSALS: Final = {
    2: "Only GET opens a session: something in between changes the method of requests.",
    3: "Something in between changes requests; look into the log of the server for the reason (io.engine.on('connection_error', …)).",
    4: "The server has refused the client: its allow_request (allowRequest), or the origin. --header gives it what it may want.",
}

_ROUTING: Final = (
    "Let {path} lead to the Socket.IO server before anything else takes it: in FastAPI or Starlette wrap the application, "
    "app = io.asgi(app); in Express listen on the HTTP server that io is attached to, not on app; in nginx a location {path} of its own; "
    "in Vite server.proxy = {{ '{path}': {{ target: …, ws: true }} }}."
)


async def open_session(seen: Examination, **headers: str) -> Answer:
    """Ask for a session; the answer may be another one.

    Raises:
        NoAnswerError: If there is none.
    """
    return await ask(seen.to, "GET", target(seen.to, "polling"), headers=headers)


async def leave(seen: Examination, sid: str) -> None:
    """End a session, if it is there."""
    try:
        await ask(seen.to, "POST", target(seen.to, "polling", sid=sid), body="1")
    except NoAnswerError:
        return


async def shake_hands(seen: Examination) -> bool:
    """Look for the server; return whether it is worth looking further."""
    to, report = seen.to, seen.report
    try:
        answer = seen.answer = await open_session(seen)
    except NoAnswerError as error:
        _silent(seen, error)
        return False
    opened = seen.opened = read_open(answer.text) if answer.status == 200 else None
    if opened is not None:
        report.ok("path", f"{to.path} is a Socket.IO server")
        await leave(seen, opened.sid)
        return True
    code = answer.refusal()
    if code == NO_POLLING:
        report.note("path", f"{to.path} is a Socket.IO server that does not poll")
        return True
    return await _diagnose(seen, answer, code)


async def _diagnose(seen: Examination, answer: Answer, code: int | None) -> bool:
    to, report = seen.to, seen.report
    answers = f"{to.path} answers {answer.status}"
    if answer.status == 200 and is_old(answer.text):
        report.fail(
            "version",
            "this is a server of Socket.IO 2 (Engine.IO 3)",
            "Upgrade the server to Socket.IO 3 or later, or connect with the JavaScript client of version 2. "
            "Clients of version 3 and later, roomcast among them, do not speak to it.",
        )
    elif code == OTHER_VERSION:
        report.fail(
            "version",
            f"{answers}: it does not speak Engine.IO 4",
            "Use a client of the server's own version.",
        )
    elif code in _REFUSALS:
        report.fail("path", f"{answers}: {clean(answer.text)}", _REFUSALS[code])
    elif answer.status in (301, 302, 303, 307, 308):
        _redirected(seen, answer)
    elif answer.status in (401, 403):
        report.fail(
            "path",
            f"{answers}: something asks who this is",
            "Give what it wants: --header 'Authorization: Bearer …' or --header 'Cookie: …'; clients have the option extra_headers "
            "(extraHeaders). If it is a proxy or a middleware, let it pass requests of this path.",
        )
    elif answer.status in (502, 503, 504):
        report.fail(
            "path",
            f"{answers}: a proxy stands here, and the server behind it does not answer",
            "Start the server, or correct the address that the proxy has for it (proxy_pass of nginx, server of HAProxy). "
            "In containers 127.0.0.1 is the proxy's own.",
        )
    elif await _is_elsewhere(seen, answers):
        return True
    elif answer.status == 426 or "websocket" in answer.text.lower():
        report.fail(
            "path",
            f"{answers}: {clean(answer.text, 100)}",
            "This is a server of plain WebSockets, which is another protocol: connect with a WebSocket, or make it a Socket.IO server.",
        )
    elif answer.is_page or answer.status in (404, 405):
        is_app = answer.is_page and answer.status == 200
        what = "a web page, not Socket.IO" if is_app else "nothing is there for Socket.IO"
        report.fail(
            "path",
            f"{answers}: {what}",
            _ROUTING.format(path=to.path)
            + " If the server has another path, tell clients: path='/…', and --path here.",
        )
    else:
        report.fail(
            "path",
            f"{answers}, which is no answer of Socket.IO: {clean(answer.text, 100)}",
            _ROUTING.format(path=to.path),
        )
    return False


async def _is_elsewhere(seen: Examination, answers: str) -> bool:
    """Look for the server at paths where they often are; say so if it is there, and go on there."""
    to = seen.to
    bare = to.path.rstrip("/")
    paths = [bare if to.path.endswith("/") else f"{bare}/"]
    if to.nsp != "/":
        paths += [f"{to.nsp.rstrip('/')}/socket.io/", f"{to.nsp.rstrip('/')}/"]
    paths += ["/socket.io/", "/ws/socket.io/", "/api/socket.io/", "/sio/socket.io/", "/ws/", "/"]
    for path in dict.fromkeys(filter(None, paths)):
        if path == to.path:
            continue
        try:
            answer = await ask(to, "GET", target(to, "polling", path=path))
        except NoAnswerError:
            continue
        opened = read_open(answer.text) if answer.status == 200 else None
        if opened is None:
            continue
        seen.to, seen.answer, seen.opened = replace(to, path=path), answer, opened
        await leave(seen, opened.sid)
        if path == bare:
            change = (
                f"The server is at {path} without the slash at its end, which clients add: turn that off (add_trailing_slash=False, in JavaScript "
                "addTrailingSlash: false), or better let the server or its proxy take the path with the slash."
            )
        else:
            change = f"The server is at {path}: tell clients path={path!r}, and --path {path} here."
        if to.nsp != "/" and path.startswith(to.nsp.rstrip("/")):
            change += f" The path of a URL is a namespace, so leave {to.nsp} out of it."
        seen.report.fail("path", f"{answers}, but a Socket.IO server is at {path}", change)
        return True
    return False


def _redirected(seen: Examination, answer: Answer) -> None:
    where = clean(answer.header("location"))
    to = seen.to
    if where.startswith("https:") and not to.address.secure:
        change = f"Use the URL https://{to.address.host}: clients do not follow redirects when they post, and WebSockets never do."
    elif where.partition("?")[0].rstrip("/").endswith(to.path.rstrip("/")):
        change = (
            "Something adds or takes away the slash at the end of the path: take that path out of its rule (APPEND_SLASH of Django, "
            "redirect_slashes of Starlette, trailingSlash of Next.js), or give clients the path as it is there."
        )
    else:
        change = "Perhaps a login page: let requests of this path pass without it, or give --header 'Cookie: …' of a session."
    seen.report.fail("path", f"{to.path} answers {answer.status}: go to {where}", change)


def _silent(seen: Examination, error: NoAnswerError) -> None:
    to, cause = seen.to, error.__cause__
    if isinstance(cause, TimeoutError):
        seen.report.fail(
            "path",
            f"{to.path} gets no answer within {to.timeout:g} s",
            "The connection is accepted and nothing is said: the server hangs (a blocking call in its event loop does that), or it is no HTTP server.",
        )
    elif not to.address.secure:
        seen.report.fail(
            "path",
            f"no answer in HTTP: {clean(error)}",
            "If the port speaks TLS, use https:// in the URL. Otherwise another program listens there: correct the port.",
        )
    else:
        seen.report.fail(
            "path",
            f"no answer in HTTP: {clean(error)}",
            "Another program listens on this port, or a proxy closes the connection: look into its log.",
        )
