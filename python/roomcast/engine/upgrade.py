"""The move from polling to a WebSocket, without I/O.

The client opens a WebSocket with the id of its connection, asks whether the line works, finishes its polling requests, and then
says that it moves:

    =========  ==============================  ===========================================================
    state      leaves it                       what happens
    =========  ==============================  ===========================================================
    WAITING    ``2probe``                      ``3probe`` goes back over the WebSocket; the GET that waits, or
                                               else the next one, gets ``6``, so that the client is free: to
                                               PROBED
               ``5``                           the connection switches: to ENDED
    PROBED     ``2probe``                      ``3probe`` again
               every 0.1 s                     a further GET that came meanwhile gets ``6``
               ``5``                           the connection switches: to ENDED
    both       anything else, the line's end,  this WebSocket is closed, the connection stays on polling and
               the deadline                    may try again: to ENDED
    ENDED      nothing
    =========  ==============================  ===========================================================

Packets lose nothing on the way: until ``5`` they wait in the outbox or leave with a GET, from then on they go over the
WebSocket. A connection that is closed meanwhile still switches, and what was left is sent before the line ends.

Source:
    engine.io, ``lib/socket.ts``, ``_maybeUpgrade``. Differs from it: there the first ``6`` waits for the first 0.1 s
    that finds a GET.
"""

from math import inf
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from roomcast.engine.connection import Connection, Transport
    from roomcast.engine.polling import Polling

__all__ = ["Probe"]

NUDGE_INTERVAL: Final = 0.1
"""Seconds between two looks whether a GET waits. The reference's interval; it bounds how fast a client may poll meanwhile."""


class Line(Protocol):
    """The WebSocket that is tried."""

    def send_text(self, text: str) -> None:
        """Send a text past any outbox."""

    def end(self) -> None:
        """Close it."""


class Probe:
    """One attempt to move a connection to a WebSocket. It gets what that WebSocket receives."""

    __slots__ = (
        "_connection",
        "_ended",
        "_expires",
        "_line",
        "_owed",
        "_polling",
        "_probed",
        "_transport",
        "deadline",
        "tick",
    )

    def __init__(
        self,
        connection: "Connection",
        polling: "Polling",
        transport: "Transport",
        line: Line,
        now: float,
    ) -> None:
        """Begin.

        Args:
            connection: What is to move.
            polling: Where it is.
            transport: Where it wants to be.
            line: The same, as the probe uses it.
            now: The time.
        """
        self._connection = connection
        self._polling = polling
        self._transport = transport
        self._line = line
        self._probed = False
        self._owed = False
        self._ended = False
        self._expires = now + connection.settings.upgrade_timeout
        self.deadline = self._expires
        self.tick: int | None = None
        connection.probe = self
        connection.owner.schedule(self)

    def receive_text(self, text: str, now: float) -> None:
        """Take what arrives over the WebSocket."""
        if self._ended:
            return
        if text == "2probe":
            self._line.send_text("3probe")
            if not self._probed:
                self._probed = True
                self._owed = not self._polling.nudge()
                self._wait(now)
                self._connection.notify("upgrading", self._transport)
        elif text[:1] == "5":
            self._finish()
            self._connection.switch(self._transport, now)
        else:
            self.fail()

    def on_poll(self) -> None:
        """Learn of a GET; the first one that finds no packets is what the client waits for."""
        if self._owed and self._polling.nudge():
            self._owed = False

    def receive_binary(self, data: bytes, now: float) -> None:
        """Take what may not arrive."""
        self.fail()

    def lost(self, reason: str, details: str | None = None) -> None:
        """Learn that the WebSocket is gone; the connection does not mind."""
        self.fail()

    def fail(self) -> None:
        """Close the WebSocket; the connection stays where it is. A second failure is ignored."""
        if not self._ended:
            self._finish()
            self._line.end()

    def on_deadline(self, now: float) -> None:
        """Answer a GET that waits, or give up."""
        if now >= self._expires:
            self._connection.owner.count("upgrade_timeout")
            self.fail()
        else:
            if self._polling.nudge():
                self._owed = False
            self._wait(now)

    def _wait(self, now: float) -> None:
        self.deadline = min(now + NUDGE_INTERVAL, self._expires)
        self._connection.owner.schedule(self)

    def _finish(self) -> None:
        self._ended = True
        self.deadline = inf
        self._connection.probe = None
        self._connection.owner.unschedule(self)
