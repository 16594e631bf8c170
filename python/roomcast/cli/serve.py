"""``roomcast serve module:attribute``: a server, or an application with one in it, on a port."""

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from roomcast.asgi import ASGIApplication
from roomcast.cli.arguments import number_of, port
from roomcast.cli.errors import CommandError
from roomcast.cli.serving import bind_or_explain, serve, url
from roomcast.cli.workers import serve_workers
from roomcast.server import Server

__all__ = ["add_command", "find"]

DESCRIPTION = """\
Serve a Socket.IO server, or an ASGI application with one in it, until SIGINT or
SIGTERM. WebSockets of Socket.IO go directly from the server to their sockets, as
with io.run; all else is uvicorn's.
"""

EXAMPLES = """\
examples:
  roomcast serve server:io                 the Server named io in server.py
  roomcast serve app.main:api --port 8000  an ASGI application, such as one of FastAPI
  roomcast serve app:make --factory        what the function make returns
  roomcast serve server:io --workers 4     four processes, for as many cores
"""


MAX_WORKERS: Final = 1_024
"""Processes of one port; a larger number is a slip."""


def add_command(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the arguments."""
    parser = add_parser(
        "serve",
        help="serve a server or an ASGI application",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "app", metavar="MODULE:ATTRIBUTE", help="a roomcast.Server or an ASGI application"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address (%(default)s)")
    parser.add_argument("--port", type=port, default=3000, help="the port, 0 for a free one (3000)")
    parser.add_argument(
        "--factory", action="store_true", help="call the attribute, and serve what it returns"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=number_of(1, MAX_WORKERS),
        default=1,
        help="processes that serve the port (1); clients of all of them hear each other",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Serve until a signal."""
    # As `python -m` has it: a program beside which the command is typed is found.
    sys.path.insert(0, "")

    def announce(where: str) -> None:
        print(f"{given.app} is served on {where} (Ctrl-C ends it)", flush=True)

    if given.workers > 1:
        with bind_or_explain(given.host, given.port) as bound:
            address = bound.getsockname()
            where = url(address[0], address[1])
            target = partial(find, given.app, factory=given.factory)
            return serve_workers(target, given.workers, bound, lambda: announce(where))
    serve(find(given.app, factory=given.factory), given.host, given.port, announce)
    return 0


def find(name: str, *, factory: bool) -> Server | ASGIApplication:
    """Return what is to be served.

    Args:
        name: ``module:attribute``; the attribute may have dots.
        factory: Whether it is called for the application.

    Raises:
        CommandError: If it is not there, or cannot be served. What fails inside the module is raised as it is.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise CommandError(f'"{name}" is not MODULE:ATTRIBUTE, as in server:io')
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only if it is this one that is missing, and none that it imports.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        hint = (
            f'; write it as "{module_name[:-3]}:{attribute}"' if module_name.endswith(".py") else ""
        )
        raise CommandError(
            f'there is no module "{error.name}" here or on the path{hint}'
        ) from error
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise CommandError(f'module "{module_name}" has no "{attribute}"{_servers(module)}')
        found = getattr(found, part)
    if factory:
        if not callable(found):
            raise CommandError(f"{name} cannot be called, so it is no factory")
        found = found()
    if isinstance(found, type):
        raise CommandError(f"{name} is a class; --factory calls it and serves what it makes")
    if not isinstance(found, Server) and not _takes_three(found):
        kind = type(found).__name__
        raise CommandError(
            f"{name} is of class {kind}, and neither a roomcast.Server nor an ASGI application"
        )
    return cast("Server | ASGIApplication", found)


def _takes_three(found: object) -> bool:
    """Return whether something can be called as an ASGI application is."""
    if not callable(found):
        return False
    try:
        inspect.signature(found).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True


def _servers(module: object) -> str:
    """Name the servers that a module does have."""
    names = [name for name, value in vars(module).items() if isinstance(value, Server)]
    return f"; it has a Server named {' and '.join(names)}" if names else ""
