"""The chat of docs/migrating-from-python-socketio.md, before and after: both are the same to clients."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from support.asgi_servers import in_process
from support.compat_servers import KINDS, library
from support.official_client import OfficialClients
from support.served import WITH_OFFICIAL_CLIENTS

pytestmark = WITH_OFFICIAL_CLIENTS

PAGE: Final = Path(__file__).parents[2] / "docs" / "migrating-from-python-socketio.md"


def chat(kind: str) -> Any:
    """Return the application of the page, on python-socketio, on its stand-in, or in roomcast's own API."""
    page = PAGE.read_text(encoding="utf-8").partition("## 3. ")[2]
    before, after = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert before.startswith("import socketio\n")
    names: dict[str, Any] = {"socketio": library(kind)} if kind in KINDS else {}
    exec(before.removeprefix("import socketio\n") if kind in KINDS else after, names)
    return names["app"]


@pytest.mark.parametrize("kind", [*KINDS, "own API"])
async def test_chat_is_the_same_before_and_after(kind: str, node: OfficialClients) -> None:
    ws = "websockets-sansio" if kind == "python-socketio" else "roomcast.uvicorn:WebSocketProtocol"
    async with in_process(chat(kind), ws=ws) as port:
        node.reset(f"http://127.0.0.1:{port}")
        refused = node.open()
        assert (await refused.next("connect_error"))[0] == "who are you?"
        ada = await node.connect(auth={"name": "Ada"})
        bob = await node.connect(auth={"name": "Bob"})
        assert await ada.ask("say", "hello") == ["delivered"]
        assert await bob.next("said") == ["Ada", "hello"]
        assert ada.waiting("said") == 0
        ada.disconnect()
        assert await bob.next("left") == ["Ada"]
        bob.disconnect()
        await bob.next("disconnect")
        node.reset("")
