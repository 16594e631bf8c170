"""The options of a server: what they are called, what they may be, and what to say where one is wrong."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Final

from roomcast.types import Limits

__all__ = ["Options", "read_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `roomcast.Server` was made with; times in seconds, sizes in bytes.

    Attributes:
        path: Prefix of the requests that belong to the server.
        ping_interval: From a pong to the next ping.
        ping_timeout: From a ping until its pong must be there.
        connect_timeout: Until a connection must have joined its first namespace.
        limits: Every limit.
        default: Called for an object that JSON does not know.

    Source:
        socket.io, ``ServerOptions``; engine.io, ``ServerOptions``.
    """

    path: str = "/socket.io"
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    connect_timeout: float = 45.0
    limits: Limits = field(default_factory=Limits)
    default: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("ping_interval", "ping_timeout", "connect_timeout"):
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
            if not 0 < value <= MAX_SECONDS:
                raise ValueError(
                    f"{name} must be above 0 and at most {MAX_SECONDS} seconds, not {value!r}"
                )
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"path must start with a slash and be plain ASCII, not {self.path!r}")
        if self.default is not None and not callable(self.default):
            raise TypeError("default must be callable")


MAX_SECONDS: Final = 2**31 // 1000
"""About 24 days: clients count milliseconds in 32 bits, and a larger interval would mean no pause at all to them."""

_PATH: Final = re.compile(r"/[!-~]*")

_LIMIT_OPTIONS: Final = ("max_http_buffer_size",)
"""The limits that are options of Socket.IO as well, under the same name."""

_NAMES: Final = (*(option.name for option in fields(Options)), *_LIMIT_OPTIONS)


def read_options(given: Mapping[str, Any]) -> Options:
    """Check options as a program gave them.

    Raises:
        TypeError: If one is unknown, and then it names the nearest right one; or if one has the wrong type.
        ValueError: If a value is out of its range, or two options contradict each other.
    """
    for name in given:
        if name not in _NAMES:
            raise TypeError(f"unknown option {name!r}{_hint(name)}")
    options = Options(
        **{name: value for name, value in given.items() if name not in _LIMIT_OPTIONS}
    )
    limits = options.limits
    if not isinstance(limits, Limits):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
        raise TypeError(f"limits must be Limits, not {type(limits).__name__}")
    for name in _LIMIT_OPTIONS:
        if name not in given:
            continue
        value = given[name]
        if "limits" in given and getattr(limits, name) not in (value, getattr(Limits(), name)):
            raise ValueError(
                f"{name} is {value!r} as an option, but {getattr(limits, name)!r} in limits"
            )
        limits = replace(limits, **{name: value})
    return replace(options, limits=limits)


def _hint(name: str) -> str:
    """Name the option that was probably meant; camelCase is what people bring from JavaScript."""
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    limits = [limit.name for limit in fields(Limits)]
    if snake in limits and snake not in _NAMES:
        return f"; it is a limit: limits=Limits({snake}=...)"
    nearest = get_close_matches(snake, [*_NAMES, *limits], n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
