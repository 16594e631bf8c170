"""``roomcast bench`` on real servers: ours, python-socketio's and the reference, and on servers that are none."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from roomcast.cli import main
from roomcast.cli.bench import target
from roomcast.cli.bench.workloads import HANDLERS
from support.programs import answering, node, roomcast, run_roomcast, serving
from support.reference import missing_reference

WORKLOADS = ["broadcast", "echo", "ack", "binary"]
SHORT = ("--seconds", "0.2", "--warm-up", "0", "--connections", "7")

PYTHON_SOCKETIO = """
import socket, socketio, uvicorn
sio = socketio.AsyncServer(async_mode="asgi")

@sio.event
async def go(sid, count, size):
    for _ in range(count):
        await sio.emit("b", "x" * size)

@sio.event
async def echo(sid, value):
    await sio.emit("echo", value, to=sid)

@sio.event
async def ack(sid, value):
    return value

bound = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(socketio.ASGIApp(sio), log_level="error")).run([bound])
"""

NODE = """
const http = require("http").createServer();
const io = new (require("socket.io").Server)(http);
%s
http.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + http.address().port));
"""

FAULTY = """
from roomcast import ConnectError, Server

io = Server()
seen = 0

@io.event
def go(socket, count, size):
    for _ in range(count + 1):
        io.emit("b", "x" * size)

@io.event
def half(socket, count, size):
    io.in_(socket.id).emit("b", "x" * size)

@io.event
def echo(socket, value):
    socket.emit("echo", value[1:])

@io.event
def once(socket, value):
    global seen
    seen += 1
    if seen <= 10:
        socket.emit("echo", value)

@io.event
def leave(socket, value):
    global seen
    seen += 1
    if seen == 1:
        socket.disconnect()
    else:
        socket.emit("other")
        socket.emit("echo", value)

@io.of("/private").use
def check(socket):
    if socket.handshake.auth != {"token": "é"} or socket.handshake.query.get("room") != "a":
        raise ConnectError("who are you?")

@io.of("/private").event
def ack(socket, value):
    assert socket.handshake.headers["x-name"] == "value"
    return value
"""


def example(language: str) -> str:
    """Return the handlers that the help shows, as a program."""
    python, javascript = HANDLERS.split("In JavaScript:\n")
    text = python.partition("with roomcast:\n")[2] if language == "python" else javascript
    return textwrap.dedent(text.partition("\nOn another")[0])


@pytest.mark.parametrize(("language", "fence"), [("python", "python"), ("javascript", "js")])
def test_documentation_shows_the_handlers_of_the_help(language, fence):
    text = (Path(__file__).parents[2] / "docs/bench.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^```{fence}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    shown, helped = (list(filter(None, text.splitlines())) for text in (block, example(language)))
    assert shown == helped


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The Python handlers of the help, served by ``roomcast serve``."""
    folder = tmp_path_factory.mktemp("ours")
    program = f"from roomcast import Server\nio = Server()\n{example('python')}"
    (folder / "shown.py").write_text(program, encoding="utf-8")
    with serving(*roomcast("serve", "shown:io", "--port", "0"), cwd=folder) as program:
        yield program


@pytest.fixture(scope="module")
def python_socketio():
    with serving(sys.executable, "-c", PYTHON_SOCKETIO) as program:
        yield program


@pytest.fixture(scope="module")
def reference():
    """The JavaScript handlers of the help, under Node.js."""
    missing = missing_reference()
    if missing:
        pytest.skip(missing)
    with node(NODE % example("javascript")) as program:
        yield program


@pytest.fixture
def faulty(tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY, encoding="utf-8")
    with serving(*roomcast("serve", "faulty:io", "--port", "0"), cwd=tmp_path) as program:
        yield program


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("peer", ["ours", "python_socketio", "reference"])
def test_workloads_run_on_every_server(peer, workload, request, capsys):
    server = request.getfixturevalue(peer)
    command = ["bench", workload, server.url, *SHORT, "--pid", str(server.pid), "--json"]
    code = main([*command, "--size", "2000"])
    summary = json.loads(capsys.readouterr().out)
    assert code == 0, summary
    assert summary["connections"] == 7
    assert summary["errors"] == {"lost": 0, "wrong": 0, "surplus": 0}
    assert summary["failure"] is None
    measured = summary["measured"]
    assert measured["messages"] > 0
    assert measured["rate"] == pytest.approx(measured["messages"] / measured["seconds"])
    assert measured["bytes_in"] > measured["rate"] * 2000
    times = list(measured["latency"].values())
    assert 0 < times[0] <= times[1] <= times[2] <= times[3] < 10
    if workload == "broadcast":
        assert measured["messages"] % (100 * 7) == 0
        assert 0 < measured["finish"]["p50"] < 10
    else:
        assert measured["bytes_out"] > measured["rate"] * 2000 * 0.9
    if sys.platform == "linux":
        assert measured["server"]["cpu_per_message"] >= 0
        assert measured["generator"]["cpu"] >= 0


def test_idle_connections_are_held(ours, capsys):
    command = ["bench", "idle", ours.url, *SHORT, "--connecting", "2", "--json"]
    assert main([*command, "--connections", "50"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["connections"] == 50
    assert summary["connecting"]["rate"] > 0
    assert summary["measured"]["messages"] == 0
    assert summary["measured"]["latency"] is None


def test_people_get_a_line_a_second_and_a_table(ours, capsys):
    command = ["bench", "ack", ours.url, *SHORT, "--seconds", "1.2", "--in-flight", "3"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert re.search(r"\d s  measuring +[\d ]+ round trips a second .* p50 .* max", said.err)
    names = [line[:15].strip() for line in said.out.splitlines()[1:]]
    assert {"connections", "round trips", "latency", "bytes", "limit", "errors"} <= set(names)
    assert said.out.endswith("none\n")


def test_namespace_auth_query_and_headers_reach_the_server(faulty, capsys):
    url = f"{faulty.url}/private?room=a"
    command = ["bench", "ack", url, *SHORT, "--header", "X-Name: value"]
    assert main([*command, "--auth", '{"token": "é"}']) == 0
    assert main([*command, "--auth", '{"token": "e"}']) == 1
    assert "namespace /private refuses the client: who are you?" in capsys.readouterr().err


def test_what_is_wrong_with_replies_is_counted(faulty, capsys):
    assert main(["bench", "echo", faulty.url, *SHORT]) == 1
    assert re.search(r"errors +\d[\d ]* wrong round trips\n", capsys.readouterr().out)
    assert main(["bench", "broadcast", faulty.url, *SHORT, "--burst", "1"]) == 1
    assert "deliveries too many" in capsys.readouterr().out


def test_lost_connections_are_counted_and_the_others_go_on(faulty, capsys):
    command = ["bench", "echo", faulty.url, *SHORT, "--event", "leave", "--warm-up", "0.3"]
    assert main([*command, "--json"]) == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["errors"]["lost"] == 1
    assert summary["failure"] == "the first of them: the server disconnected the socket"
    assert summary["measured"]["messages"] > 0
    assert summary["other_packets"] > 0


def test_a_server_that_ends_is_told(ours, tmp_path, capsys):
    (tmp_path / "mortal.py").write_text(
        "import os\nfrom roomcast import Server\nio = Server()\n"
        "@io.event\ndef echo(socket, value):\n    os._exit(0)\n",
        encoding="utf-8",
    )
    with serving(*roomcast("serve", "mortal:io", "--port", "0"), cwd=tmp_path) as program:
        assert main(["bench", "echo", program.url, *SHORT]) == 1
    assert "7 of 7 connections had been made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("broadcast", "--event", "gone"),
            'no event "b" within 1 s after event "gone": it needs a handler for "gone"',
        ),
        (("echo", "--event", "gone"), 'no event "echo" within 1 s after event "gone"'),
        (("echo", "--reply", "gone"), 'no event "gone" within 1 s after event "echo"'),
        (("ack", "--event", "gone"), 'no acknowledgement within 1 s after event "gone"'),
        (("echo", "--event", "once"), "nothing came for 1 s"),
        (("broadcast", "--event", "half"), "699 of 700 deliveries are missing"),
    ],
)
def test_silence_is_explained(faulty, arguments, words, capsys):
    workload, *options = arguments
    command = ["bench", workload, faulty.url, *SHORT, "--seconds", "5", "--timeout", "1"]
    assert main([*command, *options]) == 1
    said = capsys.readouterr()
    assert words in said.err + said.out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
def test_clients_come_from_several_addresses_where_one_has_too_few_ports(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "seeing.py").write_text(
        "from roomcast import Server\nio = Server()\nseen = set()\n"
        "@io.event\ndef go(socket, count, size):\n    io.emit('b', 'x' * len(seen))\n"
        "@io.on('connection')\ndef connection(socket):\n    seen.add(socket.handshake.address)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(target, "PER_SOURCE", 2)
    with serving(*roomcast("serve", "seeing:io", "--port", "0"), cwd=tmp_path) as program:
        # Four addresses for seven clients: it answers with as many characters.
        command = ["bench", "broadcast", program.url, *SHORT, "--size", "4", "--burst", "1"]
        assert main(command) == 0, capsys.readouterr().out


def test_names_are_understood(ours):
    assert main(["bench", "echo", f"ws://localhost:{ours.port}", *SHORT]) == 0


def test_ipv6_is_understood():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(*roomcast("bench", "server", "--host", "::1", "--port", "0")) as server:
        assert main(["bench", "echo", server.url, *SHORT]) == 0


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "this is no HTTP server: it answered 'SSH-2.0-OpenSSH_9"),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
            "no Socket.IO server at /socket.io/: 404 Not Found: nope",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden; --path names another place"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "the server refuses a WebSocket at /socket.io/: 200 OK"),
        (SWITCH + b"\x81\x05hello", "not of Socket.IO 3 or later: it began with 'hello'"),
        (SWITCH + b"\x91\x05hello", "the server has broken the WebSocket protocol: reserved bits"),
        (SWITCH + b"\x88\x02\x03\xe9", "the server closed the connection (close code 1001)"),
        (SWITCH + b"\x81\x03" + b"0{}", "0 of 7 connections had been made"),
        (b"", "the server closed the connection; 0 of 7 connections had been made"),
    ],
)
def test_servers_of_another_kind_are_named(answer, words, capsys):
    with answering(answer) as url:
        assert main(["bench", "echo", url, *SHORT]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        (b"", "the answer to the upgrade"),
        (SWITCH, "the open packet of Engine.IO"),
        (SWITCH + b"\x81\x03" + b"0{}", "the answer to CONNECT"),
    ],
)
def test_what_a_silent_server_owes_is_named(answer, missing, capsys):
    with answering(answer, closes=False) as url:
        assert main(["bench", "echo", url, *SHORT, "--timeout", "1"]) == 1
    assert f"{missing} did not come within 1 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://127.0.0.1:1"], "connection refused: nobody listens on port 1 of 127.0.0.1"),
        (["http://host.invalid"], "unknown host host.invalid"),
        (["https://127.0.0.1"], "the load speaks no TLS"),
        (["localhost:3000"], "no URL of a server"),
        (["http://127.0.0.1:port"], "no URL"),
        (["http://me:secret@127.0.0.1"], "--header"),
        (["http://127.0.0.1/socket.io/"], "names a namespace"),
        (["URL", "--header", "nothing"], '"nothing" is no header'),
        (["URL", "--in-flight", "200", "--size", "9000000"], "more than 1 GB in flight"),
        (["URL", "--pid", "2147483647"], "the server's process cannot be looked at"),
        (["URL/none"], "namespace /none refuses the client: Invalid namespace"),
        (["URL", "--path", "/none/"], "--path names another place"),
    ],
)
def test_wrong_arguments_are_explained(ours, arguments, words, capsys):
    arguments = [argument.replace("URL", ours.url) for argument in arguments]
    assert main(["bench", "echo", *arguments, *SHORT]) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--connections", "0"],
        ["--connections", "many"],
        ["--auth", "[]"],
        ["--auth", "{"],
        ["--seconds", "-1"],
        ["--seconds", "soon"],
        ["--in-flight", "10001"],
    ],
)
def test_arguments_out_of_range_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["bench", "echo", "http://127.0.0.1:1", *arguments])
    assert exit_info.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err.replace("-c/", "").replace(
        "-t/", ""
    ).replace("-d/", "")


def test_command_ends_at_once_when_it_is_interrupted():
    with serving(*roomcast("bench", "server", "--port", "0")) as server:
        command = roomcast("bench", "echo", server.url, "--seconds", "60", "--connections", "3")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            while "measuring" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=10)
            assert process.returncode == 130
            assert re.search(r"round trips +\d", out)
        code, errors = server.end()
        assert (code, errors) == (0, "")


def test_result_stands_alone_on_the_output():
    with serving(*roomcast("bench", "server", "--port", "0")) as server:
        result = run_roomcast("bench", "broadcast", server.url, *SHORT, "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["workload"] == "broadcast"
    assert result.stderr.startswith("broadcast on http://127.0.0.1:")


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of Unix")
def test_terminal_gets_a_display_that_stays_in_its_place(ours):
    import pty  # noqa: PLC0415  not there on Windows

    pytest.importorskip("rich")
    ours_end, its_end = pty.openpty()
    command = roomcast("bench", "echo", ours.url, *SHORT, "--seconds", "0.7")
    with subprocess.Popen(
        command, stdout=its_end, stderr=its_end, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(its_end)
        seen = b""
        while True:
            try:
                seen += os.read(ours_end, 10_000)
            except OSError:  # the terminal has ended with the program
                break
        os.close(ours_end)
        assert process.wait(10) == 0
    text = seen.decode()
    assert "round trips a second" in text
    assert "╭" in text  # the display, and then the table
    assert "limit" in text
