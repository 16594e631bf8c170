"""The README's server and codec examples are run as they stand."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.sync.client import connect

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def block(text: str) -> str:
    """Return the one example that holds this text."""
    (found,) = (example for example in BLOCKS if text in example)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def opened(port: int, deadline: float):
    while True:
        try:
            return connect(f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_readme_server_does_what_the_readme_says(tmp_path):
    port = free_port()
    program = tmp_path / "server.py"
    program.write_text(
        block("io.run(3000)").replace("io.run(3000)", f"io.run({port})"), encoding="utf-8"
    )
    assert str(port) in program.read_text(encoding="utf-8")
    with subprocess.Popen([sys.executable, str(program)]) as process:
        try:
            with opened(port, time.monotonic() + 10) as ws:
                assert ws.recv().startswith("0{")
                ws.send("40")
                assert ws.recv().startswith('40{"sid":')
                assert ws.recv().startswith('451-["hello","you are ')
                assert ws.recv() == b"\x00\x01"
                ws.send('427["say","hé"]')
                assert ws.recv() == '437["delivered",2]'
        finally:
            process.terminate()


def test_readme_codec_example_runs():
    names: dict[str, object] = {}
    exec(compile(block("roomcast.codec"), "README.md", "exec"), names)
    assert names["encode"]


def test_readme_checked_example_runs():
    names: dict[str, object] = {}
    exec(compile(block("class ClientToServer"), "README.md", "exec"), names)
    assert names["io"].handlers_of("say")


@pytest.mark.parametrize(("page", "examples"), [("validation.md", 3), ("cluster.md", 13)])
def test_examples_of_a_page_run(page, examples):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == examples
    names: dict[str, object] = {"__name__": "page"}
    for example in blocks:
        exec(compile(example, page, "exec"), names)


def test_readme_mounting_example_runs():
    names: dict[str, object] = {}
    program = block("io.asgi(api)") + block("api.mount(")
    exec(compile(program, "README.md", "exec"), names)
    assert names["app"]


def test_readme_test_passes(tmp_path):
    server = block("io.run(3000)").replace("io.run(3000)", "")
    (tmp_path / "server.py").write_text(server, encoding="utf-8")
    (tmp_path / "test_server.py").write_text(block("clock.advance"), encoding="utf-8")
    plugins = 'pytest_plugins = ["roomcast.testing.pytest"]'
    assert plugins in block("clock.advance")
    (tmp_path / "conftest.py").write_text(plugins, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "pytest_asyncio.plugin"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr
