r"""HTTP long-polling, without I/O: what a request may do to a connection, and when it is answered.

A connection on polling has at most one GET that waits (`Poll`) and at most one POST whose body arrives (`Post`). Both are one
of three things to us: there, answered, or refused.

    =====================  ===========================================  ======================================
    what happens           the connection is open                       it is closing
    =====================  ===========================================  ======================================
    GET                    waits, or takes what the outbox holds        takes what the outbox holds; a GET that
                                                                        finds nothing gets ``6\x1e1``, the end
    GET while one waits    refused; ``transport error``, and the first  refused
                           one gets ``1``
    GET loses its line     ``transport error``                          the end
    POST                   its packets are taken when all of it is      taken and ignored
                           there, then it is answered
    POST while one comes   both refused; ``transport error``            both refused
    POST loses its line    ``transport error``                          nothing
    close packet           the GET gets ``6``; ``transport close``      nothing
    we close               a GET that waits gets ``1``, the end; with
                           packets left it gets those, and the line
                           lingers for the next GET, as it does
                           without one, but not for ever
    another transport      the GET gets ``1``, the POST is refused      the same
    takes over
    =====================  ===========================================  ======================================

The close packet is never in one answer with others: the official client hands packets on in its next turn, but closes at once.

Source:
    engine.io, ``lib/transports/polling.ts``.
"""

from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from roomcast.engine.connection import ConnectionState

if TYPE_CHECKING:
    from roomcast.engine.connection import Connection

__all__ = ["LINGER", "SEPARATOR", "Poll", "Polling", "Post"]

LINGER: Final = 30.0
"""Seconds that a closed connection waits for the GET that fetches its last packets. The reference's ``closeTimeout``."""

CLOSE: Final = b"1"
NOOP: Final = b"6"
SEPARATOR: Final = b"\x1e"


class Poll(Protocol):
    """A GET of the client."""

    def answer(self, payload: bytes, *, compress: bool = True) -> None:
        """Answer with a payload, which may be compressed or not."""

    def refuse(self) -> None:
        """Answer with 400."""


class Post(Protocol):
    """A POST of the client whose body arrives."""

    def refuse(self) -> None:
        """Read no further, and answer with 400."""


class Packets(Protocol):
    """The outbox, as polling sees it."""

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        ...

    def take_payload(self, limit: int, /) -> tuple[bytes, bool]:
        """Take what fits into a payload of this size; say whether that may be compressed."""
        ...

    @property
    def writable(self) -> bool:
        """Whether what is pushed leaves at once."""
        ...

    @writable.setter
    def writable(self, writable: bool, /) -> None: ...

    def discard(self) -> None:
        """Drop everything."""


class Polling:
    """Carries a connection by HTTP requests."""

    __slots__ = ("_closing", "_connection", "_outbox", "_poll", "_post", "deadline", "tick")

    def __init__(self, outbox: Packets) -> None:
        """Take the packets to send."""
        self._outbox = outbox
        self._connection: Connection | None = None
        self._poll: Poll | None = None
        self._post: Post | None = None
        self._closing = False
        self.deadline = inf
        self.tick: int | None = None

    @property
    def name(self) -> str:
        """The transport's name in the protocol."""
        return "polling"

    def carry(self, connection: "Connection") -> None:
        """Belong to a connection."""
        self._connection = connection
        self._outbox.writable = False

    def on_poll(self, poll: Poll) -> None:
        """Take a GET; it is answered now or later."""
        connection = self._connection
        if connection is None or self._poll is not None:
            poll.refuse()
            if connection is not None:
                connection.lost("transport error", "overlap from client")
            return
        if self._closing and self._outbox.empty:
            poll.answer(NOOP + SEPARATOR + CLOSE)
            self._end()
            return
        self._poll = poll
        self._outbox.writable = True
        self.flush()
        if connection.probe is not None:
            connection.probe.on_poll()

    def on_poll_gone(self, poll: Poll) -> None:
        """Learn that the line of a GET is gone before its answer."""
        if self._poll is not poll:
            return
        self._poll = None
        self._outbox.writable = False
        if self._connection is not None:
            self._connection.lost("transport error", "poll connection closed prematurely")

    def on_post(self, post: Post) -> bool:
        """Take the head of a POST; say whether its body is to be read."""
        if self._connection is None:
            return False
        if self._post is not None:
            self._connection.lost("transport error", "overlap from client")
            self._refuse_post()
            return False
        self._post = post
        return True

    def on_post_gone(self, post: Post) -> None:
        """Learn that the line of a POST is gone before the end of its body."""
        if self._post is post:
            self._post = None
            if self._connection is not None:
                self._connection.lost(
                    "transport error", "data request connection closed prematurely"
                )

    def on_post_too_large(self, post: Post) -> None:
        """Learn that a body passes the limit; the connection stays."""
        if self._post is post:
            self._post = None

    def on_post_content(self) -> None:
        """Learn that a POST has the one content type that protocol 4 does not know."""
        if self._connection is not None:
            self._connection.lost("transport error", "invalid content")

    def on_post_body(
        self, post: Post, packets: list[str | bytes], now: float, *, more: bool = False
    ) -> bool:
        """Take packets of a POST whose body is all there; say whether they were still wanted.

        Args:
            post: The POST.
            packets: Its packets, or some of them.
            now: The time.
            more: Whether others of the same body follow; until then it counts as a POST that arrives.
        """
        if self._post is not post or self._connection is None:
            return False
        self._post = None  # too late to refuse it, whatever its packets do
        connection = self._connection
        for packet in packets:
            if connection.state is not ConnectionState.OPEN:
                break
            if isinstance(packet, str):
                connection.receive_text(packet, now)
            else:
                connection.receive_binary(packet, now)
        if more and connection.state is ConnectionState.OPEN:
            self._post = post
        return True

    def on_close_packet(self) -> bool:
        """Let a close packet of the client end the connection."""
        self._answer(NOOP)
        return True

    def nudge(self) -> bool:
        """Answer the GET that waits, because the client wants to move to another transport; say whether one did."""
        waits = self._poll is not None
        self._answer(NOOP)
        return waits

    def flush(self) -> None:
        """Answer the GET that waits with what the outbox holds."""
        if self._poll is not None and not self._outbox.empty:
            payload, compress = self._take()
            self._answer(payload, compress=compress)

    def retire(self) -> None:
        """End, because another transport has taken over."""
        self._refuse_post()
        self._answer(CLOSE)
        self._connection_ended()

    def close(self, *, discard: bool) -> None:
        """End the line: at once if a GET waits or nothing is to be delivered, else with the GETs that come."""
        if self._closing or self._connection is None:
            return
        self._closing = True
        self._refuse_post()
        if discard:
            self._outbox.discard()
        if discard or (self._poll is not None and self._outbox.empty):
            self._answer(CLOSE)
            self._end()
        else:
            self.flush()
            self._linger()

    def on_deadline(self, now: float) -> None:
        """Give up waiting for a GET that does not come."""
        self.deadline = inf
        self._end()

    def abort(self) -> None:
        """End now, whatever is left."""
        if self._connection is not None:
            self._refuse_post()
            self._answer(CLOSE)
            self._end()

    def _linger(self) -> None:
        assert self._connection is not None
        owner = self._connection.owner
        self.deadline = owner.now() + LINGER
        owner.schedule(self)
        owner.linger(self._connection)

    def _take(self) -> tuple[bytes, bool]:
        assert self._connection is not None
        return self._outbox.take_payload(self._connection.settings.max_payload)

    def _answer(self, payload: bytes, *, compress: bool = True) -> None:
        poll, self._poll = self._poll, None
        if poll is not None:
            self._outbox.writable = False
            poll.answer(payload, compress=compress)

    def _refuse_post(self) -> None:
        post, self._post = self._post, None
        if post is not None:
            post.refuse()

    def _end(self) -> None:
        connection = self._connection
        self._outbox.discard()
        self._connection_ended()
        if connection is not None and connection.probe is not None:
            connection.probe.fail()

    def _connection_ended(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.owner.unschedule(self)
            connection.owner.ended(connection)
