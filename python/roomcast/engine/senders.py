"""What is known of ``send``, where it is uvicorn's own.

It may be called outside of the task of the request. And through it an answer is two messages, whose headers are looked at one by
one, and two writes, each with a system call, a segment and a wake-up of the client. Where nothing about an answer is special, the
bytes that uvicorn would write are known, and so is all else that it would do then: `write_whole` does it with one write.

    =============================================  ==================================
    an answer with status 200                      is written
    =============================================  ==================================
    whole, on a line that stays open               by `write_whole`
    that uvicorn logs, or that is to a HEAD        by ``send``
    that is the last one on its line               by ``send``
    whose request has not been read to its end     by ``send``
    on a line that is full, or lost                by ``send``, which waits or drops it
    with headers that uvicorn refuses or rewrites  by ``send``
    by a uvicorn that is not known here            by ``send``
    =============================================  ==================================

This leans on attributes that uvicorn and h11 do not promise; `tests/integration/test_uvicorn_polling.py` names them.
"""

import logging
import re
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

from roomcast.engine.asgi import Send
from roomcast.engine.http import Header

__all__ = ["NEEDED", "SUPPORTED", "may_send_anywhere", "write_whole"]

HTTPTOOLS: Final = "uvicorn.protocols.http.httptools_impl"
H11: Final = "uvicorn.protocols.http.h11_impl"

SENDERS: Final = frozenset({HTTPTOOLS, H11})
"""Whose ``send`` may be stepped outside of the task of the request: it waits for nothing but a client that does not read, and looks at
no task. Of a middleware nobody knows that: where one puts its own ``send`` in between, the task calls it."""

SUPPORTED: Final = ((0, 36), (0, 55))
"""The first uvicorn that is known here, and the first that is not: what `write_whole` repeats may have changed."""

NEEDED: Final = {
    HTTPTOOLS: (
        "access_log",
        "default_headers",
        "disconnected",
        "flow",
        "keep_alive",
        "message_event",
        "more_body",
        "on_response",
        "response_complete",
        "response_started",
        "scope",
        "transport",
        "waiting_for_100_continue",
    ),
    H11: ("conn._cstate.states",),
}
"""What must be there of the object whose method ``send`` is; of h11's all that httptools' has, too."""

CLOSE: Final = (b"connection", b"close")

NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
VALUE: Final = re.compile(rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")

SPECIAL: Final = frozenset({b"connection", b"host", b"transfer-encoding"})
"""Headers that say how an answer is framed, or that h11 moves to the front."""

MAX_HEADS: Final = 1_000
"""Heads of answers that are kept: those of a second, of as many lengths and origins as there are. Beyond, all are forgotten."""

MAX_HEAD: Final = 1_024
"""Bytes of a head that is kept."""

log = logging.getLogger("roomcast.engine")

_Finish: TypeAlias = Callable[[Any, bytes], bool]
"""Writes bytes and does what uvicorn does after an answer; says whether it could."""

_finishes: dict[type, tuple[Any, _Finish | None]] = {}
"""Of uvicorn's classes: the ``send`` that is known of each, and what stands in for it. Of the process, as the classes are."""

_heads: dict[tuple[Header, ...], bytes | None] = {}
"""Heads by their headers; ``None`` for those that are left to uvicorn."""


def may_send_anywhere(send: Send) -> bool:
    """Say whether ``send`` does not need the task of its request."""
    return type(getattr(send, "__self__", None)).__module__ in SENDERS


def write_whole(send: Send, headers: Sequence[Header], body: bytes) -> bool:
    """Write an answer with status 200, if it is certain what ``send`` would do with it.

    Args:
        send: ASGI's ``send``, of a request that has no answer yet.
        headers: All headers, with the length of the body.
        body: The body.

    Returns:
        Whether it is written. If not, nothing has happened.
    """
    bound: object = getattr(send, "__self__", None)
    known = _finishes.get(type(bound)) or _look_at(bound)
    if known is None:
        return False
    expected, finish = known
    if finish is None or send.__func__ is not expected:  # type: ignore[attr-defined]  # a method
        return False
    cycle: Any = bound
    if (
        cycle.access_log
        or cycle.disconnected
        or not cycle.keep_alive
        or cycle.more_body
        or cycle.response_started
        or cycle.waiting_for_100_continue
        or cycle.flow.write_paused
        or cycle.transport.is_closing()
    ):
        return False
    scope = cycle.scope
    if scope["method"] == "HEAD" or CLOSE in scope["headers"]:
        return False
    key = (*cycle.default_headers, *headers)
    head = _heads.get(key)
    if head is None:
        head = _new_head(key)
        if head is None:
            return False
    return finish(cycle, head + body)


def _look_at(cycle: object) -> tuple[Any, _Finish | None] | None:
    """Return what is known of a ``send`` that is seen for the first time."""
    kind = type(cycle)
    module = kind.__module__
    if module not in SENDERS:
        return None
    expected = getattr(kind, "send", None)
    finish = None
    if _is_known(module, cycle, expected):
        finish = _new_finish_h11() if module == H11 else _finish
    else:
        log.info("this uvicorn is not known: answers to polling go through ASGI, which is slower")
    known = _finishes[kind] = expected, finish
    return known


def _is_known(module: str, cycle: object, send: Any) -> bool:
    """Say whether ``send`` is uvicorn's, of a version that is known, and whether all is there that it uses."""
    numbers = re.match(r"(\d+)\.(\d+)", getattr(sys.modules.get("uvicorn"), "__version__", ""))
    if numbers is None:
        return False
    first, beyond = SUPPORTED
    is_supported = first <= (int(numbers[1]), int(numbers[2])) < beyond
    needed = dict.fromkeys((*NEEDED[HTTPTOOLS], *NEEDED[module]))
    code = getattr(
        send, "__code__", None
    )  # somebody may have put a function of his own in its place
    is_own = getattr(code, "co_filename", None) == getattr(sys.modules[module], "__file__", "")
    return is_supported and is_own and all(_has(cycle, name) for name in needed)


def _has(cycle: object, name: str) -> bool:
    try:
        attrgetter(name)(cycle)
    except AttributeError:
        return False
    return True


def _new_head(headers: tuple[Header, ...]) -> bytes | None:
    """Return the head of an answer, or ``None`` if it is not certain that uvicorn would write that."""
    names = [name for name, _ in headers]
    usual = names.count(b"content-length") == 1 and SPECIAL.isdisjoint(names)
    if not usual or not all(
        NAME.fullmatch(name) and VALUE.fullmatch(value) for name, value in headers
    ):
        return None
    lines = [b"%s: %s\r\n" % header for header in headers]
    head = b"".join([b"HTTP/1.1 200 OK\r\n", *lines, b"\r\n"])
    if len(head) <= MAX_HEAD:
        if len(_heads) >= MAX_HEADS:
            _heads.clear()
        _heads[headers] = head
    return head


# Source: uvicorn, ``RequestResponseCycle.send`` of both modules.
def _finish(cycle: Any, answer: bytes) -> bool:
    cycle.response_started = True
    cycle.transport.write(answer)
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


def _new_finish_h11() -> _Finish:
    """Return the same for h11, whose state machine has to know of the answer."""
    import h11  # noqa: PLC0415  uvicorn has imported it

    client, server, sending, done = h11.CLIENT, h11.SERVER, h11.SEND_RESPONSE, h11.DONE

    def finish(cycle: Any, answer: bytes) -> bool:
        # Where the client has said all and the line stays, an answer takes the server from one of these states to the other, and
        # changes nothing else that lasts beyond it. Source: h11, ``ConnectionState.process_event``.
        states = cycle.conn._cstate.states  # noqa: SLF001  what h11 has to tell it takes longer than all the rest
        if states[client] is not done or states[server] is not sending:
            return False
        states[server] = done
        return _finish(cycle, answer)

    return finish
