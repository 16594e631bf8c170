"""The options of python-socketio's ``AsyncServer`` and python-engineio's, as those of `roomcast.Server`.

What cannot be honoured raises, and says what to do instead.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypedDict

from roomcast import msgpack
from roomcast.compat.environ import current_scope, environ_of, remember
from roomcast.compat.msgpack_packet import MsgPackPacket
from roomcast.compat.packet import Packet
from roomcast.engine.fields import did_you_mean
from roomcast.engine.origins import Cors
from roomcast.engine.requests import Request
from roomcast.errors import UsageError
from roomcast.server import AdapterFactory
from roomcast.sockets.signatures import accepted
from roomcast.types import Limits

__all__ = ["EngineIOOptions", "read_client_manager", "read_json", "read_logger", "read_options"]

CorsAllowedOrigins = str | Sequence[str] | Callable[..., bool] | None


class EngineIOOptions(TypedDict, total=False):
    """What `AsyncServer` takes by keyword beside its own parameters.

    The last five are roomcast's, all others python-socketio's.
    """

    serializer: str | type[Packet]
    always_connect: bool
    async_mode: str | None
    ping_interval: float | tuple[float, float]
    ping_timeout: float
    max_http_buffer_size: int
    allow_upgrades: bool
    http_compression: bool
    compression_threshold: int
    cookie: str | Mapping[str, Any] | None
    cors_allowed_origins: CorsAllowedOrigins
    cors_credentials: bool
    monitor_clients: bool | None
    transports: str | Sequence[str] | None
    engineio_logger: bool | None
    adapter: AdapterFactory | None
    default: Callable[[Any], Any] | None
    limits: Limits
    per_message_deflate: bool | Mapping[str, Any]
    trusted_proxies: Sequence[str] | None


_AS_THEY_ARE: Final = (
    *("ping_timeout", "max_http_buffer_size", "allow_upgrades"),
    *("adapter", "default", "limits", "per_message_deflate", "trusted_proxies"),
)
"""Options that mean the same to a `roomcast.Server`."""

_OWN: Final = ("client_manager", "logger", "json", "async_handlers", "namespaces")

COMPRESSION_THRESHOLD: Final = 1024
"""Bytes. python-engineio's."""

_COOKIE_FIELDS: Final = {
    "name": "name",
    "path": "path",
    "domain": "domain",
    "samesite": "same_site",
    "secure": "secure",
    "httponly": "http_only",
    "max-age": "max_age",
}

_COOKIE_TYPES: Final[dict[str, Callable[[Any], Any]]] = {
    "same_site": lambda value: str(value).lower(),
    "max_age": int,
}


def read_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a `roomcast.Server` for those of python-socketio.

    Raises:
        TypeError: If one is unknown, or has the wrong type.
        UsageError: If one cannot be honoured.
        ValueError: If a value is out of its range.
    """
    names = (*EngineIOOptions.__annotations__, *_OWN)
    for name in given:
        if name not in names:
            raise TypeError(f"unknown option {name!r}{did_you_mean(name, names)}")
    _check_async_mode(given.get("async_mode"))
    if given.get("monitor_clients") is False:
        raise UsageError(
            "monitor_clients=False: roomcast always closes clients that do not answer;"
            " a longer ping_timeout leaves them more time"
        )
    _read_engineio_logger(given.get("engineio_logger"))
    options = {name: given[name] for name in _AS_THEY_ARE if name in given}
    options["allow_request"] = remember
    options["parser"] = _read_serializer(given.get("serializer", "default"))
    options["cors"] = _read_cors(given.get("cors_allowed_origins"), given.get("cors_credentials"))
    options["cookie"] = _read_cookie(given.get("cookie"))
    if "ping_interval" in given:
        _read_ping_interval(given["ping_interval"], options)
    if "http_compression" in given or "compression_threshold" in given:
        threshold = given.get("compression_threshold", COMPRESSION_THRESHOLD)
        options["http_compression"] = threshold if given.get("http_compression", True) else False
    transports = given.get("transports")
    if transports is not None:
        options["transports"] = [transports] if isinstance(transports, str) else transports
    return options


def read_client_manager(manager: object) -> None:
    """Refuse a client manager.

    Raises:
        UsageError: If there is one.
    """
    if manager is not None:
        raise UsageError(
            "client_manager: a cluster of roomcast has an adapter instead:"
            ' adapter=roomcast.RedisAdapter("redis://localhost:6379"); a server alone needs neither'
        )


def read_json(module: object) -> None:
    """Refuse a JSON module.

    Raises:
        UsageError: If there is one.
    """
    if module is not None:
        raise UsageError(
            "json: roomcast's core writes and reads JSON itself; leave it out, and give"
            " default=function for objects that JSON does not know"
        )


def read_logger(logger: bool | logging.Logger) -> logging.Logger:
    """Return where a server says what it does: a logger as it is, or roomcast's own, which says it with ``True``."""
    if not isinstance(logger, bool):
        return logger
    return _logger("roomcast.compat", logging.INFO if logger else logging.ERROR)


def _read_engineio_logger(logger: object) -> None:
    if logger is True:
        _logger("roomcast.engine", logging.INFO)
    elif logger is not None and logger is not False:
        raise UsageError(
            'engineio_logger takes True or False; what the engine logs goes to logging.getLogger("roomcast.engine")'
        )


def _logger(name: str, level: int) -> logging.Logger:
    logger = logging.getLogger(name)
    if logger.level == logging.NOTSET:
        logger.setLevel(level)
        if level == logging.INFO:
            logger.addHandler(logging.StreamHandler())
    return logger


def _check_async_mode(mode: object) -> None:
    if mode not in (None, "asgi"):
        raise UsageError(
            f"async_mode={mode!r}: roomcast speaks ASGI only; serve ASGIApp(sio) with uvicorn, hypercorn or granian"
        )


def _read_serializer(serializer: object) -> Any:
    if serializer in ("default", Packet):
        return None
    if serializer in ("msgpack", MsgPackPacket):
        return msgpack
    raise UsageError(
        f"serializer={serializer!r}: 'default' and 'msgpack' are there; a format of your own is the option"
        " parser of a roomcast.Server"
    )


def _read_ping_interval(interval: Any, options: dict[str, Any]) -> None:
    """Read an interval that may have a grace period: that is time that clients and server have for each other's answer."""
    if isinstance(interval, tuple):
        interval, grace = interval  # pyright: ignore[reportUnknownVariableType]
        options["ping_timeout"] = options.get("ping_timeout", 20) + grace
    options["ping_interval"] = interval


def _read_cors(origins: Any, credentials: bool | None) -> Cors | None:
    if origins is None or _is_off(origins):
        return None
    everybody = origins == "*" or (not callable(origins) and "*" in origins)
    if everybody:
        if credentials:
            raise UsageError(
                "cors_credentials=True together with '*' would give every page on the web the cookies of"
                " your users: name the origins"
            )
        return Cors(origins="*")
    if callable(origins):
        origins = _asked(origins)
    return Cors(origins=origins, credentials=credentials is not False)


def _is_off(origins: object) -> bool:
    """Say whether cross-origin requests are none of the server's business."""
    return isinstance(origins, list | tuple) and not origins


def _asked(function: Callable[..., Any]) -> Callable[[str], bool]:
    """Return what asks a function of origins, which may want the environment of the request too."""

    def allows(origin: str) -> bool:
        scope = current_scope.get()
        environ = None if scope is None else environ_of(Request.from_scope(scope))
        return bool(function(*accepted(function, (origin, environ))))

    return allows


def _read_cookie(cookie: Any) -> Mapping[str, Any] | str | None:
    if cookie is None or isinstance(cookie, str):
        return cookie or None
    fields: dict[str, Any] = {"name": "io", "same_site": None}
    for name, value in cookie.items():
        field = _COOKIE_FIELDS.get(str(name).lower())
        if field is None:
            raise TypeError(
                f"cookie: {name!r} is none of {', '.join(_COOKIE_FIELDS)}; max-age stands for expires"
            )
        if callable(value):
            raise TypeError(f"cookie: {name} must be a value, not a function")
        convert = _COOKIE_TYPES.get(field)
        fields[field] = value if convert is None else convert(value)
    return fields
