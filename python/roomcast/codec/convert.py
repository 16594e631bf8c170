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


def convert(value: object) -> Any:
    """Return what stands for a value in JSON, or ``NotImplemented`` for a type that nobody knows.

    ``datetime``, ``date`` and ``time`` become ISO 8601 (``Z`` for UTC), ``UUID`` and ``Decimal`` their text, an ``Enum`` its
    value, a dataclass, a msgspec Struct and a Pydantic model a dict of their fields.

    Source:
        roomcast; ``Date.prototype.toJSON`` for the dates.
    """
    cls: type = value.__class__
    converter = _converters.get(cls)
    if converter is None:
        converter = _converters[cls] = _find(cls)
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
        return _struct(msgspec, cls)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(cls, pydantic.BaseModel):
        return lambda value: value.model_dump(by_alias=True)
    return lambda _value: NotImplemented


def _struct(msgspec: Any, cls: Any) -> _Converter:
    """Return what makes a dict or list of a Struct, by msgspec's own rules for names, tags and what is left out.

    One level only, where `msgspec.to_builtins` goes all the way down: what is inside is the caller's hook's first.
    """
    config = cls.__struct_config__
    fields = msgspec.structs.fields(cls)

    def is_default(field: Any, item: Any) -> bool:
        factory = field.default_factory
        return item is field.default or (factory in {list, dict, set} and item == factory())

    def to_list(value: Any) -> list[Any]:
        tag = [] if config.tag is None else [config.tag]
        return tag + [getattr(value, field.name) for field in fields]

    def to_dict(value: Any) -> dict[str, Any]:
        result = {} if config.tag is None else {config.tag_field: config.tag}
        for field in fields:
            item = getattr(value, field.name)
            if item is msgspec.UNSET or (config.omit_defaults and is_default(field, item)):
                continue
            result[field.encode_name] = item
        return result

    return to_list if config.array_like else to_dict


def _isoformat(value: datetime | time) -> str:
    text = value.isoformat()
    # Only UTC itself has the offset 0 and is spelled Z; London in winter too, and JavaScript reads both the same.
    if value.utcoffset() == timedelta(0):
        return text.removesuffix("+00:00") + "Z"
    return text


_BY_CLASS: dict[type, _Converter] = {
    datetime: _isoformat,
    date: date.isoformat,
    time: _isoformat,
    UUID: str,
    Decimal: str,
    Enum: lambda value: value.value,
}
