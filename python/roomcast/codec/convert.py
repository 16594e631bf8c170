"""Ready support for types that JSON does not know but every program uses.

The core calls `convert` for an object that it cannot write itself and that the caller's ``default=`` hook has not taken.
What a type becomes is found once per class and kept.
"""

import dataclasses
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

__all__ = ["convert"]

_Converter = Callable[[Any], Any]
_converters: WeakKeyDictionary[type, _Converter] = WeakKeyDictionary()


def convert(value: Any) -> Any:
    """Return what stands for a value in JSON, or ``NotImplemented`` for a type that nobody knows.

    ``datetime``, ``date`` and ``time`` become ISO 8601 (``Z`` for UTC), ``UUID`` and ``Decimal`` their text, an ``Enum`` its
    value, a dataclass, a msgspec Struct and a Pydantic model a dict of their fields.

    Source:
        roomcast; ``Date.prototype.toJSON`` for the dates.
    """
    converter = _converters.get(type(value))
    if converter is None:
        converter = _converters[type(value)] = _find(type(value))
    return converter(value)


def _find(cls: type) -> _Converter:
    for base, converter in _BY_CLASS.items():
        if issubclass(cls, base):
            return converter
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]
        return lambda value: {name: getattr(value, name) for name in names}
    # Only a program that has imported these libraries can hold one of their objects.
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and issubclass(cls, msgspec.Struct):
        return _struct(msgspec)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(cls, pydantic.BaseModel):
        return lambda value: value.model_dump(by_alias=True)
    return lambda _value: NotImplemented


def _struct(msgspec: Any) -> _Converter:
    def fields(value: Any) -> Any:
        # msgspec's own rules (renamed fields, tags, omitted defaults, array_like) hold for the Struct and what it nests;
        # what JSON does not know is left as it is, for us.
        return msgspec.to_builtins(value, builtin_types=_BUILTIN_TYPES, enc_hook=lambda other: other)

    return fields


def _isoformat(value: datetime | time) -> str:
    text = value.isoformat()
    # Only UTC itself has the offset 0 and is spelled Z; London in winter too, and JavaScript reads both the same.
    if value.utcoffset() == timedelta(0):
        return text.removesuffix("+00:00") + "Z"
    return text


_BUILTIN_TYPES = (bytes, bytearray, memoryview, datetime, date, time, Decimal, UUID)
_BY_CLASS: dict[type, _Converter] = {
    datetime: _isoformat,
    date: date.isoformat,
    time: _isoformat,
    UUID: str,
    Decimal: str,
    Enum: lambda value: value.value,
}
