"""Types that msgspec converts: everything that is not Pydantic's.

The arguments of an event are converted in one call, as an array-like Struct with a field for each parameter: msgspec keeps what it
has compiled with the class of a Struct, and compiles a ``tuple[int, str]`` anew in each call, at four times the price.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from roomcast.errors import HandlerError, MissingDependencyError, ValidationError
from roomcast.validation.models import INVALID, is_model

__all__ = ["Uses", "converter_of", "uses_of"]

_PLACE: Final = re.compile(r"(.*) - at (?:`key` in )?`\$(.*)`", re.DOTALL)
"""The end of a message of msgspec. Greedy: what stands before may be the peer's."""


class Uses:
    """What is in the annotations of a handler that concerns how they are converted.

    Attributes:
        models: Whether there is a class of Pydantic.
        binary: Whether there is binary data, which must not be made of a ``str`` as msgspec otherwise does.
        keys: Whether there is a mapping whose keys are not text, though in JSON they are.
    """

    def __init__(self) -> None:
        self.models = False
        self.binary = False
        self.keys = False

    def read(self, info: Any, inspect: Any) -> None:
        """Walk through what msgspec says about a type.

        Raises:
            HandlerError: If there is a class in it that no client can send.
        """
        seen: set[int] = set()
        left = [info]
        while left:
            node = left.pop()
            if isinstance(node, tuple):
                left.extend(node)  # pyright: ignore[reportUnknownArgumentType]
                continue
            if not isinstance(node, inspect.Type | inspect.Field) or id(node) in seen:
                continue
            seen.add(id(node))
            cls: Any = getattr(node, "cls", object)
            if is_model(cls):
                self.models = True
                continue
            if isinstance(node, inspect.CustomType) and cls is not object:
                raise HandlerError(f"no client can send a {cls.__qualname__}")
            if isinstance(node, inspect.BytesType | inspect.ByteArrayType | inspect.MemoryViewType):
                self.binary = True
            if isinstance(node, inspect.DictType):
                self.keys |= not isinstance(node.key_type, inspect.StrType | inspect.AnyType)
            left.extend(getattr(node, name) for name in node.__struct_fields__ if name != "default")


def uses_of(hint: Any) -> Uses:
    """Return what is in a type.

    Raises:
        HandlerError: If msgspec does not know it, or there is a class in it that no client can send.
        MissingDependencyError: If msgspec is not installed.
    """
    msgspec = _msgspec()
    uses = Uses()
    try:
        msgspec.json.Decoder(hint)  # finds what `type_info` lets through
        info = msgspec.inspect.type_info(hint)
    except Exception as error:
        # Of any kind: the annotations of classes are the program's, and read here.
        raise HandlerError(str(error)) from error
    uses.read(info, msgspec.inspect)
    return uses


def converter_of(
    hints: Sequence[Any], uses: Sequence[Uses]
) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return what converts as many values as there are types, or fewer.

    It returns a value for each type; those that were missing are ``UNSET``. It raises `ValidationError`, whose path begins with the
    index in brackets.
    """
    msgspec = _msgspec()
    cls: Any = msgspec.defstruct(
        "Arguments",
        [(f"_{index}", hint, msgspec.UNSET) for index, hint in enumerate(hints)],
        array_like=True,
        gc=False,
    )
    convert, misfit = msgspec.convert, msgspec.ValidationError
    astuple: Callable[[Any], tuple[Any, ...]] = msgspec.structs.astuple
    # Each option costs as much again as the call itself, so none is given that nothing needs.
    options: dict[str, Any] = {}
    if any(each.binary for each in uses):
        options["builtin_types"] = (bytes, bytearray, memoryview)
    if any(each.keys for each in uses):
        options["str_keys"] = True

    def converted(values: Sequence[Any]) -> tuple[Any, ...]:
        try:
            return astuple(convert(values, cls, **options) if options else convert(values, cls))
        except misfit as error:
            raise _located(error) from error
        except TypeError as error:
            # msgspec's own: a list in a set, say. Those of the program's classes are misfits above.
            raise ValidationError(INVALID, "") from error

    return converted


def _located(error: Exception) -> ValidationError:
    found = _PLACE.fullmatch(str(error))
    message, path = found.groups() if found else (str(error), "")
    # With a cause it is the text of an exception that a class of the program has raised.
    return ValidationError(message if error.__cause__ is None else INVALID, path)


def _msgspec() -> Any:
    try:
        import msgspec  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        command = 'pip install "roomcast[validation]"'
        raise MissingDependencyError(f"validating handlers needs msgspec: {command}") from error
    return msgspec
