"""Namespaces as classes in python-socketio's API: ``uvicorn classes:app``."""

from typing import Any

from roomcast import compat as socketio

sio = socketio.AsyncServer(async_mode="asgi", namespaces="*")
app = socketio.ASGIApp(sio)


class Chat(socketio.AsyncNamespace):
    """The namespace of a chat."""

    async def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        """Let everybody into the lobby."""
        await self.enter_room(sid, "lobby")

    async def on_disconnect(self, sid: str, reason: str) -> None:
        """Tell those who stay."""
        await self.emit("left", reason, room="lobby", skip_sid=sid)

    async def on_say(self, sid: str, text: str) -> int:
        """Pass a text to the others; the answer is how many they are."""
        await self.emit("said", (sid, text), room="lobby", skip_sid=sid)
        return len(list(sio.manager.get_participants(self.namespace, "lobby"))) - 1

    def on_rooms(self, sid: str) -> int:
        """Answer with the number of rooms; a plain function."""
        return len(self.rooms(sid))

    async def on_quiz(self, sid: str, question: str) -> Any:
        """Ask the client, and answer with what it says."""
        return await self.call("quiz", question, to=sid, timeout=5)


sio.register_namespace(Chat("/chat"))


@sio.on("where", namespace="*")
async def where(namespace: str, sid: str) -> str:
    """Answer with the namespace, in those that have no handler of that name."""
    return namespace


@sio.on("*")
async def anything(event: str, sid: str, *args: Any) -> Any:
    """Answer whatever has no handler."""
    return event, list(args)
