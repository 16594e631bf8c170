"""The chat demo in a real browser, against its own server: people, rooms, private messages, pictures, lost connections."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
STEPS = [
    "everybody sees who is there",
    "a nickname is given once",
    "typing shows and ends with the message",
    "a message gets its second tick",
    "markup stays text",
    "a room is for those inside",
    "several rooms at once",
    "a private message is private",
    "a picture arrives",
    "a picture that is too large is refused kindly",
    "what is written without a connection arrives after it",
    "a narrow page has its conversations in a drawer",
]


@pytest.fixture
def chromium():
    """Find the browser; continuous integration must have one, a developer's machine may do without."""
    name = os.environ.get("CHROMIUM")
    found = shutil.which(name) if name else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = (
            "the browser tests need Chromium or Chrome: install one, or set CHROMIUM to its path"
        )
        if name or os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(f"left out: {reason}")
    return found


@pytest.mark.timeout(120)
async def test_people_chat_in_the_browser(chromium, tmp_path):
    process = await asyncio.create_subprocess_exec(
        "node",
        str(ROOT / "tests/browser/chat.mjs"),
        str(tmp_path),
        sys.executable,
        str(ROOT / "examples/chat/server.py"),
        env={**os.environ, "CHROMIUM": chromium},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert output.decode().splitlines() == STEPS
    assert {file.name for file in tmp_path.glob("*.png")} == {
        "desktop.png",
        "phone.png",
        "drawer.png",
    }


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/server.py", "//etc/passwd"]
)
async def test_no_path_leads_out_of_the_page(path):
    command = (sys.executable, str(ROOT / "examples/chat/server.py"), "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        port = int((await process.stdout.readline()).decode().split("127.0.0.1:")[1].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert (await reader.readline()).split()[1] == b"404"
        writer.close()
    finally:
        process.terminate()
        await process.wait()


async def test_a_port_in_use_is_named():
    holder = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = holder.sockets[0].getsockname()[1]
    command = (sys.executable, str(ROOT / "examples/chat/server.py"), "--port", str(port))
    async with holder:
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        _, complaint = await process.communicate()
    assert process.returncode == 1
    assert (
        complaint.decode()
        == f"Port {port} is in use. Take another one: make demo PORT={port + 1}\n"
    )
