"""The chat demo in a real browser, against its own server: people, rooms, private messages, pictures, lost connections."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = [sys.executable, ROOT / "examples/chat/server.py"]
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


@pytest.fixture(scope="module")
def port():
    """Run the demo on a free port."""
    with subprocess.Popen([*SERVER, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(re.search(r":(\d+)/", process.stdout.readline())[1])
        finally:
            process.terminate()


@pytest.mark.timeout(120)
def test_people_chat_in_the_browser(chromium, tmp_path):
    result = subprocess.run(
        ["node", ROOT / "tests/browser/chat.mjs", tmp_path, *SERVER],
        env={**os.environ, "CHROMIUM": chromium},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines() == STEPS
    assert {file.name for file in tmp_path.glob("*.png")} == {
        "desktop.png",
        "phone.png",
        "drawer.png",
    }


@pytest.mark.parametrize(
    "path", ["/../server.py", "/%2e%2e/server.py", "/server.py", "//etc/passwd"]
)
def test_no_path_leads_out_of_the_page(port, path):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert connection.recv(1000).split()[1] == b"404"


def test_port_in_use_is_named(port):
    result = subprocess.run(
        [*SERVER, "--port", str(port)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr == f"Port {port} is in use. Take another one: make demo PORT={port + 1}\n"
