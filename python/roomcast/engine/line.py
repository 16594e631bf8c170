"""What the WebSockets on either transport have in common."""

import asyncio
from abc import ABC, abstractmethod
from typing import Final, Protocol

__all__ = ["LINGER", "Peer", "WebSocketLine", "fileno", "is_tls"]

LINGER: Final = 5.0
"""Seconds that a closed connection may take to send its last packets and to finish the closing handshake."""


class Peer(Protocol):
    """Who gets what a WebSocket receives."""

    def receive_text(self, text: str, now: float) -> None:
        """Take a text message."""

    def receive_binary(self, data: bytes, now: float) -> None:
        """Take a binary message."""

    def lost(self, reason: str, details: str | None = None) -> None:
        """Learn that the line is gone."""


class WebSocketLine(ABC):
    """A WebSocket as connections and probes see it."""

    __slots__ = ()

    peer: Peer | None

    @property
    def name(self) -> str:
        """The transport's name in the protocol."""
        return "websocket"

    @abstractmethod
    def close(self, *, discard: bool) -> None:
        """End the line, after sending what waits unless that is to be discarded."""

    def _lost(self, reason: str, details: str | None = None) -> None:
        if self.peer is not None:
            self.peer.lost(reason, details)

    def end(self) -> None:
        """Close a line that carries no connection."""
        self.close(discard=True)

    def retire(self) -> None:
        """End, because another transport has taken over; nothing follows a WebSocket so far."""
        self.close(discard=False)

    def on_close_packet(self) -> bool:
        """Ignore a close packet: a WebSocket has a close of its own.

        Source:
            engine.io, where only polling knows the packet.
        """
        return False


def is_tls(transport: asyncio.Transport) -> bool:
    """Say whether a transport encrypts what is written."""
    return transport.get_extra_info("sslcontext") is not None


def fileno(transport: asyncio.Transport) -> int:
    """Return the socket's number where bytes may be sent past the transport, -1 where they may not."""
    if is_tls(transport):
        return -1
    line = transport.get_extra_info("socket")
    return -1 if line is None else int(line.fileno())
