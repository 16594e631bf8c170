"""permessage-deflate: whether the messages of WebSockets are compressed, and how.

Off unless it is asked for, as in the reference: a compressed connection costs time per message, and memory where its client keeps
a context.

Source:
    RFC 7692.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from roomcast._core import Deflate
from roomcast.engine.fields import check_keys, snake_case

__all__ = ["PerMessageDeflate", "read_per_message_deflate"]

RANGES: Final = {"level": (1, 9), "server_max_window_bits": (9, 15)}
"""zlib's own; it makes no raw stream with a window of 8 bits, and level 0 would compress nothing."""

ALWAYS: Final = "server_no_context_takeover"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerMessageDeflate:
    """How the messages of WebSockets are compressed.

    Each message of the server is compressed alone (``server_no_context_takeover``), so that a broadcast is compressed once for
    all clients with the same window.

    Attributes:
        threshold: Bytes from which on a message is compressed.
        level: The level of zlib, from 1 (fast) to 9 (small).
        server_max_window_bits: The largest window for messages of the server, as the exponent of its bytes. Clients may ask for
            a smaller one.
        client_no_context_takeover: Whether clients must compress each message alone. Otherwise each connection whose client does
            not choose to holds 47 kB from its first compressed message on.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of its range.

    Source:
        engine.io, ``ServerOptions.perMessageDeflate``; ws, ``PerMessageDeflate``. Differs from ws: clients keep no context unless
        they are allowed to.
    """

    threshold: int = 1024
    level: int = 6
    server_max_window_bits: int = 15
    client_no_context_takeover: bool = True

    def __post_init__(self) -> None:
        for name in ("threshold", *RANGES):
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(
                    f"per_message_deflate: {name} must be an int, not {type(value).__name__}"
                )
        if self.threshold < 0:
            raise ValueError("per_message_deflate: threshold must be zero or more")
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"per_message_deflate: {name} must be from {least} to {most}")
        if not isinstance(self.client_no_context_takeover, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
            raise TypeError("per_message_deflate: client_no_context_takeover must be True or False")

    def deflate(self) -> Deflate:
        """Return what negotiates and compresses."""
        return Deflate(
            self.threshold,
            self.level,
            self.server_max_window_bits,
            self.client_no_context_takeover,
        )


def read_per_message_deflate(
    value: bool | Mapping[str, Any] | PerMessageDeflate | None,
) -> PerMessageDeflate | None:
    """Read the option ``per_message_deflate`` of a server.

    Args:
        value: ``False`` or ``None`` for off, ``True`` for the usual, a mapping of the fields of `PerMessageDeflate`, or one.

    Raises:
        TypeError: If a key is unknown, and then it names the nearest right one; or if something has the wrong type.
        ValueError: If a value is out of its range.

    Source:
        engine.io, ``ServerOptions.perMessageDeflate``.
    """
    if value is None or value is False:
        return None
    if value is True:
        return PerMessageDeflate()
    if isinstance(value, PerMessageDeflate):
        return value
    if not isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
        raise TypeError(
            "per_message_deflate must be a bool, a mapping or a PerMessageDeflate,"
            f" not {type(value).__name__}"
        )
    for key in value:
        if snake_case(str(key)) == ALWAYS:
            raise TypeError(f"per_message_deflate: {ALWAYS} is always agreed on; leave it out")
    names = [field.name for field in fields(PerMessageDeflate)]
    check_keys(value, names, "per_message_deflate")
    return PerMessageDeflate(**value)
