"""How a node speaks with its broker: with one server, or with all members of a Redis Cluster."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from roomcast.adapters.appender import Appender
from roomcast.adapters.appenders import Appenders
from roomcast.adapters.broker import Broker, broker_of, seeds_of
from roomcast.adapters.members import Members
from roomcast.adapters.publisher import Publisher, Publishing
from roomcast.adapters.publishers import Publishers
from roomcast.adapters.reader import LonePlace, StreamPlace
from roomcast.adapters.subscriber import Subscriber
from roomcast.adapters.subscribers import Subscribers

__all__ = [
    "AnyAppender",
    "AnyPublisher",
    "AnySubscriber",
    "lone_publisher",
    "wired",
    "wired_streams",
]

AnyPublisher = Publisher | Publishers
AnySubscriber = Subscriber | Subscribers
AnyAppender = Appender | Appenders


def wired(
    redis: Any,
    counters: Counter[str],
    how: Publishing,
    *,
    sharded: bool,
) -> tuple[AnyPublisher, AnySubscriber]:
    """Return what goes out and what comes in. The publisher is started first, and closed last.

    Args:
        redis: A URL or a client of `redis.asyncio`; of a Redis Cluster, several URLs or a client of it.
        counters: Where to count.
        how: How what goes out works; what is told of that is told of what comes in, too.
        sharded: Whether sharded channels are what they are for.

    Raises:
        MissingDependencyError: If redis-py is not installed.
        TypeError: If ``redis`` is something else.
        ValueError: If a URL is none.
    """
    on_change = how.on_change
    seeds = seeds_of(redis)
    if seeds is None:
        broker = broker_of(redis)
        publisher = Publisher(broker, counters, how)
        return publisher, Subscriber(broker, counters, on_change=on_change)
    members = _members(redis, seeds)
    # In this order: what has moved is heard at its new place before anything is sent there.
    subscribers = Subscribers(members, counters, sharded=sharded, on_change=on_change)
    return Publishers(members, counters, how, sharded=sharded), subscribers


def wired_streams(
    redis: Any, counters: Counter[str], how: Publishing, *, sharded: bool
) -> tuple[AnyAppender, AnySubscriber, Callable[[bytes], StreamPlace]]:
    """Return the same for a node with streams, and what says where a stream is; arguments as for `wired`."""
    on_change = how.on_change
    seeds = seeds_of(redis)
    if seeds is None:
        broker = broker_of(redis)
        place = LonePlace(broker)
        appender = Appender(broker, counters, how)
        return appender, Subscriber(broker, counters, on_change=on_change), lambda stream: place
    members = _members(redis, seeds)
    subscribers = Subscribers(members, counters, sharded=sharded, on_change=on_change)
    appenders = Appenders(members, counters, how, sharded=sharded)
    return appenders, subscribers, appenders.place


def lone_publisher(redis: Any, counters: Counter[str]) -> AnyPublisher:
    """Return what goes out, for a program that hears nothing; see `wired`."""
    seeds = seeds_of(redis)
    if seeds is None:
        return Publisher(broker_of(redis), counters)
    return Publishers(_members(redis, seeds), counters, sharded=False)


def _members(redis: Any, seeds: list[Broker]) -> Members:
    manager = getattr(redis, "nodes_manager", None)
    return Members(seeds, remap=getattr(manager, "address_remap", None))
