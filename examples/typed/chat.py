"""A server whose events are checked twice: by mypy and pyright in its own code, and while it runs in what clients send.

python examples/typed/chat.py
"""

from event_map import ClientToServer, Message, ServerToClient

from roomcast import Server, Socket

io = Server(cors="*", validate=True)  # what does not fit the annotations never reaches a handler


@io.on("connection")
async def connection(socket: Socket) -> None:
    """Ask who it is."""
    socket.data["name"] = await socket.emit_with_ack(ServerToClient.who_are_you)


@io.event(ClientToServer.say)
def say(socket: Socket, message: Message) -> int:
    """Tell the others."""
    socket.broadcast.emit(ServerToClient.said, socket.data["name"], message)
    return io.sockets_count - 1


@io.event(ClientToServer.private_message)
def private_message(socket: Socket, to: str, text: str) -> None:
    """Tell one of them."""
    io.to(to).emit(ServerToClient.whispered, socket.data["name"], text)


if __name__ == "__main__":
    io.run(3000)
