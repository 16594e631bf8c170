"""What a compressed broadcast costs beside a plain one, in processor time a delivery: python benches/deflate.py.

A thousand connections over TCP on this machine, whose outboxes write past the event loop, as under uvicorn; each sample is one
broadcast, from its encoding to the last system call. The clients are sockets that are emptied between the samples. "alone" is
what it would be without sharing: a packet for each recipient. Takes a minute.
"""

import asyncio
import json
import random
import socket
import sys
import time
from typing import Any, Final

from roomcast._core import Agreement, Encoder, Flusher, Outbox, Rooms
from roomcast.engine.deflate import PerMessageDeflate
from timing import ratios, spread

CLIENTS: Final = 1_000
ROUNDS: Final = 15
PLAIN: Final = "plain"
SIZES: Final = (512, 4_096, 65_536)
WINDOWS: Final[dict[str, tuple[int, ...]]] = {
    PLAIN: (0,),
    "compressed": (15,),
    "compressed, 7 windows": tuple(range(9, 16)),
    "compressed, alone": (15,),
}


def payload(size: int) -> list[dict[str, Any]]:
    """Return records of about so many bytes, as an application sends them."""
    draw = random.Random(0)
    words = [
        "room",
        "message",
        "user",
        "online",
        "typing",
        "position",
        "score",
        "delta",
        "level",
        "player",
    ]
    records: list[dict[str, Any]] = []
    while len(json.dumps(records)) < size:
        text = " ".join(draw.choices(words, k=8))
        records.append({"id": draw.randrange(10**6), "text": text, "x": draw.random()})
    return records


class Line:
    """What stands above a socket; the socket takes all that is sent, so nothing is ever asked of it."""

    def write(self, data: bytes) -> None:
        sys.exit(f"a socket left {len(data)} bytes")

    def get_write_buffer_size(self) -> int:
        return 0


class Clients:
    """The recipients."""

    def __init__(self, flusher: Flusher, windows: tuple[int, ...]) -> None:
        deflate = PerMessageDeflate().deflate()
        self.rooms: Rooms[int] = Rooms()
        self.ends: list[tuple[socket.socket, socket.socket]] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            for number in range(CLIENTS):
                theirs = socket.create_connection(server.getsockname())
                ours, _ = server.accept()
                for end in (ours, theirs):
                    end.setblocking(False)
                self.ends.append((ours, theirs))
                bits = windows[number % len(windows)]
                offer = f"permessage-deflate; server_max_window_bits={bits}"
                agreement: Agreement | None = deflate.negotiate(offer) if bits else None
                outbox = Outbox(flusher)
                line: Any = Line()
                outbox.write_to(line, ours.fileno(), agreement)
                self.rooms.add(str(number), number, outbox)

    def read(self) -> int:
        """Take what has arrived; return how many bytes the last client got."""
        size = 0
        for _, theirs in self.ends:
            size = 0
            while True:
                try:
                    size += len(theirs.recv(1 << 20))
                except BlockingIOError:
                    break
        return size

    def close(self) -> None:
        """End all lines."""
        for pair in self.ends:
            for end in pair:
                end.close()


def together(rooms: Rooms[int], records: Any) -> None:
    """Reach everybody with one packet."""
    packet = Encoder().encode_event("/", "update", (records,))
    rooms.push(packet, (), (), (), False)


def alone(rooms: Rooms[int], records: Any) -> None:
    """Reach everybody with a packet each."""
    encode = Encoder().encode_event
    for number in range(CLIENTS):
        rooms.push(encode("/", "update", (records,)), (str(number),), (), (), False)


async def main() -> None:
    """Print a line for each size and kind."""
    # One that holds the loop as long as it likes, so that a sample is one call.
    flusher = Flusher(asyncio.get_running_loop(), 1 << 30, 1 << 30, "close", 60.0)
    for size in SIZES:
        records = payload(size)
        kinds = {name: Clients(flusher, windows) for name, windows in WINDOWS.items()}
        samples: dict[str, list[float]] = {name: [] for name in kinds}
        received: dict[str, int] = {}
        for _ in range(ROUNDS):
            for name in random.sample(list(kinds), len(kinds)):
                clients = kinds[name]
                broadcast = alone if name.endswith("alone") else together
                start = time.thread_time()
                broadcast(clients.rooms, records)
                flusher.flush()
                samples[name].append((time.thread_time() - start) / CLIENTS)
                await asyncio.sleep(0)
                received[name] = clients.read()
        for name, values in samples.items():
            took = spread([value * 1e6 for value in values])
            times = ratios(values, samples[PLAIN])
            print(
                f"{size:>6} bytes │ {name:<22} │ {took.median:7.2f} µs a delivery"
                f" │ {times.median:6.2f}x ({times.q1:.2f} to {times.q3:.2f}) │ {received[name]:>6} bytes a client",
                flush=True,
            )
        for clients in kinds.values():
            clients.close()


asyncio.run(main())
