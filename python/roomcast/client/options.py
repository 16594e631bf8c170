"""How a client connects: the options of the reference in Python's spelling, with its defaults; times in seconds, sizes in bytes.

Source:
    socket.io-client, ``ManagerOptions`` and ``SocketOptions``; engine.io-client, ``SocketOptions``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf, isfinite
from ssl import SSLContext
from typing import Any, Final, Literal, TypedDict, cast
from urllib.parse import urlsplit

from roomcast.codec.parser import Parser
from roomcast.engine.fields import check_keys, did_you_mean, is_token
from roomcast.types import Limits

__all__ = [
    "Auth",
    "BufferPolicy",
    "ConnectOptions",
    "ManagerOptions",
    "Options",
    "Query",
    "QueryValue",
    "SocketOptions",
    "Transport",
    "check_auth",
    "check_retries",
    "check_socket_options",
    "read_options",
    "split_options",
]

Auth = Mapping[str, Any] | Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""What goes to the server with each CONNECT, or a function or coroutine function that is asked for it each time."""

Transport = Literal["polling", "websocket"]

BufferPolicy = Literal["raise", "drop_oldest", "drop_newest"]

QueryValue = str | int | float | bool
Query = Mapping[str, QueryValue | Sequence[QueryValue]]

TRANSPORTS: Final = ("polling", "websocket")
POLICIES: Final = ("raise", "drop_oldest", "drop_newest")

MANAGED: Final = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the transports."""

CLIENT_LIMITS: Final = Limits(
    max_http_buffer_size=100_000_000,
    max_packet_size=1_000_000_000,
    max_values=10_000_000,
)
"""What a server may send. A client has chosen its server, and has but one: official clients take 100 MiB a message, and have no other
limits than that and the number of attachments."""


class ManagerOptions(TypedDict, total=False):
    """The options of `Manager`; their meanings and defaults are those of `Options`."""

    path: str
    add_trailing_slash: bool
    query: Query
    auto_connect: bool
    reconnection: bool
    reconnection_attempts: float
    reconnection_delay: float
    reconnection_delay_max: float
    randomization_factor: float
    timeout: float | None
    transports: Transport | Sequence[Transport]
    upgrade: bool
    try_all_transports: bool
    remember_upgrade: bool
    extra_headers: Mapping[str, str]
    transport_options: Mapping[Transport, Mapping[str, Any]]
    timestamp_requests: bool | None
    timestamp_param: str
    force_base64: bool
    with_credentials: bool
    per_message_deflate: bool
    protocols: Sequence[str]
    request_timeout: float | None
    ssl: SSLContext | bool
    proxy: str | None
    trust_env: bool
    local_address: str | None
    send_buffer_packets: int
    send_buffer_size: int
    send_buffer_policy: BufferPolicy
    parser: Parser | None
    limits: Limits
    default: Callable[[Any], Any] | None


class SocketOptions(TypedDict, total=False):
    """The options of one socket.

    Attributes:
        auth: What goes to the server with each CONNECT.
        ack_timeout: Seconds that acknowledgements may take where `Socket.timeout` does not say; ``None`` for no end.
        retries: How often an event is sent again that is not acknowledged, one event at a time; ``None`` sends each once and as they come.
        retry: Whether awaiting the connection waits until an attempt succeeds, as `Options.reconnection` says, rather than raising what the first
            one raised.
    """

    auth: Auth | None
    ack_timeout: float | None
    retries: int | None
    retry: bool


class ConnectOptions(ManagerOptions, SocketOptions, total=False):
    """The options of `connect`: those of `Manager`, and those of a socket."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a manager connects.

    Attributes:
        path: The path of the server, not the namespace.
        add_trailing_slash: Whether a slash is added to it that is missing.
        query: Further parameters of every request. Several values of one are joined with commas. The query of the URL takes its place.
        auto_connect: Whether `Manager.socket` begins to connect; it then has to be called while an event loop runs.
        reconnection: Whether a lost connection is made anew, and one that cannot be made is tried again.
        reconnection_attempts: How often, after the first; ``0`` and infinity for no end.
        reconnection_delay: Seconds before the first of them; each further delay is twice as long.
        reconnection_delay_max: Seconds that none of these delays exceeds.
        randomization_factor: Which share of a delay is left to chance, 0 to 1.
        timeout: Seconds that an attempt may take; ``None`` for no end.
        transports: The one to connect with, then what it may move to.
        upgrade: Whether to move from polling to a WebSocket if the server offers it.
        try_all_transports: Whether the next transport is tried where one cannot connect.
        remember_upgrade: Whether to begin with a WebSocket once an upgrade has succeeded in this process.
        extra_headers: Headers of every request.
        transport_options: ``extra_headers``, ``query`` and ``request_timeout`` of one transport, in place of the general ones.
        timestamp_requests: Whether requests are told apart by a parameter; ``None`` for those of polling only.
        timestamp_param: Its name.
        force_base64: Whether attachments are sent as text on WebSockets too.
        with_credentials: Whether cookies of the server are kept and sent back, as sticky sessions need. Differs from the reference, where a page
            keeps them by itself, and a program has to say so.
        per_message_deflate: Whether messages of 1 024 bytes and more are compressed on a WebSocket if the server agrees.
        protocols: Subprotocols to offer with a WebSocket.
        request_timeout: Seconds that a request of polling may take; ``None`` for as long as the connection lives.
        ssl: A context for TLS, with client certificates or own authorities; ``False`` accepts any certificate.
        proxy: An HTTP proxy, as in ``http://user:password@host:port``. WebSockets go through it by CONNECT.
        trust_env: Whether the proxy may be named by ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``.
        local_address: The IP address to connect from.
        send_buffer_packets: Events that one socket keeps until it is connected.
        send_buffer_size: Bytes of them, and bytes that wait for the line.
        send_buffer_policy: What happens to an event for which there is no room: ``raise`` raises `SendBufferError` at the emit, ``drop_oldest`` and
            ``drop_newest`` drop one, count it in `Manager.dropped`, and log the first.
        parser: The wire format, as `roomcast.msgpack`; ``None`` for Socket.IO's own. The server must have the same.
        limits: What a packet may measure.
        default: Called for an object JSON does not know, as in ``json.dumps(default=)``.
    """

    path: str = "/socket.io"
    add_trailing_slash: bool = True
    query: Query = field(default_factory=dict[str, QueryValue])
    auto_connect: bool = True
    reconnection: bool = True
    reconnection_attempts: float = inf
    reconnection_delay: float = 1.0
    reconnection_delay_max: float = 5.0
    randomization_factor: float = 0.5
    timeout: float | None = 20.0
    transports: Transport | Sequence[Transport] = TRANSPORTS
    upgrade: bool = True
    try_all_transports: bool = False
    remember_upgrade: bool = False
    extra_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    transport_options: Mapping[Transport, Mapping[str, Any]] = field(
        default_factory=dict[Transport, Mapping[str, Any]]
    )
    timestamp_requests: bool | None = None
    timestamp_param: str = "t"
    force_base64: bool = False
    with_credentials: bool = True
    per_message_deflate: bool = True
    protocols: Sequence[str] = ()
    request_timeout: float | None = None
    ssl: SSLContext | bool = True
    proxy: str | None = None
    trust_env: bool = False
    local_address: str | None = None
    send_buffer_packets: int = 100_000
    send_buffer_size: int = 64_000_000
    send_buffer_policy: BufferPolicy = "raise"
    parser: Parser | None = None
    limits: Limits = CLIENT_LIMITS
    default: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        """Check what can be wrong.

        Raises:
            TypeError: If a value is of the wrong type.
            ValueError: If it is out of range, or two contradict each other.
        """
        self._check_times()
        unknown = [name for name in self.order if name not in TRANSPORTS]
        if unknown or not self.order or len(set(self.order)) < len(self.order):
            raise ValueError(
                f"transports must be among {TRANSPORTS}, each once, not {self.transports!r}"
            )
        if self.send_buffer_policy not in POLICIES:
            raise ValueError(
                f"send_buffer_policy must be one of {POLICIES}, not {self.send_buffer_policy!r}"
            )
        if not self.path.startswith("/"):
            raise ValueError(f"path must begin with a slash, not {self.path!r}")
        if not self.timestamp_param:
            raise ValueError("timestamp_param must not be empty")
        _check_headers(self.extra_headers)
        _check_transport_options(self.transport_options)
        if not all(map(is_token, self.protocols)):
            raise ValueError(f"protocols must be tokens of HTTP, not {self.protocols!r}")
        if self.proxy is not None:
            proxy = urlsplit(self.proxy)
            if proxy.scheme != "http" or not proxy.hostname:
                raise ValueError("proxy must be a URL as in http://host:port")

    @property
    def order(self) -> tuple[str, ...]:
        """The transports in their order."""
        return (self.transports,) if isinstance(self.transports, str) else tuple(self.transports)

    @property
    def attempts(self) -> float:
        """How often a connection is tried again, infinity for no end."""
        return self.reconnection_attempts or inf

    def of(self, transport: str, option: str) -> Any:
        """Return an option as one transport has it."""
        special = cast("Mapping[str, Mapping[str, Any]]", self.transport_options).get(transport, {})
        return special[option] if option in special else getattr(self, option)

    def _check_times(self) -> None:
        for name in ("reconnection_delay", "reconnection_delay_max", "randomization_factor"):
            _check_number(name, getattr(self, name))
        for name in ("timeout", "request_timeout"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name))
        for name in ("send_buffer_packets", "send_buffer_size"):
            _check_number(name, getattr(self, name))
        if self.randomization_factor > 1:
            raise ValueError(
                f"randomization_factor must be at most 1, not {self.randomization_factor!r}"
            )
        attempts = self.reconnection_attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"reconnection_attempts must be a number, not {type(attempts).__name__}"
            )
        if not attempts >= 0:
            raise ValueError(f"reconnection_attempts must be zero or more, not {attempts!r}")


OPTION_NAMES: Final = frozenset(field.name for field in fields(Options))
TRANSPORT_OPTIONS: Final = frozenset({"extra_headers", "query", "request_timeout"})

SOCKET_OPTION_NAMES: Final = frozenset(SocketOptions.__annotations__)


def read_options(given: Mapping[str, Any]) -> Options:
    """Return the options of a manager.

    Raises:
        TypeError: If one is unknown; the message names the nearest right one.
        ValueError: As by `Options`.
    """
    for name in given:
        if name not in OPTION_NAMES:
            raise TypeError(
                f"unknown option {name!r}{did_you_mean(name, OPTION_NAMES | SOCKET_OPTION_NAMES)}"
            )
    return Options(**given)


def check_socket_options(given: Mapping[str, Any]) -> None:
    """Check the names of a socket's options.

    Raises:
        TypeError: If one is unknown; the message names the nearest right one.
    """
    for name in given:
        if name not in SOCKET_OPTION_NAMES:
            raise TypeError(f"unknown option {name!r}{did_you_mean(name, SOCKET_OPTION_NAMES)}")


def split_options(given: ConnectOptions) -> tuple[ManagerOptions, SocketOptions]:
    """Return the options of a manager, unchecked, and those of its socket."""
    managers = {name: value for name, value in given.items() if name not in SOCKET_OPTION_NAMES}
    sockets = {name: value for name, value in given.items() if name in SOCKET_OPTION_NAMES}
    return cast("ManagerOptions", managers), cast("SocketOptions", sockets)


def check_auth(auth: object) -> None:
    """Check what goes to the server with a CONNECT.

    Raises:
        TypeError: If it is neither a mapping nor ``None``.
    """
    if auth is not None and not isinstance(auth, Mapping):
        raise TypeError(
            f"auth must be a mapping, or a function that returns one, not {type(auth).__name__}"
        )


def check_retries(retries: object) -> None:
    """Check the option ``retries``.

    Raises:
        TypeError: If it is neither an ``int`` nor ``None``.
        ValueError: If it is negative.
    """
    if retries is None:
        return
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise TypeError(f"retries must be an int or None, not {type(retries).__name__}")
    if retries < 0:
        raise ValueError(f"retries must be zero or more, not {retries!r}")


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not isfinite(value) or value < 0:
        raise ValueError(f"{name} must be zero or more and finite, not {value!r}")


def _check_transport_options(given: Mapping[Transport, Mapping[str, Any]]) -> None:
    for name, options in given.items():
        if name not in TRANSPORTS:
            raise ValueError(f"transport_options: no such transport: {name!r}")
        check_keys(options, TRANSPORT_OPTIONS, "transport_options")
        _check_headers(options.get("extra_headers", {}))
        if options.get("request_timeout") is not None:
            _check_number("request_timeout", options["request_timeout"])


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        for text in (name, value):
            if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"extra_headers must be strings, not {text!r}")
        if not is_token(name):
            raise ValueError(f"extra_headers: {name!r} is no name of a header")
        if name.lower() in MANAGED:
            raise ValueError(f"extra_headers: {name!r} belongs to the transport")
        if any(character in value for character in "\r\n\0"):
            raise ValueError(f"extra_headers: the value of {name!r} has a line break in it")
