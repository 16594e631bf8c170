"""Mistakes that mypy and pyright find because of the event maps. A test sees to it that both find all of them, and nothing else."""

from event_map import ClientToServer, Message, ServerToClient

from roomcast import Server, Socket

io = Server()


async def emits(socket: Socket, message: Message) -> None:
    """Emit wrongly."""
    socket.emit(ServerToClient.sadi, "Ada", message)  # mistake: no such event
    socket.emit(ServerToClient.said, "Ada")  # mistake: an argument is missing
    socket.emit(ServerToClient.said, "Ada", message, 1)  # mistake: one too many
    socket.emit(ServerToClient.said, 7, message)  # mistake: no name
    socket.emit(ServerToClient.said, message, "Ada")  # mistake: the wrong order
    io.to("room").emit(ServerToClient.whispered, "Ada", b"hi")  # mistake: bytes for text
    socket.volatile.emit(ServerToClient.whispered, "Ada", None)  # mistake: no text
    number: int = await socket.emit_with_ack(ServerToClient.who_are_you)  # mistake: it is a text
    numbers: list[int] = await io.timeout(5).emit_with_ack(ServerToClient.who_are_you)  # mistake
    await socket.timeout(5).emit_with_ack(ServerToClient.who_are_you, "?")  # mistake: one too many
    print(number, numbers)


@io.event(ClientToServer.say)  # mistake: the acknowledgement is a number
def say(socket: Socket, message: Message) -> str:
    """Answer wrongly."""
    return message["text"]


@io.event(ClientToServer.private_message)  # mistake: an argument has no parameter
async def private_message(socket: Socket, to: str) -> None:
    """Take too little."""


@io.event(ClientToServer.private_mesage)  # mistake: no such event
def private_mesage(socket: Socket, to: str, text: str) -> None:
    """Handle nothing."""


def handles(socket: Socket) -> None:
    """Handle wrongly."""

    @socket.on(ClientToServer.private_message)  # mistake: text is no number
    def whisper(to: str, text: int) -> None:
        print(to, text)

    @socket.once(ClientToServer.say)  # mistake: no acknowledgement
    def say(message: Message) -> None:
        print(message)

    def three(to: str, text: str, more: str) -> None:
        print(to, text, more)

    socket.on(ClientToServer.private_message, three)  # mistake: there are two arguments
    print(whisper, say)


def right(socket: Socket, message: Message) -> None:
    """Do it without a mistake."""
    socket.emit(ServerToClient.said, "Ada", message)
    socket.emit(ServerToClient.said, "Ada", Message(text="hi", important=True))
    socket.emit("whatever", 1, 2, 3)  # a name is a name: nothing is known of it

    @socket.on(ClientToServer.private_message)
    def whisper(receiver: str, words: str) -> None:
        print(receiver, words)

    socket.off(ClientToServer.private_message, whisper)
