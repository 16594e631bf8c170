"""A Redis Cluster for tests: brokers that share the slots, with replicas, of which a test may move slots or kill members."""

import asyncio
import time
from typing import Final

from roomcast.adapters.slots import slot_of
from support.broker import RunningBroker
from support.broker_fixtures import NewBroker

__all__ = ["RunningMembers", "running_members"]

SLOTS: Final = 16_384
PATIENCE: Final = 40.0

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

    @property
    def all(self) -> list[RunningBroker]:
        return [*self.masters, *self.replicas]

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.masters]

    def owner(self, channel: str) -> RunningBroker:
        """Return the master that had a channel's slot at the beginning."""
        slot = slot_of(channel.encode())
        return next(m for n, m in enumerate(self.masters, 1) if slot < SLOTS * n // 3)

    def id(self, member: RunningBroker) -> str:
        return member.command("CLUSTER", "MYID").split(b"\r\n")[1].decode()

    def shard_subscribers(self, channel: str) -> int:
        """Return how many have subscribed to a sharded channel, at all members."""
        return sum(member.shard_subscribers(channel) for member in self.all)

    def move(self, channel: str, target: RunningBroker) -> None:
        """Move the slot of a channel, as ``redis-cli --cluster reshard`` does."""
        slot, source, id = str(slot_of(channel.encode())), self.owner(channel), self.id(target)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", id)
        for member in (target, source, *self.masters):
            member.command("CLUSTER", "SETSLOT", slot, "NODE", id)


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
