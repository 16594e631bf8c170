"""Which member of a Redis Cluster has which channel or key: slots, and what ``CLUSTER SLOTS`` and refusals say about them.

Source:
    Redis Cluster specification, "Key distribution model", "Hash tags" and "MOVED Redirection"; the command ``CLUSTER SLOTS``.
"""

from binascii import crc_hqx
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from roomcast.errors import BrokerError

__all__ = ["Address", "Layout", "key_of", "read_asking", "read_layout", "slot_of"]

Address = tuple[str, int]
"""Host and port of a member."""

SLOTS: Final = 16_384

MAX_DIGITS: Final = 5
"""Digits of a port."""

ANYWHERE: Final = (b"PUBLISH", b"PUBSUB", b"PING")
"""Commands that are about no key, so any member takes them."""


def key_of(words: Sequence[bytes]) -> bytes | None:
    """Return the key, or the sharded channel, that a command is about; ``None`` if any member takes it."""
    name = words[0]
    if name in ANYWHERE:
        return None
    return words[2] if name == b"XINFO" else words[1]


def slot_of(channel: bytes) -> int:
    """Return the slot of a channel or a key, which a part of its name in braces decides alone."""
    begin = channel.find(b"{") + 1
    if begin:
        end = channel.find(b"}", begin)
        if end > begin:
            channel = channel[begin:end]
    return crc_hqx(channel, 0) % SLOTS


@dataclass(frozen=True, slots=True)
class Layout:
    """The members of a Redis Cluster at some time.

    Attributes:
        masters: Those that have slots.
        replicas: Their replicas.
        owners: Who has each slot; a slot that nobody has is that of the first master, which will say so.
        home: The master at which this node publishes and hears what is in no slot.
    """

    masters: tuple[Address, ...]
    replicas: tuple[Address, ...]
    owners: tuple[Address, ...]
    home: Address

    def place(self, channel: bytes, sharded: bool) -> Address:
        """Return the member for a channel."""
        return self.owner(channel) if sharded else self.home

    def owner(self, key: bytes) -> Address:
        """Return the member that has a key, or a sharded channel."""
        return self.owners[slot_of(key)]

    def places(self, sharded: bool) -> tuple[Address, ...]:
        """Return the members that any channel may be at."""
        return self.masters if sharded else (self.home,)

    def routes_as(self, other: "Layout | None") -> bool:
        """Return whether every channel has the same place in another layout."""
        return other is not None and (self.owners, self.home) == (other.owners, other.home)


def read_layout(
    reply: Any, asked: Address, remap: Callable[[Address], Address] | None = None
) -> Layout:
    """Read the reply to ``CLUSTER SLOTS``.

    Args:
        reply: The reply.
        asked: Who has given it, and may leave its own host out.
        remap: Says where a member is to be found from here.

    Raises:
        BrokerError: If it is none, or knows no members.
    """
    masters: dict[Address, None] = {}
    replicas: dict[Address, None] = {}
    ranges: list[tuple[int, int, Address]] = []
    try:
        for first, last, *members in reply:
            addresses = [_address(member, asked[0]) for member in members]
            if remap is not None:
                addresses = [*map(remap, addresses)]
            master = addresses[0]
            if not 0 <= first <= last < SLOTS:
                raise ValueError("no slots")
            ranges.append((first, last + 1, master))
            masters[master] = None
            replicas.update(dict.fromkeys(addresses[1:]))
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise BrokerError(f"{asked[0]}:{asked[1]} does not say who has the slots") from error
    if not masters:
        raise BrokerError(f"{asked[0]}:{asked[1]} knows no members of a Redis Cluster")
    home = next(iter(masters))
    owners = [home] * SLOTS
    for first, end, master in ranges:
        owners[first:end] = [master] * (end - first)
    return Layout(
        tuple(masters),
        tuple(address for address in replicas if address not in masters),
        tuple(owners),
        home,
    )


def read_asking(
    refusal: str, asked: Address, remap: Callable[[Address], Address] | None = None
) -> Address | None:
    """Return the member that a refusal names which has a key for the time being; ``None`` if it says something else.

    Args:
        refusal: What a member has answered, as ``ASK 3999 host:port``.
        asked: Who has refused, and may leave its own host out.
        remap: Says where a member is to be found from here.
    """
    code, _, rest = refusal.partition(" ")
    host, colon, port = rest.partition(" ")[2].rpartition(":")
    if code != "ASK" or not colon or not port.isdecimal() or len(port) > MAX_DIGITS:
        return None
    address = _address([host.encode(), port], asked[0])
    return address if remap is None else remap(address)


def _address(member: Any, own: str) -> Address:
    host = (member[0] or b"").decode()
    return own if host in ("", "?") else host, int(member[1])
