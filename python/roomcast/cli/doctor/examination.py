"""One examination: what is looked at, in which order, and what each step has to know of those before."""

from dataclasses import dataclass

from roomcast.cli.connecting import Destination
from roomcast.cli.doctor.http import Answer
from roomcast.cli.doctor.opened import Opened
from roomcast.cli.doctor.report import Report

__all__ = ["Examination"]


@dataclass(slots=True)
class Examination:
    """What the steps have in common.

    Attributes:
        to: The server.
        report: Gets what is found.
        origin: The origin of a page that wants to connect; ``None`` if there is none.
        hold: Seconds that a request of polling is held.
        answer: That of the handshake on polling.
        opened: The open packet; ``None`` while no server is found.
        sticks: Whether what follows a handshake reaches the same process; ``None`` if that is unknown.
        cookies: Whether it needs cookies for that.
        websocket: Whether WebSockets work.
    """

    to: Destination
    report: Report
    origin: str | None = None
    hold: float = 3.0
    answer: Answer | None = None
    opened: Opened | None = None
    sticks: bool | None = None
    cookies: bool = False
    websocket: bool = False

    def software(self, *answers: Answer | None) -> str:
        """Return what the server, and these answers, say that they are."""
        return " ".join(
            answer.header("server") for answer in (self.answer, *answers) if answer is not None
        )
