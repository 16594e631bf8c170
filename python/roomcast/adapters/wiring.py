"""How a node speaks with its broker: with one server, or with all members of a Redis Cluster."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from roomcast.adapters.broker import Broker, broker_of, seeds_of
from roomcast.adapters.members import Members
from roomcast.adapters.publisher import Publisher, QueuePolicy
from roomcast.adapters.publishers import Publishers
from roomcast.adapters.subscriber import Subscriber
from roomcast.adapters.subscribers import Subscribers

__all__ = ["AnyPublisher", "AnySubscriber", "lone_publisher", "wired"]

AnyPublisher = Publisher | Publishers
AnySubscriber = Subscriber | Subscribers


def wired(
    redis: Any,
    counters: Counter[str],
    *,
    sharded: bool,
    queue_size: int,
    queue_policy: QueuePolicy,
    on_change: Callable[[], None],
    hold: Callable[[], float],
) -> tuple[AnyPublisher, AnySubscriber]:
    """Return what goes out and what comes in. The publisher is started first, and closed last.

    Args:
        redis: A URL or a client of `redis.asyncio`; of a Redis Cluster, several URLs or a client of it.
        counters: Where to count.
        sharded: Whether sharded channels are what they are for.
        queue_size: As for a `Publisher`.
        queue_policy: The same.
        on_change: Called when one of the two has begun or ceased to work.
        hold: As for a `Publisher`.

    Raises:
        MissingDependencyError: If redis-py is not installed.
        TypeError: If ``redis`` is something else.
        ValueError: If a URL is none, or a value is out of its range.
    """
    seeds = seeds_of(redis)
    if seeds is None:
        broker = broker_of(redis)
        publisher = Publisher(
            broker,
            counters,
            queue_size=queue_size,
            queue_policy=queue_policy,
            on_change=on_change,
            hold=hold,
        )
        return publisher, Subscriber(broker, counters, on_change=on_change)
    members = _members(redis, seeds)
    # In this order: what has moved is heard at its new place before anything is sent there.
    subscribers = Subscribers(members, counters, sharded=sharded, on_change=on_change)
    publishers = Publishers(
        members,
        counters,
        sharded=sharded,
        queue_size=queue_size,
        queue_policy=queue_policy,
        on_change=on_change,
        hold=hold,
    )
    return publishers, subscribers


def lone_publisher(redis: Any, counters: Counter[str]) -> AnyPublisher:
    """Return what goes out, for a program that hears nothing; see `wired`."""
    seeds = seeds_of(redis)
    if seeds is None:
        return Publisher(broker_of(redis), counters)
    return Publishers(_members(redis, seeds), counters, sharded=False)


def _members(redis: Any, seeds: list[Broker]) -> Members:
    manager = getattr(redis, "nodes_manager", None)
    return Members(seeds, remap=getattr(manager, "address_remap", None))
