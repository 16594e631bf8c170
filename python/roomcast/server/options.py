"""The options of a server: what they are called, what they may be, and what to say where one is wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from typing import Any, Final, TypedDict

from roomcast.codec.parser import Parser
from roomcast.engine.cookies import Cookie
from roomcast.engine.deflate import PerMessageDeflate
from roomcast.engine.fields import did_you_mean, snake_case
from roomcast.engine.options import (
    AllowRequest,
    EngineOptions,
    GenerateId,
    SendBufferPolicy,
    check_seconds,
)
from roomcast.engine.origins import Cors, Origins
from roomcast.engine.proxies import TrustedProxies
from roomcast.server.adapter import AdapterFactory
from roomcast.server.recovery import (
    OPTION as RECOVERY,
    ConnectionStateRecovery,
    read_connection_state_recovery,
)
from roomcast.types import Limits

__all__ = ["Options", "ServerOptions", "read_options"]


class ServerOptions(TypedDict, total=False):
    """What `roomcast.Server` takes by keyword; `Options` says what each means, and has the defaults."""

    path: str
    add_trailing_slash: bool
    transports: Sequence[str]
    allow_upgrades: bool
    ping_interval: float
    ping_timeout: float
    upgrade_timeout: float
    connect_timeout: float
    http_compression: bool | int | Mapping[str, int]
    per_message_deflate: bool | Mapping[str, Any] | PerMessageDeflate | None
    cookie: bool | str | Mapping[str, Any] | Cookie | None
    cors: Origins | Mapping[str, Any] | Cors | None
    allow_request: AllowRequest | None
    generate_id: GenerateId | None
    trusted_proxies: Sequence[str] | TrustedProxies | None
    send_buffer_policy: SendBufferPolicy
    workers: str | PathLike[str] | None
    cleanup_empty_child_namespaces: bool
    connection_state_recovery: bool | Mapping[str, Any] | ConnectionStateRecovery | None
    max_http_buffer_size: int
    adapter: AdapterFactory | None
    parser: Parser | None
    limits: Limits
    default: Callable[[Any], Any] | None
    validate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(EngineOptions):
    """What `roomcast.Server` was made with: the options of the engine, and those of Socket.IO.

    Attributes:
        connect_timeout: Seconds until a connection must have joined its first namespace.
        cleanup_empty_child_namespaces: Whether the child of a dynamic namespace goes with its last socket. Differs from socket.io,
            where it stays by default: clients choose the names.
        connection_state_recovery: Whether clients whose line has broken get their session back, with what they have missed:
            ``True``, the fields of `ConnectionStateRecovery`, or ``None``.
        adapter: Makes the server one of a cluster, as `roomcast.RedisAdapter` does; ``None`` for one that is alone. One
            of several ``workers`` that is given none has a `roomcast.WorkersAdapter`.
        parser: The wire format, as `roomcast.msgpack`; ``None`` for Socket.IO's own. Every client must have the same.
        default: Called for an object that JSON does not know.
        validate: Whether the events of clients are validated by the annotations of the handlers that do not say it themselves.

    Source:
        socket.io, ``ServerOptions``.
    """

    connect_timeout: float = 45.0
    cleanup_empty_child_namespaces: bool = True
    connection_state_recovery: ConnectionStateRecovery | None = None
    adapter: AdapterFactory | None = None
    parser: Parser | None = None
    default: Callable[[Any], Any] | None = None
    validate: bool = False

    def __post_init__(self) -> None:
        EngineOptions.__post_init__(self)
        check_seconds(self, "connect_timeout")
        for name in ("cleanup_empty_child_namespaces", "validate"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False")
        is_class = isinstance(self.adapter, type)
        if self.adapter is not None and (
            is_class or not callable(getattr(self.adapter, "new_adapter", None))
        ):
            raise TypeError("adapter must be an AdapterFactory, as roomcast.RedisAdapter(...) is")
        if self.default is not None and not callable(self.default):
            raise TypeError("default must be callable")

    @staticmethod
    def read(given: dict[str, Any]) -> dict[str, Any]:
        """Return options with the short forms of a program replaced; as `EngineOptions.read`."""
        read = EngineOptions.read(given)
        if RECOVERY in read:
            read[RECOVERY] = read_connection_state_recovery(read[RECOVERY])
        return read


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
        **Options.read({name: value for name, value in given.items() if name not in _LIMIT_OPTIONS})
    )
    limits = options.limits
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
    """Name the option that was probably meant."""
    snake = snake_case(name)
    limits = [limit.name for limit in fields(Limits)]
    if snake in limits and snake not in _NAMES:
        return f"; it is a limit: limits=Limits({snake}=...)"
    return did_you_mean(name, [*_NAMES, *limits])
