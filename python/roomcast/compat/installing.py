"""Every packet of a process that python-socketio makes."""

from importlib import import_module
from types import ModuleType
from typing import Any, Final

from roomcast.compat.packet import Packet
from roomcast.errors import MissingDependencyError

__all__ = ["install", "uninstall"]

OURS: Final[dict[tuple[str, str], type[Any]]] = {("socketio.packet", "Packet"): Packet}
"""What takes the place of which name of which module."""

_theirs: Final[dict[tuple[str, str], type[Any]]] = {}


def install() -> None:
    """Let roomcast make every packet of the servers and clients of python-socketio that this process makes from now on.

    The option ``serializer=Packet`` is enough for a server or client that a program makes itself, its pub/sub managers included.
    This is for those that others make: frameworks and extensions that have no such option. What has been made already
    keeps its packets. A second call changes nothing.

    Raises:
        MissingDependencyError: If python-socketio is not installed.
    """
    for (module, name), ours in OURS.items():
        if (module, name) not in _theirs:
            _theirs[module, name] = getattr(_module(module), name)
            setattr(_module(module), name, ours)


def uninstall() -> None:
    """Let python-socketio make its packets itself again, for servers and clients that are made from now on."""
    while _theirs:
        (module, name), theirs = _theirs.popitem()
        setattr(_module(module), name, theirs)


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            'this needs python-socketio: pip install "python-socketio>=5.16"'
        ) from error
