"""The members of a Redis Cluster: who they are and what each of them has, asked again whenever something speaks against it.

What is known is asked for at intervals, since a master that becomes a replica on command goes on serving and tells nobody; at once when a
member refuses a channel, or takes a subscription away; and often while a member cannot be reached, as its replica may take its place.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from roomcast.adapters.broker import Broker, command
from roomcast.adapters.line import CONNECT_TIMEOUT
from roomcast.adapters.link import LONGEST_PAUSE, MAX_REASON
from roomcast.adapters.slots import Address, Layout, read_asking, read_layout
from roomcast.errors import BrokerError
from roomcast.logs import printable

__all__ = ["Members"]

ASK_INTERVAL: Final = 5.0
"""Seconds after which the members are asked for where nothing speaks against what is known."""

LEAST_INTERVAL: Final = 0.1
"""Seconds between two questions at least."""

MAX_DETOURS: Final = 1_024
"""Keys on their way from one member to another that are remembered. Beyond, the first one is forgotten, and asked for anew."""

log = logging.getLogger("roomcast.adapters")

Follower = Callable[[Layout], Awaitable[None]]


class Members:
    """What is known of the members. It belongs to the event loop in which `start` was called.

    Attributes:
        layout: What is known, once it is.
        detours: Where keys are for the time being whose slots are on their way there. That member takes commands about them behind
            ``ASKING`` only.
        failing: Says which members cannot be reached.
        late: Whether they were asked in vain before they were first known.
    """

    def __init__(
        self,
        seeds: Sequence[Broker],
        *,
        remap: Callable[[Address], Address] | None = None,
    ) -> None:
        """Prepare.

        Args:
            seeds: Members to begin with; their settings are those for all.
            remap: Says where a member is to be found from here, of what the others call it.
        """
        self.layout: Layout | None = None
        self.detours: dict[bytes, Address] = {}
        self.failing: Callable[[], Sequence[Address]] = tuple
        self.late = False
        self._seeds = {seed.address: seed for seed in seeds}
        self._remap = remap
        self._followers: list[Follower] = []
        self._task: asyncio.Task[None] | None = None
        self._doubts = asyncio.Event()
        self._informed: Address | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._tried: asyncio.Future[None] | None = None
        self._complained = False

    def broker(self, address: Address | None) -> Broker:
        """Return the way to a member; ``None`` for any one."""
        first = next(iter(self._seeds.values()))
        return first if address is None else self._seeds.get(address) or first.at(address)

    def follow(self, follower: Follower) -> None:
        """Have something called with the layout after each answer, the same one or a new one; one after the other."""
        self._followers.append(follower)

    def start(self) -> None:
        """Ask, now and whenever that is needed, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._doubts = asyncio.Event()
        self._tried = loop.create_future()
        self._task = loop.create_task(self._run())

    async def tried(self) -> None:
        """Wait until the members are known, or the first attempt has failed."""
        if self._tried is not None:
            await asyncio.shield(self._tried)

    async def close(self) -> None:
        """Ask no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    def doubt(self, informed: Address | None = None) -> None:
        """Learn that something is not as it was; a member that has said so knows more than others."""
        self._informed = informed or self._informed
        self._doubts.set()

    async def asked(self) -> None:
        """Have the members asked once more, and wait until everybody has followed."""
        answered = asyncio.get_running_loop().create_future()
        self._waiting.append(answered)
        self._doubts.set()
        await answered

    def refused(self, key: bytes, refusal: str, address: Address) -> None:
        """Learn that a member has refused a command about a key because another one has that."""
        target = read_asking(refusal, address, self._remap)
        if target is None:
            self.detours.pop(key, None)
        else:
            self.detours[key] = target
            if len(self.detours) > MAX_DETOURS:
                del self.detours[next(iter(self.detours))]
        self.doubt(address)

    async def _run(self) -> None:
        while True:
            self._doubts.clear()
            waiting, self._waiting = self._waiting, []
            layout = await self._ask()
            if layout is not None:
                self.layout = layout = self._settle(layout)
                self.detours = {
                    key: address
                    for key, address in self.detours.items()
                    if address in layout.masters and layout.owner(key) != address
                }
                for follow in self._followers:
                    await follow(layout)
            for answered in waiting:
                if not answered.done():
                    answered.set_result(None)
            if self._tried is not None and not self._tried.done():
                self._tried.set_result(None)
            await asyncio.sleep(LEAST_INTERVAL)
            calm = layout is not None and not self.failing()
            try:
                async with asyncio.timeout(ASK_INTERVAL if calm else LONGEST_PAUSE):
                    await self._doubts.wait()
            except TimeoutError:
                continue

    def _settle(self, layout: Layout) -> Layout:
        """Keep the home while it is a master that can be reached."""
        failing = set(self.failing())
        last = self.layout
        if last is not None and last.home in layout.masters and last.home not in failing:
            return replace(layout, home=last.home)
        good = [address for address in layout.masters if address not in failing]
        return replace(layout, home=random.choice(good or layout.masters))  # noqa: S311  spreads nodes

    async def _ask(self) -> Layout | None:
        """Ask one after the other, until one answers."""
        reason = "no member"
        for address in self._candidates():
            try:
                async with asyncio.timeout(2 * CONNECT_TIMEOUT):
                    layout = await self._ask_one(address)
            except (BrokerError, TimeoutError) as error:
                reason = str(error) or f"{address[0]}:{address[1]} does not answer"
                continue
            if self._complained:
                self._complained = False
                log.info("know the members of the Redis Cluster again")
            return layout
        self.late |= self.layout is None
        if not self._complained:
            self._complained = True
            log.warning(
                "cannot find the members of the Redis Cluster: %s", printable(reason, MAX_REASON)
            )
        return None

    def _candidates(self) -> list[Address]:
        layout, failing = self.layout, set(self.failing())
        known = [*layout.masters, *layout.replicas] if layout is not None else []
        random.shuffle(known)
        known.sort(key=lambda address: address in failing)
        informed, self._informed = self._informed, None
        first = [] if informed is None else [informed]
        return list(dict.fromkeys([*first, *known, *self._seeds]))

    async def _ask_one(self, address: Address) -> Layout:
        line = self.broker(address).line()
        try:
            await line.open()
            await line.send([command(b"CLUSTER", b"SLOTS")])
            reply = await line.read()
        finally:
            await line.close()
        if isinstance(reply, Exception):
            raise BrokerError(str(reply)) from reply
        return read_layout(reply, address, self._remap)
