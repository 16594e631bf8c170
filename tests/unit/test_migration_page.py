"""docs/migrating-from-python-socketio.md names all that is public in the python-socketio that is installed."""

import inspect
import re
from pathlib import Path
from typing import Any, Final

import engineio
import pytest
import socketio

PAGE: Final = (Path(__file__).parents[2] / "docs/migrating-from-python-socketio.md").read_text(
    encoding="utf-8"
)

NO_OPTIONS: Final = {"self", "args", "kwargs"}


def section(title: str) -> str:
    """Return what stands below a heading, up to the next one of the same level or above."""
    marks, _, _ = title.partition(" ")
    start = PAGE.index(f"\n{title}\n") + len(title) + 1
    end = re.compile(rf"^#{{1,{len(marks)}}} ", re.MULTILINE).search(PAGE, start)
    return PAGE[start : end.start() if end else None]


def named(text: str) -> set[str]:
    """Return the names in the first columns of tables, without their arguments."""
    rows = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)", row)}


def parameters(*functions: Any) -> set[str]:
    names = {name for each in functions for name in inspect.signature(each).parameters}
    return names - NO_OPTIONS


def options(*classes: Any) -> set[str]:
    made = [base.__init__ for cls in classes for base in cls.__mro__ if "__init__" in vars(base)]
    return parameters(*(each for each in made if each is not object.__init__))


def public(made: Any) -> set[str]:
    return {name for name in (*dir(type(made)), *vars(made)) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("## AsyncServer", public(socketio.AsyncServer(async_mode="asgi"))),
        (
            "### Options of AsyncServer",
            options(socketio.AsyncServer, engineio.AsyncServer) | {"engineio_logger"},
        ),
        ("## AsyncNamespace", public(socketio.AsyncNamespace())),
        ("## ASGIApp", public(socketio.ASGIApp(None)) | options(socketio.ASGIApp)),
        ("## AsyncClient", public(socketio.AsyncClient())),
        (
            "### Options of AsyncClient",
            options(socketio.AsyncClient, engineio.AsyncClient) | {"engineio_logger"},
        ),
        (
            "### Arguments of AsyncClient.connect",
            parameters(socketio.AsyncClient.connect, socketio.AsyncSimpleClient.connect),
        ),
        ("## AsyncClientNamespace", public(socketio.AsyncClientNamespace())),
        ("## AsyncSimpleClient", public(socketio.AsyncSimpleClient())),
    ],
)
def test_every_public_name_has_its_row(title: str, names: set[str]) -> None:
    assert names
    assert names - named(section(title)) == set()
