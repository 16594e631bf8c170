"""Every packet of a process that python-socketio makes."""

from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from roomcast.compat import json as default_json
from roomcast.compat.msgpack_packet import MsgPackPacket
from roomcast.compat.packet import Packet
from roomcast.errors import MissingDependencyError

__all__ = ["install", "uninstall"]

OURS: Final[dict[tuple[str, str], type[Any]]] = {
    ("socketio.packet", "Packet"): Packet,
    ("socketio.msgpack_packet", "MsgPackPacket"): MsgPackPacket,
}
"""What takes the place of which name of which module. The second module needs msgpack, and is nobody's without it."""

_theirs: Final[dict[tuple[str, str], type[Any]]] = {}


def install() -> None:
    """Let roomcast make every packet of the servers and clients of python-socketio that this process makes from now on.

    The option ``serializer=Packet`` is enough for a server or client that a program makes itself, its pub/sub managers included.
    This is for those that others make: frameworks and extensions that have no such option. What has been made already
    keeps its packets. A second call changes nothing.

    Raises:
        MissingDependencyError: If python-socketio is not installed.
    """
    _module("socketio")
    for (name, attribute), ours in OURS.items():
        if (name, attribute) in _theirs:
            continue
        with suppress(MissingDependencyError):
            module = _module(name)
            _theirs[name, attribute] = getattr(module, attribute)
            setattr(module, attribute, ours)
    if default_json.is_default(Packet.json):
        Packet.json = _module(default_json.THEIRS)  # does the same, and programs expect it


def uninstall() -> None:
    """Let python-socketio make its packets itself again, for servers and clients that are made from now on."""
    while _theirs:
        (module, name), theirs = _theirs.popitem()
        setattr(_module(module), name, theirs)
    if default_json.is_default(Packet.json):
        Packet.json = default_json


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            'this needs python-socketio: pip install "python-socketio>=5.16"'
        ) from error
