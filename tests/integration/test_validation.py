"""Servers that validate what clients send, seen from a client that speaks raw frames."""

import asyncio
import logging
import re
from dataclasses import dataclass

import pytest

from roomcast import HandlerError, Namespace, Server, UsageError, ValidationError, event

MISFIT = '{"error":"validation","path":"args[0]","message":"Expected `str`, got `int`"}'


@dataclass
class Message:
    text: str
    picture: bytes | None = None


@pytest.fixture
def errors(io):
    """What the error hook is told."""
    errors = []

    @io.on_error
    def report(error, socket, event):
        errors.append((error, socket, event))

    return errors


async def joined(io, connect, nsp="/"):
    raw = await connect(io)
    sid = await raw.join(nsp)
    return raw, io.of(nsp).sockets[sid]


async def test_misfit_is_answered_reported_and_kept_from_the_handler(io, connect, log, errors):
    @io.event(validate=True)
    async def say(socket, text: str):
        log.append(text)
        return len(text)

    raw, socket = await joined(io, connect)
    await raw.send('421["say",7]', '422["say"]', '42["say",null]', '423["say","fits"]')
    assert await raw.recv_many(3) == [
        f"431[{MISFIT}]",
        '432[{"error":"validation","path":"args","message":"Expected 1 argument, got 0"}]',
        "433[4]",
    ]
    assert log == ["fits"]
    assert [(type(error), error.event, of, event) for error, of, event in errors] == [
        (ValidationError, "say", socket, "say")
    ] * 3
    assert socket.connected


async def test_attachment_reaches_its_field(io, connect, log):
    io.event("photo", validate=True)(lambda socket, message: log.append(message))

    @io.event("typed photo", validate=True)
    def typed(socket, message: Message, raw: bytes):
        log.append((message, raw))

    raw, _ = await joined(io, connect)
    await raw.send(
        '452-["typed photo",{"text":"me","picture":{"_placeholder":true,"num":0}},'
        '{"_placeholder":true,"num":1}]',
        b"\x00",
        b"\x01",
        '42["photo",{"any":"thing"}]',
    )
    await log.count(2)
    assert log == [(Message("me", b"\x00"), b"\x01"), {"any": "thing"}]


async def test_socket_validates_its_own_handlers(io, connect, log, errors):
    raw, socket = await joined(io, connect)
    socket.on("newListener", lambda event, listener: log.append((event, listener)))
    socket.on("removeListener", lambda event, listener: log.append((event, listener)))

    def say(text: str) -> str:
        return text

    assert socket.on("say", say, validate=True) is socket
    assert socket.once("say", validate=True)(say) is say
    assert socket.listeners("say") == [say, say]
    await raw.send('421["say",7]', '422["say","fits"]')
    assert await raw.recv_many(2) == [f"431[{MISFIT}]", '432["fits"]']
    assert len(errors) == 2  # `once` is gone with the first
    socket.off("say", say)
    assert socket.listeners("say") == []
    assert log[1:] == [("say", say)] * 4  # the first is the addition of the second observer


async def test_other_handlers_answer_in_the_place_of_a_misfit(io, connect):
    @io.event("say")
    def anything(socket, *args):
        return args[0] or None

    @io.event("say", validate=True)
    async def text(socket, text: str): ...

    raw, _ = await joined(io, connect)
    await raw.send('421["say",7]', '422["say",0]', '423["say","a"]', '424["say",""]')
    assert await raw.recv_many(4) == ["431[7]", f"432[{MISFIT}]", '433["a"]', "434[]"]


async def test_misfit_is_answered_when_the_last_handler_is_done(io, connect):
    done = asyncio.Event()
    io.event("say", validate=True)(_texts)

    @io.event("say")
    async def waits(socket, text):
        await done.wait()
        if text == 8:
            raise RuntimeError

    raw, _ = await joined(io, connect)
    await raw.send('421["say",7]', '422["say",8]')
    assert await raw.silent()
    done.set()
    assert await raw.recv_many(2) == [f"431[{MISFIT}]", f"432[{MISFIT}]"]


def _texts(socket, text: str): ...


async def test_handler_may_refuse_by_itself(io, connect, errors):
    @io.event
    async def join_room(socket, room):
        await asyncio.sleep(0)
        raise ValidationError("no such room", "args[0]")

    raw, _ = await joined(io, connect)
    await raw.send('421["join_room","x"]')
    assert await raw.recv() == (
        '431[{"error":"validation","path":"args[0]","message":"no such room"}]'
    )
    assert len(errors) == 1


async def test_server_validates_all_handlers_but_those_that_say_no(connect, log):
    io = Server(validate=True)

    class Chat(Namespace):
        def on_say(self, socket, text: str):
            log.append(text)

        @event("loud", validate=False)
        def loud(self, socket, text: str):
            log.append(text)

        def on_disconnect(self, socket, reason: int):
            log.append(reason)

    io.of("/chat", Chat)
    io.event("loud", validate=False)(lambda socket, text: log.append(text))

    @io.on("connection")
    def connection(socket):
        @socket.on("say")
        def say(text: str):
            log.append(text)

        socket.on("error", log.append)
        socket.on("quiet", say, validate=False)

    raw = await connect(io)
    await raw.join()
    await raw.join("/chat")
    await raw.send('421["say",1]', '42["say","2"]', '42["quiet",3]', '42["loud",4]')
    await raw.send('42/chat,1["say",5]', '42/chat,["say","6"]', '42/chat,["loud",7]', "41/chat,")
    assert await raw.recv_many(2) == [f"431[{MISFIT}]", f"43/chat,1[{MISFIT}]"]
    await log.count(6)
    assert log == ["2", 3, 4, "6", 7, "client namespace disconnect"]


async def test_children_of_a_dynamic_namespace_validate(io, connect):
    @io.of(re.compile("^/room-")).event(validate=True)
    def say(socket, text: str):
        return text

    raw, _ = await joined(io, connect, "/room-1")
    await raw.send('42/room-1,1["say",7]', '42/room-1,2["say","a"]')
    assert await raw.recv_many(2) == [f"43/room-1,1[{MISFIT}]", '43/room-1,2["a"]']


async def test_first_misfit_of_a_client_is_logged_and_no_more(io, connect, caplog):
    caplog.set_level(logging.DEBUG, "roomcast.server")
    io.event("say", validate=True)(_texts)
    raw, _ = await joined(io, connect)
    await raw.send(*['421["say",7]'] * 3)
    await raw.recv_many(3)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert (
        record.getMessage()
        == "say does not fit its handler, from 127.0.0.1: Expected `str`, got `int` at args[0]"
    )


async def test_handler_without_validation_is_called_itself(io, connect):
    def say(socket, text: str): ...

    io.event(say)
    assert io.handlers_of("say") == (say,)
    _, socket = await joined(io, connect)
    socket.on("say", say)
    assert socket._take("say") == (say,)


# What is refused at the registration


async def test_handler_that_cannot_be_validated_is_refused(io, connect):
    def say(text: complex): ...

    def shared(socket, text: list[complex]): ...

    _, socket = await joined(io, connect)
    with pytest.raises(HandlerError, match="say cannot be validated for 'say': the type of 'text'"):
        socket.on("say", say, validate=True)
    with pytest.raises(HandlerError, match="no client can send a complex"):
        io.event(validate=True)(shared)
    with pytest.raises(TypeError):
        socket.on("say", 7, validate=True)
    assert socket.listeners("say") == []
    assert io.shared_handlers == {}


async def test_stand_in_has_the_signature_of_its_handler(io, connect):
    _, socket = await joined(io, connect)
    with pytest.raises(TypeError, match="needs keywords"):
        socket.on("say", _keyword, validate=True)
    with pytest.raises(TypeError, match="needs keywords"):
        io.event("say", validate=True)(_keyword)
    with pytest.raises(TypeError, match="takes 0"):
        io.event("say", validate=True)(lambda: None)


def _keyword(a, *, b): ...


async def test_event_of_the_library_cannot_be_validated(io, connect):
    _, socket = await joined(io, connect)
    for name in ("disconnect", "disconnecting", "error", "newListener", "removeListener"):
        with pytest.raises(UsageError, match="nothing to validate"):
            socket.on(name, print, validate=True)
    for name in ("connection", "connect", "disconnect"):
        with pytest.raises(UsageError, match="nothing to validate"):
            io.event(name, validate=True)(print)


def test_option_is_a_bool():
    with pytest.raises(TypeError, match="validate must be True or False"):
        Server(validate="yes")
