"""The true address of a client behind proxies.

Whoever connects directly is known for certain. What its headers say about others is believed only if it is a proxy that the program
trusts, and then only as far as trusted proxies reach: each proxy appends whom it saw, so the list is read from the right and the first
one that is not trusted is the client. Whatever stands left of it the client may have written itself.

The proxies must do their part: each one sets or extends ``X-Forwarded-For``. A proxy that writes only ``Forwarded`` must remove
the other one, or its clients choose their own address.

Source:
    RFC 7239; the ``X-Forwarded-*`` headers as nginx, HAProxy and AWS write them.
"""

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, NamedTuple, TypeAlias

from roomcast.engine.fields import is_token
from roomcast.engine.origins import split_authority

__all__ = ["Peer", "TrustedProxies"]

MAX_ENTRIES: Final = 32
"""Proxies in a row, counted from ours, that are looked at. Beyond: the client is the last one looked at. Real chains have five."""

MAX_ENTRY: Final = 1_024
"""Characters of one entry of a header. Beyond: it is garbage. An address with its port has 47, with host and proto some 350."""

_SECURE: Final = {"https": True, "wss": True, "http": False, "ws": False}

_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network


class Peer(NamedTuple):
    """Who really made a request, and how.

    Attributes:
        address: The address of the client, or of the last one that is known.
        secure: Whether the client came over TLS.
        host: The ``Host`` that the client asked for, if a trusted proxy says so. ``None`` otherwise: then the ``Host`` header holds.
    """

    address: str
    secure: bool
    host: str | None


class TrustedProxies:
    """The proxies whose word about a client counts. It never changes, so any thread may use it."""

    __slots__ = ("_networks", "_unix")

    def __init__(self, proxies: Sequence[str | _Address | _Network]) -> None:
        """Take the proxies.

        Args:
            proxies: Addresses and networks (``"10.0.0.0/8"``), IPv4 and IPv6; ``"unix"`` for whoever comes over a Unix socket.
                Empty trusts nobody.

        Raises:
            TypeError: If it is a single string, or something in it is no address.
            ValueError: If something in it is no address, a network with a host part, or ``"*"``.
        """
        if isinstance(proxies, str | bytes) or not isinstance(proxies, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
            raise TypeError(f"trusted proxies must be a list of addresses, not {proxies!r}")
        networks: list[_Network] = []
        self._unix = False
        for proxy in proxies:
            if proxy == "unix":
                self._unix = True
            else:
                networks.append(_read_network(proxy))
        self._networks = tuple(networks)

    def __repr__(self) -> str:
        names = [*map(str, self._networks), *(["unix"] if self._unix else [])]
        return f"TrustedProxies({names!r})"

    def resolve(self, address: str, headers: Iterable[tuple[bytes, bytes]], secure: bool) -> Peer:
        """Find out who made a request.

        ``Forwarded`` counts where there is no ``X-Forwarded-For``: most proxies write that one, and pass a client's ``Forwarded``
        on as it is. An entry that cannot be read ends the walk at
        the last one that could. Of several values of ``X-Forwarded-Proto`` and ``X-Forwarded-Host`` the last one counts, because
        only that one is surely a trusted proxy's.

        Args:
            address: Who is connected directly; empty for a Unix socket.
            headers: All headers of the request, in their order; any bytes.
            secure: Whether the direct connection is TLS.

        Returns:
            The client. Behind someone who is not trusted: what was given, and no host. Addresses from headers are in their short form,
            and IPv4 within IPv6 is IPv4.

        Cost:
            Linear in the headers; at most `MAX_ENTRIES` entries are compared with each network.

        Source:
            RFC 7239, sections 4 to 6.
        """
        if not self._trusts_direct(address):
            return Peer(address, secure, None)
        forwarded: list[bytes] = []
        addresses: list[bytes] = []
        protos = hosts = b""
        for raw_name, value in headers:
            match raw_name.lower():
                case b"forwarded":
                    forwarded.append(value)
                case b"x-forwarded-for":
                    addresses.append(value)
                case b"x-forwarded-proto":
                    protos = value
                case b"x-forwarded-host":
                    hosts = value
                case _:
                    pass
        if forwarded and not addresses:
            return self._walk_forwarded(address, _entries(forwarded), secure)
        for entry in _entries(addresses):
            read = _read_address(entry)
            if read is None:
                break
            address = str(read)
            if not self._trusts(read):
                break
        return Peer(address, _read_proto(_last(protos), secure), _read_host(_last(hosts)))

    def _walk_forwarded(self, address: str, entries: Iterable[str], secure: bool) -> Peer:
        """Follow ``Forwarded``; every entry that is reached was written by a trusted proxy, so its other words count as well."""
        host: str | None = None
        for entry in entries:
            pairs = _read_pairs(entry)
            if pairs is None:
                break
            secure = _read_proto(pairs.get("proto", ""), secure)
            host = _read_host(pairs.get("host", "")) or host
            read = _read_address(pairs.get("for", ""))
            if read is None:
                break
            address = str(read)
            if not self._trusts(read):
                break
        return Peer(address, secure, host)

    def _trusts_direct(self, address: str) -> bool:
        if not address:
            return self._unix
        try:
            return self._trusts(_unmapped(ip_address(address)))
        except ValueError:
            return False

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _read_network(proxy: str | _Address | _Network) -> _Network:
    if proxy == "*":
        raise ValueError(
            "trusted proxies: '*' would let every client choose its own address; name the addresses or networks of the "
            "proxies, or write '0.0.0.0/0' and '::/0' if nobody but them can reach the server"
        )
    if not isinstance(proxy, str | IPv4Address | IPv6Address | IPv4Network | IPv6Network):  # pyright: ignore[reportUnnecessaryIsInstance]  programs without types
        raise TypeError(f"trusted proxies: {proxy!r} is no address and no network")
    try:
        network = ip_network(proxy)
    except ValueError as error:
        raise ValueError(
            f"trusted proxies: {proxy!r} is no address and no network: {error}"
        ) from None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _unmapped(address: _Address) -> _Address:
    """Return the IPv4 address that a socket for both families shows as IPv6."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _entries(lines: Sequence[bytes]) -> list[str]:
    """Return the last entries of a list that a header holds in one or more lines, the last one first.

    A comma ends an entry even within quotes. No proxy writes one there; taken as text it would let an unbalanced quote on the left,
    which the client wrote, reach over what the proxies added.
    """
    return b",".join(lines).decode("latin-1").rsplit(",", MAX_ENTRIES)[-MAX_ENTRIES:][::-1]


def _last(value: bytes) -> str:
    return value.rpartition(b",")[2].decode("latin-1")


def _unquoted(text: str) -> str:
    text = text.strip(" \t")
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _read_pairs(entry: str) -> dict[str, str] | None:
    """Read one entry of ``Forwarded``; ``None`` if it is malformed in any part, since then nobody knows who wrote which part."""
    if len(entry) > MAX_ENTRY:
        return None
    pairs: dict[str, str] = {}
    for pair in entry.split(";"):
        if not pair.strip(" \t"):
            continue
        name, equals, value = pair.strip(" \t").partition("=")
        name, value = name.lower(), _unquoted(value)
        if not equals or not is_token(name) or name in pairs or '"' in value or "\\" in value:
            return None
        pairs[name] = value
    return pairs


def _read_address(entry: str) -> _Address | None:
    """Read an address with or without a port; ``None`` for anything else, such as ``unknown`` and names of RFC 7239."""
    text = _unquoted(entry) if len(entry) <= MAX_ENTRY else ""
    port = ""
    if text.startswith("["):
        text, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in text or rest[:1] not in ("", ":"):
            return None
        port = rest[1:]
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    # A zone (%eth0) means something on the proxy's machine alone.
    if "%" in text or (port and not (port.isascii() and port.isdigit())):
        return None
    try:
        return _unmapped(ip_address(text))
    except ValueError:
        return None


def _read_proto(text: str, secure: bool) -> bool:
    return _SECURE.get(_unquoted(text[:MAX_ENTRY]).lower(), secure)


def _read_host(text: str) -> str | None:
    host = _unquoted(text[:MAX_ENTRY])
    return host if split_authority(host) else None
