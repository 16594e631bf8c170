"""Types that Pydantic validates: its models, wherever they stand in an annotation, and what it has of its own."""

from collections.abc import Callable
from typing import Any, Final, get_args, get_origin

from roomcast.errors import HandlerError, MissingDependencyError, ValidationError

__all__ = ["is_model", "mentions_model", "validator_of"]

INVALID: Final = "Invalid value"
"""What a client is told of an exception that the program's own validator has raised."""

_OWN_WORDS: Final = frozenset({"value_error", "assertion_error"})
"""Errors whose text is that of an exception of the program. A `PydanticCustomError` has a text for the client."""

_CLASS_NAMES: Final = {
    "model_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
    "dataclass_type": "Input should be an object",
    "dataclass_exact_type": "Input should be an object",
    "is_instance_of": INVALID,
    "is_subclass_of": INVALID,
}
"""Errors whose text has the name of a class in it, and what the client is told instead."""

_LIBRARIES: Final = frozenset({"pydantic", "pydantic_core", "annotated_types"})

MAX_KEY: Final = 32
"""Characters of a key in a path: it may be the peer's. Longer ones are cut."""


def is_model(cls: object) -> bool:
    """Say whether a class is a model, a dataclass or a type of Pydantic 2."""
    return isinstance(cls, type) and (
        hasattr(cls, "__pydantic_validator__") or hasattr(cls, "__get_pydantic_core_schema__")
    )


def mentions_model(hint: Any) -> bool:
    """Say whether an annotation has something of Pydantic in it."""
    if is_model(hint):
        return True
    metadata: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    if any(type(each).__module__.partition(".")[0] in _LIBRARIES for each in metadata):
        return True
    return get_origin(hint) is not None and any(mentions_model(each) for each in get_args(hint))


def validator_of(hint: Any) -> Callable[[Any], Any]:
    """Return what validates a value by Pydantic; it raises `ValidationError`, whose path begins behind the value's own.

    Raises:
        MissingDependencyError: If Pydantic is not installed.
        HandlerError: If Pydantic does not know the type.
    """
    try:
        import pydantic  # noqa: PLC0415  an optional dependency
    except ImportError as error:
        raise MissingDependencyError(
            'validating this annotation needs Pydantic: pip install "pydantic>=2"'
        ) from error
    try:
        adapter: Any = pydantic.TypeAdapter(hint)
        adapter.rebuild(raise_errors=True)  # a model may wait for a class that is defined later
    except (pydantic.errors.PydanticUserError, NameError, TypeError) as error:
        raise HandlerError(str(error).partition("\n")[0]) from error
    validate = adapter.validate_python

    def validated(value: Any) -> Any:
        try:
            return validate(value)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise ValidationError(_message(first), _path(first["loc"])) from error

    return validated


def _message(error: Any) -> str:
    kind: str = error["type"]
    text: str = error["msg"]
    return INVALID if kind in _OWN_WORDS else _CLASS_NAMES.get(kind, text)


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part[:MAX_KEY]}" for part in location
    )
