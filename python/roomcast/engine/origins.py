"""Which pages may come from another origin, and the headers that tell the browser so.

A browser says in ``Origin`` which page makes a request. It applies CORS to polling but not to WebSocket, so the headers alone
protect nothing: `is_allowed` decides on both transports, and `cors_headers` and `preflight_headers` only let the page read what
it was allowed to ask. Without `Cors` the pages of the same host are let in and no others.

Differs from engine.io: there CORS guards polling alone, and a WebSocket may come from any page unless ``allowRequest`` says no.

What a peer sends is read without regular expressions, in linear time, and only up to `MAX_ORIGIN`.

Source:
    RFC 6454; RFC 9110, section 7.2; npm cors 2.8.6; CVE-2020-28481, CVE-2019-13611.
"""

import inspect
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import IPv6Address
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeGuard

from roomcast.engine.fields import check_keys, check_max_age, is_token

__all__ = [
    "Cors",
    "Origins",
    "cors_headers",
    "is_allowed",
    "is_legal_origin",
    "preflight_headers",
    "read_cors",
    "split_authority",
]

log = logging.getLogger("roomcast.engine")

Origins: TypeAlias = (
    Literal[True] | str | re.Pattern[str] | Sequence[str | re.Pattern[str]] | Callable[[str], bool]
)
"""How a program names the origins that it lets in."""

MAX_ORIGIN: Final = 2_048
"""Characters of an ``Origin``, and of the header names that a preflight asks for. Beyond: never allowed, never sent back. A host name
has 253."""

MAX_AUTHORITY: Final = 261
"""Characters of a host with its port: 253 of DNS, a dot at the end, ``:65535``, and the brackets of IPv6. Beyond: it is none."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_DIGITS: Final = frozenset("0123456789")
_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SCHEME: Final = _LETTERS | _DIGITS | frozenset("+-.")
_HOST: Final = _LETTERS | _DIGITS | frozenset("-._~")
_HEADER: Final = frozenset(map(chr, (0x09, *range(0x20, 0x7F), *range(0x80, 0x100))))
_HEADER_NAMES: Final = _LETTERS | _DIGITS | frozenset("!#$%&'*+-.^_`|~, \t")

_Headers: TypeAlias = list[tuple[bytes, bytes]]


class _Origin(NamedTuple):
    """An origin in its normal form: lower case, without the default port and without the dot at the end of the host."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def _ask(function: Callable[[str], bool], origin: str) -> bool:
    try:
        allowed: Any = function(origin)
    except Exception:
        log.exception("cors: the function of origins failed")
        return False
    if not isinstance(allowed, bool):
        log.error(
            "cors: the function of origins must return a bool, not %s", type(allowed).__name__
        )
        return False
    return allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Who may come from another origin, and with what.

    Origins are compared in their normal form (scheme and host in lower case, default port dropped), patterns must match the whole
    of it. What is no origin, such as ``null``, reaches patterns and functions as it came.

    Attributes:
        origins: ``"*"`` for everybody; one origin, a pattern, or a sequence of both; ``True`` for everybody, by sending back what
            came; or a function that is given an origin and says whether it may come.
        methods: What a preflight allows.
        allowed_headers: The request headers that a preflight allows; ``None`` allows what it asks for.
        exposed_headers: The response headers that a page may read.
        credentials: Whether the page may send cookies. Not with ``"*"`` or ``True``.
        max_age: Seconds that a browser may keep the answer to a preflight; ``None`` leaves it to the browser.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If an origin is none, a name is no token, or everybody could come with credentials.

    Source:
        npm cors, ``CorsOptions``; engine.io, ``ServerOptions.cors``.
    """

    origins: Origins
    methods: Sequence[str] = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
    allowed_headers: Sequence[str] | None = None
    exposed_headers: Sequence[str] = ()
    credentials: bool = False
    max_age: int | None = None
    _exact: frozenset[str] = field(init=False, repr=False, compare=False)
    _patterns: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.credentials, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
            raise TypeError(
                f"cors: credentials must be a bool, not {type(self.credentials).__name__}"
            )
        check_max_age(self.max_age, "cors")
        self._read_names()
        self._read_origins()
        if self.credentials and self.is_wildcard:
            raise ValueError(
                f"cors: origins={self.origins!r} together with credentials would give every page on the web "
                "the cookies of your users; name the origins"
            )

    def _read_names(self) -> None:
        for option in ("methods", "allowed_headers", "exposed_headers"):
            names: object = getattr(self, option)
            if names is None and option == "allowed_headers":
                continue
            if not _is_list(names):
                raise TypeError(f"cors: {option} must be a list of names, not {names!r}")
            for name in names:
                if not isinstance(name, str):
                    raise TypeError(f"cors: {option} must be a list of names, {name!r} is none")
                if not is_token(name):
                    raise ValueError(f"cors: {option}: {name!r} is no token of HTTP")
            # Kept as a tuple, so that a list that the program changes later changes nothing here.
            object.__setattr__(self, option, tuple(names))

    def _read_origins(self) -> None:
        origins: object = self.origins
        given: tuple[object, ...] = ()
        if isinstance(origins, str | re.Pattern):
            given = () if self.origins == "*" else (self.origins,)
        elif _is_list(origins):
            given = tuple(origins)
            object.__setattr__(self, "origins", given)
        elif callable(origins):
            if _is_async(origins):
                raise TypeError(
                    "cors: origins must be a plain function; an async one cannot be awaited here"
                )
        elif origins is not True:
            raise TypeError(
                "cors: origins must be '*', True, an origin, a pattern, a list of both or a function, "
                f"not {type(origins).__name__}"
            )
        exact: set[str] = set()
        patterns: list[re.Pattern[str]] = []
        for origin in given:
            if isinstance(origin, str):
                exact.add(_read_origin(origin))
            elif _is_pattern(origin):
                patterns.append(origin)
            else:
                raise TypeError(f"cors: origins: {origin!r} is neither a str nor a pattern of str")
        object.__setattr__(self, "_exact", frozenset(exact))
        object.__setattr__(self, "_patterns", tuple(patterns))

    @property
    def is_wildcard(self) -> bool:
        """Whether every origin may come."""
        return self.origins is True or self.origins == "*"

    @property
    def fixed(self) -> str | None:
        """The one origin that was given as a string, in its normal form; ``None`` if it was not one string."""
        if isinstance(self.origins, str) and self.origins != "*":
            return next(iter(self._exact))
        return None

    def allows(self, origin: str) -> bool:
        """Say whether an origin may come; ``False`` for what `is_legal_origin` refuses.

        A function of the program that raises, or returns something else than a ``bool``, is logged and allows nobody: a coroutine is
        true, and would let everybody in.

        Cost:
            Linear in the origin, and what the program's patterns or function cost on at most `MAX_ORIGIN` characters.
        """
        if not is_legal_origin(origin):
            return False
        if self.is_wildcard:
            return True
        parts = _split_origin(origin)
        normal = origin if parts is None else str(parts)
        if callable(self.origins):
            return _ask(self.origins, normal)
        return normal in self._exact or any(pattern.fullmatch(normal) for pattern in self._patterns)


def read_cors(value: Origins | Mapping[str, Any] | Cors | Literal[False] | None) -> Cors | None:
    """Read the option ``cors`` of a server.

    Args:
        value: ``None`` or ``False`` for the same origin alone; whatever `Cors.origins` may be; a mapping of the fields of `Cors`,
            where ``origin`` may be said for ``origins``; or a `Cors`.

    Raises:
        TypeError: If a key is unknown, and then it names the nearest right one; or if something has the wrong type.
        ValueError: As `Cors`.

    Source:
        engine.io, ``ServerOptions.cors``.
    """
    if value is None or isinstance(value, Cors):
        return value
    if isinstance(value, bool):
        return Cors(origins=True) if value else None
    if not isinstance(value, Mapping):
        return Cors(origins=value)
    given: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]  it cannot tell a mapping from a sequence
    if "origin" in given:
        if "origins" in given:
            raise TypeError("cors: origin and origins are the same; give one of them")
        given["origins"] = given.pop("origin")
    check_keys(given, [field.name for field in fields(Cors) if field.init], "cors")
    if "origins" not in given:
        # npm's cors would let everybody in.
        raise TypeError("cors: origins is missing; '*' lets every page in")
    return Cors(**given)


def is_legal_origin(origin: str) -> bool:
    """Say whether a text could be the value of a header at all, and is no longer than `MAX_ORIGIN`.

    Source:
        engine.io, ``checkInvalidHeaderChar``; the length is roomcast's.
    """
    return len(origin) <= MAX_ORIGIN and _HEADER.issuperset(origin)


def is_allowed(origin: str | None, *, host: str | None, cors: Cors | None) -> bool:
    """Say whether a request may come from where it comes from, on either transport.

    The same origin is always allowed: the host and port of ``Origin`` are those of the request, after the default port of the
    origin's scheme is dropped from both. The scheme is not compared, because TLS often ends at a proxy that does not say so.

    Args:
        origin: The ``Origin`` header; ``None`` if there is none, which means no browser and is allowed.
        host: The ``Host`` header, or what a trusted proxy says it was.
        cors: The other origins that are allowed; ``None`` for none.

    Raises:
        Exception: As `Cors.allows`.

    Cost:
        Linear in the two headers, plus `Cors.allows`.

    Source:
        roomcast; in engine.io ``allowRequest`` has to do this.
    """
    if origin is None:
        return True
    if not is_legal_origin(origin):
        return False
    parts = _split_origin(origin)
    if parts is not None and host is not None and _is_same(parts, host):
        return True
    return cors is not None and cors.allows(origin)


def cors_headers(origin: str | None, cors: Cors | None) -> list[tuple[bytes, bytes]]:
    """Return the headers that let a page read an answer, for good answers and for errors.

    A wildcard is sent as such, and one fixed origin as it is, whoever asks. Otherwise the request's origin is sent back
    if it is allowed.

    Differs from npm cors: an origin that is not allowed gets ``Vary`` alone; there the headers for credentials and exposed headers
    come all the same, and tell a foreign page what the server is.

    Args:
        origin: The ``Origin`` header, if any.
        cors: The option; ``None`` gives no headers.

    Returns:
        Names in lower case; a new list.

    Raises:
        Exception: As `Cors.allows`.

    Source:
        npm cors, ``configureOrigin``, ``configureCredentials``, ``configureExposedHeaders``.
    """
    if cors is None:
        return []
    allowed, vary = _allow_origin(origin, cors)
    headers: _Headers = [] if allowed is None else [allowed]
    if vary:
        headers.append((b"vary", b"Origin"))
    if allowed is not None:
        _add_readable(headers, cors)
    return headers


def preflight_headers(
    origin: str | None, requested_headers: str | None, cors: Cors
) -> list[tuple[bytes, bytes]]:
    """Return the headers of the answer 204 to a preflight (``OPTIONS``).

    Differs from npm cors: an origin that is not allowed gets ``Vary`` alone, as in `cors_headers`; and requested headers are sent back
    only if they are names of headers, at most `MAX_ORIGIN` characters of them.

    Args:
        origin: The ``Origin`` header, if any.
        requested_headers: The header ``Access-Control-Request-Headers``, if any.
        cors: The option. Without it a preflight is refused as any other method is.

    Returns:
        Names in lower case, without ``content-length``; a new list.

    Raises:
        Exception: As `Cors.allows`.

    Source:
        npm cors, ``cors``.
    """
    allowed, vary_origin = _allow_origin(origin, cors)
    vary = ["Origin"] if vary_origin else []
    if cors.allowed_headers is None:
        vary.append("Access-Control-Request-Headers")
        allowed_headers = requested_headers or ""
        if len(allowed_headers) > MAX_ORIGIN or not _HEADER_NAMES.issuperset(allowed_headers):
            allowed_headers = ""
    else:
        allowed_headers = ",".join(cors.allowed_headers)
    headers: _Headers = [] if allowed is None else [allowed]
    if vary:
        headers.append((b"vary", ", ".join(vary).encode("ascii")))
    if allowed is not None:
        if cors.methods:
            headers.append(
                (b"access-control-allow-methods", ",".join(cors.methods).encode("ascii"))
            )
        if allowed_headers:
            headers.append((b"access-control-allow-headers", allowed_headers.encode("ascii")))
        if cors.max_age is not None:
            headers.append((b"access-control-max-age", b"%d" % cors.max_age))
        _add_readable(headers, cors)
    # Some browsers wait for a body of a 204 that does not say so.
    return headers


def split_authority(text: str) -> tuple[str, int | None] | None:
    """Split a host and port, as ``Host`` has them.

    Args:
        text: ``host``, ``host:port``, ``[::1]`` or ``[::1]:port``.

    Returns:
        The host in lower case without a dot at its end, IPv6 in its short form within brackets; and the port, if there is one.
        ``None`` if it is no such thing: user names, paths, spaces, characters beyond ASCII, an empty port.

    Cost:
        Linear; longer texts than `MAX_AUTHORITY` are not looked at.

    Source:
        RFC 9110, section 7.2; RFC 3986, section 3.2.
    """
    if len(text) > MAX_AUTHORITY:
        return None
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        host = _ipv6(inside) if bracket else None
        if rest and not rest.startswith(":"):
            return None
        colon, port = rest[:1], rest[1:]
    else:
        name, colon, port = text.partition(":")
        # Looked at before it is lowered: the Kelvin sign becomes a plain "k".
        host = name.removesuffix(".").lower() if _HOST.issuperset(name) else None
    if not host:
        return None
    if not colon:
        return host, None
    if not 0 < len(port) <= 5 or not _DIGITS.issuperset(port) or int(port) > 0xFFFF:
        return None
    return host, int(port)


def _ipv6(text: str) -> str | None:
    """Return an IPv6 address in its short form and in brackets; a zone (``%eth0``) has no place in an authority."""
    try:
        return None if "%" in text else f"[{IPv6Address(text).compressed}]"
    except ValueError:
        return None


def _split_origin(origin: str) -> _Origin | None:
    """Bring an origin into its normal form; ``None`` if it is none, as ``null`` is."""
    scheme, separator, authority = origin.partition("://")
    if not separator or not _SCHEME.issuperset(scheme) or scheme[:1] not in _LETTERS:
        return None
    split = split_authority(authority)
    if split is None:
        return None
    scheme = scheme.lower()
    host, port = split
    return _Origin(scheme, host, None if port == _DEFAULT_PORTS.get(scheme) else port)


def _is_same(origin: _Origin, host: str) -> bool:
    """Say whether a page of an origin asks its own host. Only web pages: an app's scheme says nothing about who serves the host."""
    split = split_authority(host) if origin.scheme in ("http", "https") else None
    if split is None:
        return False
    name, port = split
    if port == _DEFAULT_PORTS[origin.scheme]:
        port = None
    return (name, port) == (origin.host, origin.port)


def _read_origin(text: str) -> str:
    """Bring an origin that a program names into its normal form, or say what is wrong with it."""
    parts = _split_origin(text)
    if parts is not None:
        return str(parts)
    shape = "write it as scheme://host or scheme://host:port, such as 'https://example.com'"
    if text == "*":
        reason = "'*' cannot stand in a list; write origins='*'"
    elif text == "null":
        reason = "'null' is what every sandboxed page sends; a function may allow it"
    elif not text.isascii():
        reason = "a host beyond ASCII is written in its 'xn--' form"
    elif "://" not in text:
        reason = f"it has no scheme; {shape}"
    elif "/" in text.partition("://")[2]:
        reason = f"an origin has no path and no slash at its end; {shape}"
    else:
        reason = shape
    raise ValueError(f"cors: origins: {text!r} is no origin: {reason}")


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_pattern(value: object) -> TypeGuard[re.Pattern[str]]:
    return isinstance(value, re.Pattern) and isinstance(value.pattern, str)  # pyright: ignore[reportUnknownMemberType]  of str or of bytes


def _is_async(function: Callable[..., object]) -> bool:
    """Say whether a call would give a coroutine, also of an object with an async ``__call__``."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  the method itself is asked for
    )


def _allow_origin(origin: str | None, cors: Cors) -> tuple[tuple[bytes, bytes] | None, bool]:
    """Return the header that allows an origin, if it is allowed, and whether another origin may get another answer."""
    name = b"access-control-allow-origin"
    if cors.origins == "*":
        return (name, b"*"), False
    if cors.fixed is not None:
        return (name, cors.fixed.encode("ascii")), True
    if origin is None or not cors.allows(origin):
        return None, True
    # `allows` has let only characters of headers through.
    return (name, origin.encode("latin-1")), True


def _add_readable(headers: _Headers, cors: Cors) -> None:
    if cors.credentials:
        headers.append((b"access-control-allow-credentials", b"true"))
    if cors.exposed_headers:
        headers.append(
            (b"access-control-expose-headers", ",".join(cors.exposed_headers).encode("ascii"))
        )
