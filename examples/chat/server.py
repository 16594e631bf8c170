"""A chat with rooms, private messages, pictures and acknowledgements: ``make demo``, or ``python server.py``.

Every conversation is a Socket.IO room, and its name says which kind it is: ``#lobby`` is a room for everybody,
``@ada`` is the one that only Ada is in, so that a private message is a message to it. Socket ids, which are room
names too, contain neither character: nobody can listen to a stranger by joining a room of that name.
"""

import argparse
import asyncio
import errno
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

from roomcast import AckTimeoutError, ConnectError, Server, Socket

MAX_MESSAGE = 1_000_000  # bytes; the page tells its user before sending a larger picture
MAX_TEXT = 2_000  # characters
ACK_SECONDS = 5.0
IMAGE_TYPES = {
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
}  # not SVG: it may contain scripts

io = Server(max_http_buffer_size=MAX_MESSAGE)
people: dict[str, Socket] = {}  # by case-folded nickname


def present() -> None:
    """Tell everybody who is here and who is in which room."""
    rooms: dict[str, list[str]] = {}
    for socket in people.values():
        for room in sorted(socket.rooms):
            if room.startswith("#"):
                rooms.setdefault(room, []).append(socket.data["nickname"])
    names = [socket.data["nickname"] for socket in people.values()]
    io.emit("presence", {"people": names, "rooms": rooms})


def room_name(name: object) -> str | None:
    """Return what a person typed as the name of a room, or None where it cannot be one."""
    room = "#" + str(name).strip().lstrip("#").casefold().replace(" ", "-")
    return room if re.fullmatch(r"#[\w.-]{1,24}", room) else None


def content(body: object) -> dict[str, Any] | None:
    """Copy the parts of a message that others get to see, or return None where it is not a message."""
    match body:
        case {"text": str(text)} if 0 < len(text) <= MAX_TEXT:
            return {"text": text}
        case {"image": bytes(image), "type": str(kind), "name": str(name)} if kind in IMAGE_TYPES:
            return {"image": image, "type": kind, "name": name[:100]}
        case _:
            return None


def may_write(to: object, socket: Socket) -> TypeGuard[str]:
    """Say whether this person may write there: a room is for those inside, a person can always be reached."""
    return isinstance(to, str) and (to[:1] == "@" or (to[:1] == "#" and to in socket.rooms))


@io.use
def check_in(socket: Socket) -> None:
    """Refuse a nickname that is not one, or that somebody else has."""
    auth = socket.handshake.auth
    nickname, token = str(auth.get("nickname")).strip(), str(auth.get("token"))
    if not re.fullmatch(r"[\w.-]{1,20}", nickname):
        raise ConnectError("A nickname has up to 20 letters, digits, dots or dashes.")
    holder = people.get(nickname.casefold())
    if holder and holder.data["token"] != token:
        raise ConnectError(f"Somebody here is called {nickname} already.")
    socket.data.update(nickname=nickname, token=token)


@io.on("connection")
def connection(socket: Socket) -> None:
    """Let a person in, with the rooms that the page remembers from before a lost connection."""
    nickname = socket.data["nickname"]
    before = people.pop(nickname.casefold(), None)
    if before:
        before.disconnect(close=True)  # the same page came back before we saw that it was gone
    people[nickname.casefold()] = socket
    socket.join(f"@{nickname}")
    match socket.handshake.auth:
        case {"rooms": [*rooms]}:
            socket.join(filter(None, map(room_name, rooms)))
        case _:
            pass
    socket.emit("welcome", nickname, MAX_MESSAGE)
    present()


@io.event
def disconnect(socket: Socket) -> None:
    """Let a person go, unless a newer connection has taken the place."""
    key = socket.data["nickname"].casefold()
    if people.get(key) is socket:
        del people[key]
        present()


@io.event
def join(socket: Socket, name: object) -> dict[str, str]:
    """Enter a room; a room exists as long as somebody is in it."""
    room = room_name(name)
    if room is None:
        return {"error": "A room's name has up to 24 letters, digits, dots or dashes."}
    socket.join(room)
    present()
    return {"room": room}


@io.event
def leave(socket: Socket, room: object) -> None:
    """Leave a room."""
    if isinstance(room, str) and room.startswith("#"):
        socket.leave(room)
        present()


@io.event
def typing(socket: Socket, to: object, active: object) -> None:
    """Show the others that somebody is typing."""
    if may_write(to, socket):
        socket.to(to).emit("typing", to, socket.data["nickname"], active is True)


@io.event
async def message(socket: Socket, to: object, body: object) -> dict[str, object]:
    """Pass a message on; what is returned acknowledges it, once those who got it have acknowledged it too."""
    shown = content(body)
    if shown is None:
        return {"error": "That is neither a text of up to 2 000 characters nor a picture."}
    if not may_write(to, socket):
        return {"error": f"You are not in {to}."}
    outgoing = {"from": socket.data["nickname"], "to": to, **shown}
    try:
        answers = await socket.to(to).timeout(ACK_SECONDS).emit_with_ack("message", outgoing)
    except AckTimeoutError as error:
        answers = error.responses
    return {"delivered": len(answers)}


HERE = Path(__file__).parent
PAGES = {  # the only paths there are, so that no path leads out of this folder
    "/": (HERE / "index.html", "text/html; charset=utf-8"),
    "/app.css": (HERE / "app.css", "text/css; charset=utf-8"),
    "/app.js": (HERE / "app.js", "text/javascript; charset=utf-8"),
    "/view.js": (HERE / "view.js", "text/javascript; charset=utf-8"),
    "/logo.svg": (HERE / "logo.svg", "image/svg+xml"),
    "/socket.io.min.js": (
        HERE / "node_modules/socket.io-client/dist/socket.io.min.js",
        "text/javascript; charset=utf-8",
    ),
}
POLICY = b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'"

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def pages(scope: Mapping[str, Any], _receive: object, send: Send) -> None:
    """Answer what is not for Socket.IO: the browser's requests for the page and its parts."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    if scope["type"] != "http":
        return
    file, kind = PAGES.get(scope["path"], (None, "text/plain"))
    headers = [
        (b"content-type", kind.encode()),
        (b"content-security-policy", POLICY),
        (b"cache-control", b"no-cache"),
    ]
    body = file.read_bytes() if file else b"There is no such page."
    await send({"type": "http.response.start", "status": 200 if file else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(port: int) -> None:
    """Serve until the program is interrupted."""
    listening = await io.listen(port, other_app=pages)
    print(f"The chat is on http://{listening.host}:{listening.port}/  (Ctrl-C ends it)", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await io.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="A chat on roomcast.")
    parser.add_argument("--port", type=int, default=3000, help="0 takes a free one")
    port = parser.parse_args().port
    for file, _ in PAGES.values():
        if not file.exists():
            sys.exit(f"{file.name} is missing: run `make demo`, or `npm ci` in {HERE}")
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(serve(port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit(f"Port {port} is in use. Take another one: make demo PORT={port + 1}")


if __name__ == "__main__":
    main()
