"""Event maps: both checkers find the mistakes of the example, and what they have found right works."""

import asyncio
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from roomcast import ReservedEventError, Server, event
from roomcast.server import Namespace
from roomcast.typed import Event

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "typed"
MISTAKES = EXAMPLE / "mistakes.py"
EXPECTED = {
    number
    for number, line in enumerate(MISTAKES.read_text(encoding="utf-8").splitlines(), 1)
    if "# mistake" in line
}


class ClientToServer(Protocol):
    @Event
    def say(self, text: str) -> int: ...

    @Event.named("chat message")
    def chat_message(self, text: str) -> None: ...


class ServerToClient(Protocol):
    @Event
    def said(self, text: str) -> None: ...

    @Event
    def ask(self, text: str) -> str: ...


@pytest.fixture
def copied(tmp_path):
    """The example apart from the project's own settings."""
    for file in EXAMPLE.glob("*.py"):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.mark.timeout(180)
def test_mypy_finds_every_mistake(copied):
    environment = {**os.environ, "MYPYPATH": f"{ROOT / 'python'}{os.pathsep}{copied}"}
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file=",
            "--strict",
            "--python-version=3.11",
            f"--cache-dir={copied / 'cache'}",
            "mistakes.py",
            "chat.py",
        ],
        cwd=copied,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.+?):(\d+): error:", run.stdout, flags=re.MULTILINE)
    assert {file for file, _ in found} == {"mistakes.py"}, run.stdout + run.stderr
    assert {int(line) for _, line in found} == EXPECTED, run.stdout


@pytest.mark.timeout(180)
def test_pyright_finds_every_mistake(copied):
    config = {
        "include": ["mistakes.py", "chat.py"],
        "extraPaths": [str(ROOT / "python")],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (copied / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=copied,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(run.stdout)["generalDiagnostics"]
    assert {Path(each["file"]).name for each in found} == {"mistakes.py"}, run.stdout
    assert {each["range"]["start"]["line"] + 1 for each in found} == EXPECTED, run.stdout


def test_declared_event_is_its_name():
    assert type(ServerToClient.said) is str
    assert ServerToClient.said == "said"
    assert ClientToServer.chat_message == "chat message"

    class More(ServerToClient, Protocol):
        @Event
        def more(self) -> None: ...

    assert (More.said, More.more) == ("said", "more")


def test_reserved_event_cannot_be_declared():
    with pytest.raises(ReservedEventError, match="disconnect"):

        @Event
        def disconnect(self) -> None: ...

    with pytest.raises(ReservedEventError, match="connect"):
        Event.named("connect")


async def test_declared_events_are_emitted_and_handled(io, connect, log):
    @io.event(ClientToServer.say)
    async def say(socket, text):
        socket.emit(ServerToClient.said, text)
        log.append(await socket.emit_with_ack(ServerToClient.ask, "?"))
        return len(text)

    @io.on("connection")
    def connection(socket):
        @socket.on(ClientToServer.chat_message)
        def chat_message(text):
            log.append(text)

        socket.once(ClientToServer.chat_message, log.append)
        socket.off(ClientToServer.say)

    raw = await connect(io)
    await raw.join()
    await raw.send('421["say","hi"]', '42["chat message","yo"]')
    assert await raw.recv_many(2) == ['42["said","hi"]', '420["ask","?"]']
    await raw.send('430["me"]')
    assert await raw.recv() == "431[2]"
    assert log == ["yo", "yo", "me"]


async def test_declared_event_names_a_method(io, connect, log):
    class Chat(Namespace):
        @event(ClientToServer.chat_message)
        def anything(self, socket, text):
            log.append(text)

    io.of("/chat", Chat)
    raw = await connect(io)
    await raw.join("/chat")
    await raw.send('42/chat,["chat message","hi"]')
    await log.until("hi")


async def test_example_serves(connect, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    io: Server = runpy.run_path(str(EXAMPLE / "chat.py"))["io"]
    ada, bob = await connect(io), await connect(io)
    ids = []
    for raw, name in ((ada, "Ada"), (bob, "Bob")):
        ids.append(await raw.join())
        question = await raw.recv()
        await raw.send(f'43{re.search(r"[0-9]+", question[2:])[0]}["{name}"]')
    await asyncio.sleep(0)
    await ada.send('421["say",{"text":"hi","important":true}]')
    assert await ada.recv() == "431[1]"
    assert await bob.recv() == '42["said","Ada",{"text":"hi","important":true}]'
    await bob.send(f'421["private message","{ids[0]}","psst"]')
    assert await ada.recv() == '42["whispered","Bob","psst"]'
    await ada.send('422["say",{"text":"hi"}]')
    assert await ada.recv() == (
        '432[{"error":"validation","path":"args[0]",'
        '"message":"Object missing required field `important`"}]'
    )
    sys.modules.pop("event_map", None)
