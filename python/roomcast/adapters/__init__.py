"""Adapters that make servers one cluster, and emitters that reach it from outside."""

from roomcast.adapters.bridge import PythonSocketIOBridge
from roomcast.adapters.emitter import Emitter, SyncEmitter
from roomcast.adapters.emitting import EmitterOperator
from roomcast.adapters.member import AdapterHealth
from roomcast.adapters.redis import RedisAdapter
from roomcast.adapters.sharded import ShardedRedisAdapter
from roomcast.adapters.streams import RedisStreamsAdapter
from roomcast.adapters.streams_emitter import StreamsEmitter, SyncStreamsEmitter
from roomcast.adapters.workers import WorkersAdapter
from roomcast.server.adapter import OF_WORKERS

__all__ = [
    "AdapterHealth",
    "Emitter",
    "EmitterOperator",
    "PythonSocketIOBridge",
    "RedisAdapter",
    "RedisStreamsAdapter",
    "ShardedRedisAdapter",
    "StreamsEmitter",
    "SyncEmitter",
    "SyncStreamsEmitter",
    "WorkersAdapter",
]

OF_WORKERS.make = WorkersAdapter
