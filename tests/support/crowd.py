"""Clients that live at random: they connect on every transport, move between them, talk, and leave in every manner there is.

What a client sends is right while it talks, and it checks what comes back: acknowledgements arrive whole and in order. How it
begins and how it leaves is often wrong on purpose.
"""

import asyncio
import random
from base64 import b64decode, b64encode
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from support.wire import CLOSE, TEXT, WEBSOCKET, Session, Wire, frame, head

__all__ = ["Crowd"]

POLLING = "EIO=4&transport=polling"
DIRECT = "EIO=4&transport=websocket"

GONE = (ConnectionError, asyncio.IncompleteReadError)
"""How a client learns that the server has ended its line."""

PATIENCE = 15.0
"""Seconds that anything may take that the server owes."""


class Crowd:
    """Many clients of one server.

    Attributes:
        tally: How often what happened.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.random = random.Random(seed)
        self.tally: Counter[str] = Counter()
        self.lives = [
            self.websocket,
            self.websocket,
            self.polling,
            self.polling,
            self.upgrade,
            self.upgrade,
            self.refused,
            self.cut,
        ]

    async def live(self, seconds: float, clients: int) -> None:
        """Let so many clients live one life after the other for a while; returns when the last has ended."""
        end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._client(end))

    async def _client(self, end: float) -> None:
        while asyncio.get_running_loop().time() < end:
            life = self.random.choice(self.lives)
            with suppress(*GONE):
                await life()
            self.tally[life.__name__] += 1

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Wire]:
        wire = await Wire.open(self.port)
        wire.patience = PATIENCE  # the crowd shares the processor, and the loop, with the server
        try:
            yield wire
        finally:
            await wire.close()

    # How clients live.

    async def websocket(self) -> None:
        """Begin on a WebSocket."""
        async with self.dial() as wire:
            assert (await wire.upgrade(DIRECT)).status == 101
            await wire.recv(PATIENCE)
            await self.talk_and_leave(wire, Talk(self))

    async def talk_and_leave(self, wire: Wire, talk: "Talk") -> None:
        """Live on a WebSocket."""
        line = OnWebSocket(wire)
        listening = asyncio.create_task(line.listen(talk))
        try:
            await talk.run(line)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, *GONE):
                await listening
        await self.leave(wire)

    async def polling(self) -> None:
        """Begin on polling and stay there."""
        async with self.session() as session:
            talk = Talk(self)
            async with asyncio.TaskGroup() as group:
                group.create_task(session.listen(talk))
                await self.talk_on_polling(session, talk)
                session.stop = True  # with the answer to the GET that waits
            await self.leave_polling(session)

    async def talk_on_polling(self, session: "OnPolling", talk: "Talk") -> None:
        with suppress(*GONE):
            await talk.run(session)

    async def upgrade(self) -> None:
        """Begin on polling and move, or fail to."""
        async with self.session() as session, self.dial() as wire:
            talk = Talk(self)
            async with asyncio.TaskGroup() as group:
                group.create_task(session.listen(talk))
                await self.talk_on_polling(session, talk)
                moves = await self.probe(session, wire)
                session.stop = True
            if not moves:
                await self.leave_polling(session)
            elif not talk.ended:
                wire.send("5")
                await self.talk_and_leave(wire, talk)

    async def probe(self, session: "OnPolling", wire: Wire) -> bool:
        """Try a WebSocket; say whether the client may move."""
        failure = self.random.choice((None, None, None, "hang", "wrong", "reset"))
        self.tally[f"upgrade: {failure}"] += 1
        if failure == "reset":
            wire.ask(session.upgrade_query, headers=WEBSOCKET)
            await self.pause()
            wire.reset()
            return False
        if (await wire.upgrade(session.upgrade_query)).status != 101:
            return False  # the connection has ended
        wire.send("2probe" if failure != "wrong" else self.random.choice(("4", "", b"x", "2")))
        try:
            if failure is None:
                return await wire.recv(PATIENCE) == "3probe"
            await wire.closed(PATIENCE)
        except GONE:
            pass
        return False

    async def refused(self) -> None:
        """Ask for what is refused, and be answered."""
        query, body, headers = self.random.choice(
            (
                ("", None, ()),
                (f"{POLLING}&sid=nobody", None, ()),
                (f"{POLLING}&sid=nobody", b"4x", ()),
                (f"{DIRECT}&sid=nobody", None, WEBSOCKET),
                ("EIO=3&transport=websocket", None, WEBSOCKET),
                (POLLING, None, (("Origin", "http://evil.example"),)),
                (DIRECT, None, (*WEBSOCKET, ("Origin", "http://evil.example"))),
                (POLLING, b"4x", ()),
                (f"{POLLING}&j=0", None, ()),
                ("a" * 8_100, None, ()),
            )
        )
        async with self.dial() as wire:
            assert (await wire.request(query, body, headers)).status in (400, 403, 414)

    async def cut(self) -> None:
        """Begin to ask, and leave before the answer."""
        requests = (
            head("GET", f"/socket.io/?{POLLING}"),
            head("POST", f"/socket.io/?{POLLING}", [("Content-Length", "9")]) + b"4",
            head("GET", f"/socket.io/?{DIRECT}", WEBSOCKET) + frame(TEXT, "40"),
        )
        request = self.random.choice(requests)
        async with self.dial() as wire:
            wire.write(request[: self.random.randint(0, len(request))])
            await self.pause()
            if self.random.random() < 0.5:
                wire.reset()

    # How they leave.

    async def leave(self, wire: Wire) -> None:
        """Leave a WebSocket."""
        way = self.random.choice(("close", "disconnect", "end", "reset", "bad", "parked", "silent"))
        self.tally[f"left by {way}"] += 1
        if way == "close":
            wire.write(frame(CLOSE, b"\x03\xe8"))
            await wire.closed(PATIENCE)
        elif way == "disconnect":
            wire.send("41")
        elif way == "reset":
            wire.reset()
        elif way == "bad":
            wire.send(self.random.choice(("42", "4", "2", "x", b"x", '42["connect"]', "451")))
            await wire.closed(PATIENCE)
        elif way == "parked":
            wire.send('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"1")
        elif way == "silent":  # and answers no ping
            await wire.closed(PATIENCE)

    async def leave_polling(self, session: "OnPolling") -> None:
        """Leave polling."""
        way = self.random.choice(
            ("packet", "vanish", "reset", "overlap", "octet", "large", "bad", "half")
        )
        self.tally[f"left polling by {way}"] += 1
        if way == "packet":
            await session.say("1")
        elif way == "reset":
            session.gets.ask(session.query)
            await self.pause()
            session.gets.reset()
        elif way == "overlap":
            session.gets.ask(session.query)
            async with self.dial() as wire:
                assert (await wire.request(session.query)).status in (200, 400)
            await session.gets.answer(PATIENCE)
        elif way == "octet":
            answer = await session.post("4", headers=[("Content-Type", "application/octet-stream")])
            assert answer.status == 400
        elif way == "large":
            length = [("Content-Length", "9999999")]
            session.posts.write(head("POST", session.posts.target(session.query), length))
            assert (await session.posts.answer()).status in (400, 413)
        elif way == "bad":
            await session.say(self.random.choice(("", "x", "2", "42")))
        elif way == "half":
            length = [("Content-Length", "99")]
            session.posts.write(head("POST", session.posts.target(session.query), length) + b"4")
            await self.pause()

    async def pause(self) -> None:
        """Wait a random time, often none."""
        await asyncio.sleep(self.random.choice((0, 0, 0.001, 0.01, 0.05)))

    @asynccontextmanager
    async def session(self) -> AsyncIterator["OnPolling"]:
        """Begin on polling."""
        async with self.dial() as gets, self.dial() as posts:
            session = OnPolling(gets, posts)
            await session.open()
            yield session


class Talk:
    """What a client says and hears between its beginning and its end, over whatever carries it."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.random = crowd.random
        self.changed = asyncio.Event()
        self.joined = False
        self.ended = False
        self.asked = 0
        self.answered = 0
        self.attachments: deque[bytes] = deque()

    async def run(self, line: "Line") -> None:
        """Say a few things, and wait for the answers that are owed."""
        if not self.joined:
            await line.say("40")
            await self.until(lambda: self.joined)
        for _ in range(self.random.randint(0, 12)):
            if self.ended:
                return
            await line.say(*self.random.choice((self.echo, self.photo, self.other))())
            await self.crowd.pause()
        await self.until(lambda: self.answered == self.asked)

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for what the server owes."""
        async with asyncio.timeout(PATIENCE):
            while not done() and not self.ended:
                self.changed.clear()
                await self.changed.wait()

    def echo(self) -> list[str | bytes]:
        self.asked += 1
        return [f'42{self.asked}["echo",{self.asked}]']

    def photo(self) -> list[str | bytes]:
        self.asked += 1
        packet = f'451-{self.asked}["echo",{{"_placeholder":true,"num":0}}]'
        return [packet, b"%d" % self.asked]

    def other(self) -> list[str | bytes]:
        room = self.random.randint(0, 9)
        choices = ('42["in",%d]', '42["out",%d]', '42["shout",%d]', "3", "6", '42["nobody",%d]')
        return [self.random.choice(choices).replace("%d", str(room))]

    def hear(self, message: str | bytes) -> bool:
        """Take a message; say whether it wants a pong."""
        if isinstance(message, bytes):
            assert message == self.attachments.popleft()
            return False
        assert not self.attachments or message in ("2", "6")
        if message.startswith("40{"):
            self.joined = True
        elif message.startswith("43"):
            number, _, rest = message[2:].partition("[")
            assert rest == f"{number}]"
            self.count(int(number))
        elif message.startswith("461-"):
            number = message[4:].partition("[")[0]
            self.attachments.append(number.encode())
            self.count(int(number))
        elif message.startswith("452-"):
            self.attachments += [b"1", b"2"]
        elif message.startswith(("41", "1")):
            self.ended = True
        self.changed.set()
        return message == "2"

    def count(self, number: int) -> None:
        """Take an answer; they come in the order of the questions."""
        self.answered += 1
        assert number == self.answered


class OnWebSocket:
    """A client on a WebSocket."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    async def say(self, *messages: str | bytes) -> None:
        self.wire.send(*messages)

    async def listen(self, talk: Talk) -> None:
        try:
            while True:
                if talk.hear(await self.wire.recv(PATIENCE)):
                    await self.say("3")
        finally:
            talk.ended = True
            talk.changed.set()


class OnPolling(Session):
    """A client on polling that polls all the time."""

    def __init__(self, gets: Wire, posts: Wire) -> None:
        super().__init__(gets, posts)
        self.posting = asyncio.Lock()
        self.stop = False

    async def say(self, *messages: str | bytes) -> None:
        packets = [
            message if isinstance(message, str) else f"b{b64encode(message).decode()}"
            for message in messages
        ]
        async with self.posting:
            answer = await self.post(*packets)
        if answer.status != 200:
            raise ConnectionError(answer.status)

    async def listen(self, talk: Talk) -> None:
        try:
            while not self.stop and not talk.ended:
                self.gets.ask(self.query)
                answer = await self.gets.answer(PATIENCE)
                if answer.status != 200:
                    raise ConnectionError(answer.status)
                for packet in answer.body.decode().split("\x1e"):
                    message = b64decode(packet[1:]) if packet[0] == "b" else packet
                    if talk.hear(message) and not self.stop:
                        await self.say("3")
        except GONE:
            talk.ended = True
        finally:
            talk.changed.set()


Line = OnWebSocket | OnPolling
