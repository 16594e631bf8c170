"""Adapters that make servers one cluster, and emitters that reach it from outside."""

from roomcast.adapters.bridge import PythonSocketIOBridge
from roomcast.adapters.emitter import Emitter, EmitterOperator, SyncEmitter
from roomcast.adapters.redis import AdapterHealth, RedisAdapter

__all__ = [
    "AdapterHealth",
    "Emitter",
    "EmitterOperator",
    "PythonSocketIOBridge",
    "RedisAdapter",
    "SyncEmitter",
]
