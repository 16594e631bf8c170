"""The events of a small chat: what clients send, and what the server sends. Both sides of a program may import it."""

from typing import Protocol, TypedDict

from roomcast.typed import Event


class Message(TypedDict):
    """What is said."""

    text: str
    important: bool


class ClientToServer(Protocol):
    """What clients send. What a method returns is the acknowledgement."""

    @Event
    def say(self, message: Message) -> int:
        """Say something to the others; the answer is how many there are."""
        ...

    @Event.named("private message")
    def private_message(self, to: str, text: str) -> None:
        """Say something to one of them."""
        ...


class ServerToClient(Protocol):
    """What the server sends."""

    @Event
    def said(self, who: str, message: Message) -> None:
        """Somebody has said something."""
        ...

    @Event
    def whispered(self, who: str, text: str) -> None:
        """Somebody has said something to this client alone."""
        ...

    @Event
    def who_are_you(self) -> str:
        """Ask for the name of a client."""
        ...
