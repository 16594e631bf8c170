"""The emitter: listeners by event name, in order of registration.

Pure: it keeps listeners and hands them out, it never runs user code but for the two events about itself. Who runs a listener,
and what becomes of a coroutine or an exception, is decided above, because an event may have to wait for the network.

Listeners are kept in tuples that are replaced, never changed: whoever walks one is not disturbed by a listener that adds or
removes others, and an emitter without listeners owns nothing but one empty slot.
"""

from collections.abc import Callable
from typing import Any, Final, Self, TypeVar, overload

__all__ = ["STANDS_FOR", "EventEmitter", "Listener"]

Listener = Callable[..., Any]
"""Any callable; what it may return is said by the event."""

ListenerT = TypeVar("ListenerT", bound=Listener)

NEW_LISTENER: Final = "newListener"
REMOVE_LISTENER: Final = "removeListener"

STANDS_FOR: Final = "__roomcast_listener__"
"""The attribute of a function that is called in the place of a listener: the listener, as which it is known to programs."""


class _Once:
    """A listener that leaves before its first call."""

    __slots__ = ("listener",)

    def __init__(self, listener: Listener) -> None:
        self.listener = listener


_Entry = Listener | _Once


class EventEmitter:
    """Base of everything that has `on`, `once` and `off`.

    Source:
        component-emitter and Node.js' ``EventEmitter``, of which ``newListener`` and ``removeListener`` are.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[str, tuple[_Entry, ...]] | None = None

    @overload
    def on(self, event: str) -> Callable[[ListenerT], ListenerT]: ...
    @overload
    def on(self, event: str, listener: Listener) -> Self: ...
    def on(
        self, event: str, listener: Listener | None = None
    ) -> Self | Callable[[ListenerT], ListenerT]:
        """Call a listener for every event of a name, after those that are there already.

        Args:
            event: The event's name.
            listener: A function or a coroutine function. The same one may be added twice and is then called twice.

        Returns:
            The emitter itself; without a listener, a decorator that adds one and gives it back.
        """
        if listener is None:
            return self._adder(event, once=False)
        self._add(event, listener, listener)
        return self

    @overload
    def once(self, event: str) -> Callable[[ListenerT], ListenerT]: ...
    @overload
    def once(self, event: str, listener: Listener) -> Self: ...
    def once(
        self, event: str, listener: Listener | None = None
    ) -> Self | Callable[[ListenerT], ListenerT]:
        """Call a listener for the next event of a name only; otherwise as `on`."""
        if listener is None:
            return self._adder(event, once=True)
        self._add(event, listener, _Once(listener))
        return self

    def off(self, event: str | None = None, listener: Listener | None = None) -> Self:
        """Remove listeners.

        Args:
            event: The event's name; ``None`` removes every listener of every event.
            listener: The one to remove, added by `on` or `once`; of several additions the newest goes. ``None`` removes
                all of this event. One that is not there is ignored.

        Returns:
            The emitter itself.
        """
        if event is None:
            for name in list(self._entries or ()):
                self.off(name)
            return self
        entries = self._entries_of(event)
        if listener is None:
            for entry in reversed(entries):
                self._remove(event, entry)
            return self
        for entry in reversed(entries):
            if listener in (entry, _given(entry)):
                self._remove(event, entry)
                break
        return self

    def listeners(self, event: str) -> list[Listener]:
        """Return the listeners of an event in the order in which they are called; a new list."""
        return [_given(entry) for entry in self._entries_of(event)]

    def has_listeners(self, event: str) -> bool:
        """Say whether an event has any."""
        return self._entries is not None and event in self._entries

    def _take(self, event: str) -> tuple[Listener, ...]:
        """Return the listeners to call now; those of `once` are removed by it.

        Cost:
            One look-up in a dict; nothing is copied unless a `once` is among them.
        """
        entries = self._entries_of(event)
        for entry in entries:
            if isinstance(entry, _Once):
                break
        else:
            return entries  # type: ignore[return-value]  # no _Once is among them
        for entry in entries:
            if isinstance(entry, _Once):
                self._remove(event, entry)
        return tuple(entry.listener if isinstance(entry, _Once) else entry for entry in entries)

    def _notify(self, listener: Listener, event: str, subject: Listener) -> None:
        """Run a listener of ``newListener`` or ``removeListener``; a layer with coroutines overrides it."""
        listener(event, subject)

    def _entries_of(self, event: str) -> tuple[_Entry, ...]:
        return () if self._entries is None else self._entries.get(event, ())

    def _adder(self, event: str, *, once: bool) -> Callable[[ListenerT], ListenerT]:
        def add(listener: ListenerT) -> ListenerT:
            self._add(event, listener, _Once(listener) if once else listener)
            return listener

        return add

    def _check_listener(self, event: str, listener: Listener) -> None:
        """Refuse a listener that cannot be called; a layer that knows the arguments overrides it.

        Raises:
            TypeError: If it cannot.
        """
        if not callable(listener):
            raise TypeError(f"a listener must be callable, not {type(listener).__name__}")

    def _add(self, event: str, listener: Listener, entry: _Entry) -> None:
        listener = _given(listener)
        self._check_listener(event, listener)
        # Before it is added, so that a listener for newListener does not hear of itself, as in Node.js.
        for observer in self._take(NEW_LISTENER):
            self._notify(observer, event, listener)
        if self._entries is None:
            self._entries = {}
        self._entries[event] = (*self._entries.get(event, ()), entry)

    def _remove(self, event: str, entry: _Entry) -> None:
        entries = self._entries_of(event)
        for index in range(len(entries) - 1, -1, -1):
            if entries[index] is entry or entries[index] == entry:
                break
        else:
            return  # a listener of removeListener was faster
        assert self._entries is not None
        left = entries[:index] + entries[index + 1 :]
        if left:
            self._entries[event] = left
        else:
            del self._entries[event]
        subject = _given(entry)
        for observer in self._take(REMOVE_LISTENER):
            self._notify(observer, event, subject)


def _given(entry: _Entry) -> Listener:
    """Return a listener as the program gave it."""
    called = entry.listener if isinstance(entry, _Once) else entry
    listener: Listener = getattr(called, STANDS_FOR, called)
    return listener
