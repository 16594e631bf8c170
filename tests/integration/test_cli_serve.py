"""``roomcast serve`` as it is typed: what it serves, how it ends, and what it says when it cannot."""

import signal
import socket
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.programs import roomcast, run_roomcast, serving

PROGRAM = """
from fastapi import FastAPI
from roomcast import Server

io = Server(ping_interval=7)
api = FastAPI()
stopped = []

@io.event
def hello(socket, name):
    return f"hello {name}"

@api.get("/here")
def here():
    return "yes"

app = io.asgi(api)

def make():
    return Server(ping_interval=8)

def make_app():
    return app

async def failing(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

number = 7
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "needy.py").write_text("import not_there\n", encoding="utf-8")
    return tmp_path


def opened(port: int):
    return connect(f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket")


def read_to_the_end(ws) -> None:
    while True:
        ws.recv(5)


@pytest.mark.parametrize(
    ("arguments", "interval"),
    [
        (["program:io"], 7000),
        (["program:app"], 7000),
        (["program:make", "--factory"], 8000),
        (["program:make_app", "--factory"], 7000),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_servers_and_applications_are_served_until_a_signal(folder, arguments, interval, number):
    command = roomcast("serve", *arguments, "--port", "0")
    with serving(*command, cwd=folder) as program, opened(program.port) as ws:
        assert f'"pingInterval":{interval},' in ws.recv()
        if interval == 7000:
            ws.send("40")
            ws.recv()
            ws.send('420["hello","you"]')
            assert ws.recv() == '430["hello you"]'
        code, errors = program.end(number)
        assert code == 0, errors
        assert errors == ""
        with pytest.raises(ConnectionClosed):
            read_to_the_end(ws)


def test_websockets_are_taken_over(folder):
    """Sending goes directly to the socket: the server's connection is no ASGI one."""
    source = PROGRAM + (
        "\n@io.on('connection')\ndef connection(socket):\n"
        "    socket.emit('is', type(socket.conn.transport).__module__)\n"
    )
    (folder / "program.py").write_text(source, encoding="utf-8")
    command = roomcast("serve", "program:app", "--port", "0")
    with serving(*command, cwd=folder) as program, opened(program.port) as ws:
        ws.recv()
        ws.send("40")
        ws.recv()
        assert ws.recv() == '42["is","roomcast.engine.direct"]'


def test_other_paths_are_the_applications(folder):
    with serving(*roomcast("serve", "program:app", "--port", "0"), cwd=folder) as program:
        with urllib.request.urlopen(f"{program.url}/here") as answer:
            assert answer.read() == b'"yes"'
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{program.url}/there")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["program"], '"program" is not MODULE:ATTRIBUTE, as in server:io'),
        (["nowhere:io"], 'there is no module "nowhere" here or on the path'),
        (["program.py:io"], 'write it as "program:io"'),
        (["program.inner:io"], 'there is no module "program.inner" here or on the path'),
        (["program:app2"], 'module "program" has no "app2"; it has a Server named io'),
        (["program:number"], "program:number is of class int, and neither a roomcast.Server nor"),
        (["program:number", "--factory"], "program:number cannot be called, so it is no factory"),
        (["program:Server"], "program:Server is a class; --factory calls it"),
        (["program:failing"], "the application failed in its lifespan startup"),
        (["program:io", "--host", "192.0.2.1"], "192.0.2.1 is no address of this machine"),
    ],
)
def test_what_cannot_be_served_is_explained(folder, arguments, words):
    result = run_roomcast("serve", *arguments, "--port", "0", cwd=folder)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_faults_of_the_program_keep_their_traceback(folder):
    result = run_roomcast("serve", "needy:io", cwd=folder)
    assert result.returncode == 1
    assert "No module named 'not_there'" in result.stderr
    assert "needy.py" in result.stderr


def test_port_in_use_is_named(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run_roomcast("serve", "program:io", "--port", port, cwd=folder)
    assert result.returncode == 1
    message = f"roomcast: port {port} of 127.0.0.1 is in use; --port takes another one\n"
    assert result.stderr == message


def test_ports_are_numbers():
    result = run_roomcast("serve", "program:io", "--port", "65536")
    assert result.returncode == 2
    assert "'65536' is no port" in result.stderr


def test_console_script_is_the_same_program():
    from importlib.metadata import entry_points  # noqa: PLC0415  used once

    from roomcast.cli import main  # noqa: PLC0415  as above

    (script,) = entry_points(group="console_scripts", name="roomcast")
    assert script.load() is main
