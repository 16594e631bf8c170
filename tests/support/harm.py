"""Harm that is done to a broker while nodes send, and how often."""

import asyncio
import os
from typing import Any, Final

from roomcast import Server
from support.broker import RunningBroker
from support.served import eventually

__all__ = ["ENOUGH", "FULL", "PERSISTENT", "do_harm"]

FULL: Final = os.environ.get("ROOMCAST_HOSTILE") == "full"
"""Whether this is the long run."""

PERSISTENT: Final = ("--appendonly", "yes", "--appendfsync", "always")
"""Options of a broker that keeps all that it has confirmed."""

ENOUGH: Final = 1_000_000
"""More entries than a test appends: where a broker dies again and again, all of them may wait."""


async def do_harm(harm: str, broker: RunningBroker, nodes: list[tuple[Server, Any]]) -> None:
    """Break the lines of nodes to their broker, in one way or another, and make it whole again."""
    match harm:
        case "kill":
            broker.kill()
            await eventually(lambda: not any(each.health.ok for _, each in nodes))
            await asyncio.to_thread(broker.start)
        case "cut":
            for kind in ("normal", "pubsub"):
                broker.command("CLIENT", "KILL", "TYPE", kind)
            await eventually(lambda: not all(each.health.ok for _, each in nodes))
        case "readonly":
            broker.command("REPLICAOF", "127.0.0.1", "1")
            for _, each in nodes:  # they come back in vain, not at once
                await eventually(lambda each=each: not each.health.ok)
            broker.command("REPLICAOF", "NO", "ONE")
        case _:
            broker.pause()
            await eventually(lambda: not any(each.health.ok for _, each in nodes))
            broker.resume()
