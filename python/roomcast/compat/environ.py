"""The WSGI environment that ``connect`` handlers get, made of the ASGI scope of the request that opened the connection.

The engine knows nothing of scopes. Whoever takes a request puts its scope where `remember` finds it, which the engine asks as its
option ``allow_request``: for new connections only, so that the many requests of polling cost nothing.

Source:
    python-engineio, ``async_drivers.asgi.translate_request``. Differs from it: the address is the client's, and there is nothing of
    the request's body, which a handshake has not, nor of ``receive`` and ``send``, which belong to roomcast.
"""

import sys
from contextvars import ContextVar
from typing import Any, Final

from roomcast.engine.asgi import Scope
from roomcast.engine.requests import Request

__all__ = ["Environ", "current_scope", "environ_of", "remember"]

Environ = dict[str, Any]

_SCOPE: Final = "roomcast.compat.scope"

current_scope: Final[ContextVar[Scope | None]] = ContextVar("roomcast.compat.scope", default=None)
"""The scope of the request that is being served."""


def remember(request: Request) -> bool:
    """Keep the scope with the request that opens a connection; every request may."""
    scope = current_scope.get()
    if scope is not None:
        # Without the extensions, which hold the server's own objects for as long as the connection lives.
        kept = {name: value for name, value in scope.items() if name != "extensions"}
        request.state[_SCOPE] = kept
    return True


def environ_of(request: Request) -> Environ:
    """Return the environment of a request; a new dict."""
    scope: Scope | None = request.state.get(_SCOPE)
    if scope is None:
        scope = _scope_of(request)
    client = scope.get("client") or ("", 0)
    query = scope.get("query_string", b"").decode("latin-1")
    path: str = scope["path"]
    environ: Environ = {
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.async": True,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "SERVER_SOFTWARE": "asgi",
        "REQUEST_METHOD": scope.get("method", "GET"),
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": f"{path}?{query}" if query else path,
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.address,
        "REMOTE_PORT": str(client[1]),
        "SERVER_NAME": "asgi",
        "SERVER_PORT": "0",
        "asgi.scope": scope,
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
            if name in environ:
                value = f"{environ[name]},{value}"
        environ[name] = value
    scheme = "https" if request.secure else "http"
    environ["wsgi.url_scheme"] = environ.get("HTTP_X_FORWARDED_PROTO", scheme)
    return environ


def _scope_of(request: Request) -> Scope:
    """Return the scope of a request that came another way: what roomcast has kept of it."""
    path, _, query = request.url.partition("?")
    headers = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()
    ]
    return {
        "type": "http",
        "method": request.method,
        "path": path,
        "query_string": query.encode("latin-1"),
        "headers": headers,
        "client": (request.address, 0),
    }
