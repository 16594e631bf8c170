"""Applications with a server in them, in each of the ways that people put one there.

Each has a route of its own, ``/hello``, and a lifespan that is told to a log. Processes of other servers build them too.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import fastapi
import litestar
import quart
import starlette.applications
import starlette.responses
import starlette.routing
from hypercorn.middleware import DispatcherMiddleware
from starlette.middleware.cors import CORSMiddleware

from roomcast import Server

__all__ = ["AROUND", "FRAMEWORKS", "GREETING", "ORIGIN", "PLACES", "build", "prefix_of"]

Log = Callable[[str], None]
Application = Callable[..., Any]

AROUND: Final = "around"
"""The place of a server that is in front: ``io.asgi(other_app)``."""

PLACES: Final = (AROUND, "/", "/ws", "/a/b")

GREETING: Final = "hello from outside"

ORIGIN: Final = "https://page.example"
"""Where the pages of the tests come from."""


def build(
    framework: str, place: str, *, outer_cors: bool = False, log: Log = lambda entry: None
) -> Application:
    """Return an application that holds a server, open to pages of `ORIGIN`.

    Args:
        framework: A name of `FRAMEWORKS`.
        place: One of `PLACES`.
        outer_cors: Whether a middleware around everything speaks for `ORIGIN` as well.
        log: Gets ``startup`` and ``shutdown`` of the framework's lifespan.
    """
    io = Server(cors=ORIGIN)

    @io.event
    def echo(socket: object, *args: Any) -> tuple[Any, ...]:
        return args

    app = FRAMEWORKS[framework](io, place, log)
    if outer_cors:
        app = CORSMiddleware(app, allow_origins=[ORIGIN], allow_methods=["*"])
    return app


def prefix_of(place: str) -> str:
    """Return what stands before ``/socket.io/`` in the URL."""
    return "" if place in (AROUND, "/") else place


@asynccontextmanager
async def lifespan(log: Log) -> AsyncIterator[None]:
    log("startup")
    yield
    log("shutdown")


def bare(io: Server, place: str, log: Log) -> Application:
    """Mount by hand, with the prefix cut from the path as the oldest reading of ASGI has it."""

    async def own(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with lifespan(log):
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        found = scope["path"].removeprefix(scope.get("root_path", "")) == "/hello"
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": GREETING.encode() if found else b""})

    if place == AROUND:
        return io.asgi(own)
    inner, prefix = io.asgi(), prefix_of(place)

    async def mounting(scope: Any, receive: Any, send: Any) -> None:
        root = scope.get("root_path", "")
        path = scope.get("path", "").removeprefix(root)
        if scope["type"] == "lifespan" or not path.startswith(f"{prefix}/") or path == "/hello":
            await own(scope, receive, send)
        else:
            cut = {"path": path.removeprefix(prefix), "root_path": root + prefix}
            await inner({**scope, **cut}, receive, send)

    return mounting


def in_starlette(io: Server, place: str, log: Log) -> Application:
    async def hello(request: object) -> starlette.responses.Response:
        return starlette.responses.PlainTextResponse(GREETING)

    app = starlette.applications.Starlette(
        routes=[starlette.routing.Route("/hello", hello)], lifespan=lambda app: lifespan(log)
    )
    if place == AROUND:
        return io.asgi(app)
    app.mount(place, io.asgi())
    return app


def in_fastapi(io: Server, place: str, log: Log) -> Application:
    app = fastapi.FastAPI(lifespan=lambda app: lifespan(log))

    @app.get("/hello", response_class=fastapi.responses.PlainTextResponse)
    async def hello() -> str:
        return GREETING

    if place == AROUND:
        return io.asgi(app)
    app.mount(place, io.asgi())
    return app


def in_litestar(io: Server, place: str, log: Log) -> Application:
    @litestar.get("/hello", media_type=litestar.MediaType.TEXT)
    async def hello() -> str:
        return GREETING

    handlers: list[Any] = [hello]
    if place != AROUND:
        handlers.append(litestar.asgi(place, is_mount=True, copy_scope=True)(io.asgi()))
    app = litestar.Litestar(
        handlers, lifespan=[lambda app: lifespan(log)], openapi_config=None, logging_config=None
    )
    return io.asgi(app) if place == AROUND else app


def in_quart(io: Server, place: str, log: Log) -> Application:
    """Quart mounts nothing itself; its authors' dispatcher does, and leaves the path whole."""
    app = quart.Quart(__name__)

    @app.get("/hello")
    async def hello() -> str:
        return GREETING

    @app.while_serving
    async def serving() -> AsyncIterator[None]:
        async with lifespan(log):
            yield

    if place == AROUND:
        app.asgi_app = io.asgi(app.asgi_app)
        return app
    return DispatcherMiddleware({prefix_of(place) or "/socket.io": io.asgi(), "": app})


FRAMEWORKS: Final[dict[str, Callable[[Server, str, Log], Application]]] = {
    "bare": bare,
    "starlette": in_starlette,
    "fastapi": in_fastapi,
    "litestar": in_litestar,
    "quart": in_quart,
}
