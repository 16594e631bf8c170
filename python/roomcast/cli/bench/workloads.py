"""The workloads: what each is called, what it sends, and what the server must do for it."""

from dataclasses import dataclass
from typing import Final

__all__ = ["HANDLERS", "WORKLOADS", "Workload"]


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of load.

    Attributes:
        help: What the clients do.
        event: The event that they send.
        reply: The event that they wait for; an acknowledgement has none.
        message: What is counted.
        messages: More than one of it.
        amount: How many messages are asked for at a time.
    """

    help: str
    event: str = ""
    reply: str = ""
    message: str = "round trip"
    messages: str = "round trips"
    amount: int = 0


WORKLOADS: Final[dict[str, Workload]] = {
    "broadcast": Workload(
        "one client asks for events to everybody, and again when all have arrived",
        event="go",
        reply="b",
        message="delivery",
        messages="deliveries",
        amount=100,
    ),
    "echo": Workload(
        "every client sends an event, which comes back as an event",
        event="echo",
        reply="echo",
        amount=1,
    ),
    "ack": Workload(
        "every client sends an event, which is acknowledged",
        event="ack",
        amount=1,
    ),
    "binary": Workload(
        "every client sends an event with an attachment, which comes back",
        event="echo",
        reply="echo",
        amount=1,
    ),
    "idle": Workload("connections are held"),
}

HANDLERS: Final = """\
What the server needs is the handler of the workload; `roomcast bench server` has
them all. In Python, with roomcast:

  @io.event
  def go(socket, count, size):  # broadcast
      for _ in range(count):
          io.emit("b", "x" * size)

  @io.event
  def echo(socket, value):  # echo, binary
      socket.emit("echo", value)

  @io.event
  def ack(socket, value):  # ack
      return value

In JavaScript:

  io.on("connection", (socket) => {
    socket.on("go", (count, size) => {  // broadcast
      for (let i = 0; i < count; i++) io.emit("b", "x".repeat(size));
    });
    socket.on("echo", (value) => socket.emit("echo", value));  // echo, binary
    socket.on("ack", (value, reply) => reply(value));          // ack
  });

On another namespace than "/" all of it is that one's: io.of("/admin").emit(...).
"""
