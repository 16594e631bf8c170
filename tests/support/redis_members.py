"""A Redis Cluster for tests: brokers that share the slots, with replicas, of which a test may move slots or kill members."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from roomcast.adapters.slots import slot_of
from support.broker import RunningBroker
from support.broker_fixtures import NewBroker

__all__ = ["RunningMembers", "running_members", "soon"]

SLOTS: Final = 16_384
PATIENCE: Final = 40.0

FAILOVER_PATIENCE: Final = 60.0

OPTIONS: Final = (
    *("--cluster-enabled", "yes"),
    *("--cluster-node-timeout", "1000"),
    *("--cluster-replica-validity-factor", "0"),
    *("--repl-diskless-sync-delay", "0"),
)


class RunningMembers:
    """The members."""

    def __init__(self, masters: list[RunningBroker], replicas: list[RunningBroker]) -> None:
        self.masters = masters
        self.replicas = replicas
        self.moved: dict[int, RunningBroker] = {}

    @property
    def all(self) -> list[RunningBroker]:
        return [*self.masters, *self.replicas]

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.masters]

    def owner(self, channel: str) -> RunningBroker:
        """Return the master that has the slot of a channel or key, but for failovers."""
        slot = slot_of(channel.encode())
        first = next(m for n, m in enumerate(self.masters, 1) if slot < SLOTS * n // 3)
        return self.moved.get(slot, first)

    def id(self, member: RunningBroker) -> str:
        return member.command("CLUSTER", "MYID").split(b"\r\n")[1].decode()

    def shard_subscribers(self, channel: str) -> int:
        """Return how many have subscribed to a sharded channel, at all members."""
        return sum(member.shard_subscribers(channel) for member in self.all)

    def move(self, channel: str, target: RunningBroker) -> None:
        """Move the slot of a channel, as ``redis-cli --cluster reshard`` does."""
        self.begin_move(channel, target)
        self.move_key(channel, target)
        self.end_move(channel, target)

    @property
    def pairs(self) -> list[tuple[RunningBroker, RunningBroker]]:
        """Each master of this moment with its replica."""
        return [
            (first, second) if is_master(first) else (second, first)
            for first, second in zip(self.masters, self.replicas, strict=True)
        ]

    def begin_move(self, key: str, target: RunningBroker) -> None:
        """Let a slot be on its way: keys that are not there any more are asked for at the target."""
        slot, source = str(slot_of(key.encode())), self.owner(key)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id(target))

    def move_key(self, key: str, target: RunningBroker) -> None:
        """Move a key; the slot is on its way."""
        moved = self.owner(key).command("MIGRATE", "127.0.0.1", str(target.port), key, "0", "5000")
        assert moved.startswith((b"+OK", b"+NOKEY")), moved

    def has(self, member: RunningBroker, key: str) -> bool:
        """Say whether a member has a key."""
        listed = member.command("CLUSTER", "GETKEYSINSLOT", str(slot_of(key.encode())), "100")
        return key.encode() in listed

    def end_move(self, key: str, target: RunningBroker) -> None:
        """Let all know that the slot has moved."""
        slot, source, id = slot_of(key.encode()), self.owner(key), self.id(target)
        for member in (target, source, *self.masters):
            member.command("CLUSTER", "SETSLOT", str(slot), "NODE", id)
        self.moved[slot] = target


def is_master(member: RunningBroker) -> bool:
    return b"role:master" in member.command("INFO", "replication")


async def running_members(brokers: NewBroker, *, replicas: bool = False) -> RunningMembers:
    """Return three masters, that have a third of the slots each, and a replica of each if there are to be any."""
    masters = [brokers(*OPTIONS) for _ in range(3)]
    others = [brokers(*OPTIONS) for _ in range(3 if replicas else 0)]
    members = RunningMembers(masters, others)
    for number, master in enumerate(masters):
        first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
        master.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
    for member in members.all[1:]:
        member.command("CLUSTER", "MEET", "127.0.0.1", str(masters[0].port))

    def is_complete(member: RunningBroker) -> bool:
        lines = member.command("CLUSTER", "NODES").splitlines()
        linked = [line for line in lines if b" connected" in line and b"handshake" not in line]
        is_ok = b"cluster_state:ok" in member.command("CLUSTER", "INFO")
        return is_ok and len(linked) == len(members.all)

    def is_replica(member: RunningBroker) -> bool:
        return b"master_link_status:up" in member.command("INFO", "replication")

    end = time.monotonic() + PATIENCE
    while not all(map(is_complete, members.all)):
        assert time.monotonic() < end, "no cluster"
        await asyncio.sleep(0.05)
    for master, replica in zip(masters, others, strict=False):
        replica.command("CLUSTER", "REPLICATE", members.id(master))
    while not all(map(is_replica, others)):
        assert time.monotonic() < end, "no replicas"
        await asyncio.sleep(0.05)
    return members


async def soon(holds: Callable[[], Any | Awaitable[Any]]) -> None:
    """Wait until something holds that may take the time of a failover."""
    end = time.monotonic() + FAILOVER_PATIENCE
    while True:
        held = holds()
        if held if not asyncio.iscoroutine(held) else await held:
            return
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
