"""Adapters that make servers one cluster, and emitters that reach it from outside."""

from roomcast.adapters.bridge import PythonSocketIOBridge
from roomcast.adapters.emitter import Emitter, EmitterOperator, SyncEmitter
from roomcast.adapters.member import AdapterHealth
from roomcast.adapters.redis import RedisAdapter
from roomcast.adapters.sharded import ShardedRedisAdapter

__all__ = [
    "AdapterHealth",
    "Emitter",
    "EmitterOperator",
    "PythonSocketIOBridge",
    "RedisAdapter",
    "ShardedRedisAdapter",
    "SyncEmitter",
]
