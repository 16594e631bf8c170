"""The same application on python-socketio and on `roomcast.compat`, each as it would be served."""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from roomcast.compat import ASGIApp
from support.asgi_servers import in_process
from support.official_client import OfficialClients
from support.served import eventually

__all__ = ["KINDS", "example", "hosting", "library"]

KINDS: Final = ("python-socketio", "roomcast", "roomcast-direct")
"""The peer; roomcast through plain ASGI; and roomcast on the sockets themselves."""

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "python-socketio"

CHANGES: Final = {
    "from roomcast import compat as socketio": "import socketio",
    "from roomcast.compat.exceptions import": "from socketio.exceptions import",
}
"""All that has to change in an application, read backwards."""


def library(kind: str) -> Any:
    """Return what an application imports as ``socketio``."""
    return importlib.import_module("socketio" if kind == "python-socketio" else "roomcast.compat")


def example(name: str, kind: str) -> ModuleType:
    """Return an example, made new, with the import that it needs."""
    path = EXAMPLES / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    if kind == "python-socketio":
        for ours, theirs in CHANGES.items():
            source = source.replace(ours, theirs)
        assert "roomcast" not in source.partition('"""\n')[2]
    module = ModuleType(name)
    module.__file__ = str(path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def open_connections(app: Any) -> Any:
    """Return the connections of the server in an application."""
    if isinstance(app, ASGIApp):
        return app._server.io.engine.connections
    return app.engineio_server.manager.rooms


@asynccontextmanager
async def hosting(
    kind: str, app: Any, node: OfficialClients, path: str = ""
) -> AsyncIterator[OfficialClients]:
    """Serve an application until the end of the block; give the clients that know its URL."""
    direct = kind == "roomcast-direct"
    ws = "roomcast.uvicorn:WebSocketProtocol" if direct else "websockets-sansio"
    async with in_process(app, ws=ws) as port:
        node.reset(f"http://127.0.0.1:{port}{path}")
        try:
            yield node
        finally:
            polls = (
                [] if isinstance(app, ASGIApp) else list(app.engineio_server.eio.sockets.values())
            )
            node.reset("")
            await eventually(lambda: not open_connections(app))
            for poll in polls:  # it holds the requests of clients that have left
                await poll.queue.put(None)
