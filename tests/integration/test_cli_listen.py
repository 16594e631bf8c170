"""``roomcast listen`` as it is typed: what it prints, how it ends, and how it comes back."""

import json
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from subprocess import PIPE

import pytest

from roomcast.cli import main
from support.programs import node, roomcast, run_roomcast, serving
from support.reference import missing_reference

PROGRAM = """
from roomcast import ConnectError, Server

io = Server(connection_state_recovery=RECOVERY)
left = []

@io.on("connection")
def connection(socket):
    if not socket.recovered:
        socket.emit("hello", 1, "a b", b"\\x00")
        socket.emit("two words", {"x": "\\x1b[31m é"})
        socket.emit("done")
    socket.on("disconnect", left.append)

@io.event
def to_all(socket, *args):
    io.emit(*args)

@io.event
def cut(socket):
    for each in [*io.sockets.values(), *io.of('/once').sockets.values()]:
        if each is not socket:
            each.conn.close()

@io.event
def end(socket):
    io.disconnect_sockets()

@io.event
def who_left(socket):
    return left

doors = iter([True])

@io.of("/once").use
def once(socket):
    if not next(doors, False):
        raise ConnectError("only once")

@io.of("/once").on("connection")
def inside(socket):
    socket.emit("in")
"""

NODE = """
const http = require("http").createServer();
const io = new (require("socket.io").Server)(http);
io.on("connection", (socket) => {
  socket.emit("hello", 1, "a b", Buffer.from([0]));
  socket.emit("two words", { x: "\\x1b[31m é" });
  socket.emit("done");
});
http.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + http.address().port));
"""

PLAIN = [
    'hello 1 "a b" {"base64": "AA=="}',
    '"two words" {"x": "\\u001b[31m é"}',
    "done",
]


class Listener:
    """``roomcast listen`` that runs; its lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out = self.lines(process.stdout)
        self.err = self.lines(process.stderr)

    def lines(self, stream):
        found: list[str] = []
        changed = threading.Condition()

        def read() -> None:
            for line in stream:
                with changed:
                    found.append(line.rstrip("\n"))
                    changed.notify_all()
            stream.close()

        thread = threading.Thread(target=read)
        thread.start()

        def until(pattern: str, count: int = 1) -> None:
            def there() -> bool:
                return sum(bool(re.search(pattern, line)) for line in found) >= count

            with changed:
                assert changed.wait_for(there, 10), found

        until.found = found
        until.thread = thread
        return until

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(10)
        self.out.thread.join()
        self.err.thread.join()
        assert not any("Traceback" in line for line in self.err.found), self.err.found
        return code


@pytest.fixture
def listening():
    processes = []

    def start(*arguments: str) -> Listener:
        process = subprocess.Popen(
            roomcast("listen", *arguments),
            stdout=PIPE,
            stderr=PIPE,
            text=True,
            encoding="utf-8",
        )
        listener = Listener(process)
        processes.append(listener)
        return listener

    yield start
    for listener in processes:
        listener.process.kill()
        listener.wait()


@contextmanager
def program(folder, *, recovery: bool):
    source = PROGRAM.replace("RECOVERY", str(recovery or None))
    (folder / "program.py").write_text(source, encoding="utf-8")
    with serving(*roomcast("serve", "program:io", "--port", "0"), cwd=folder) as running:
        yield running


@pytest.fixture
def ours(tmp_path):
    with program(tmp_path, recovery=False) as running:
        yield running


@pytest.fixture
def reference():
    if reason := missing_reference():
        pytest.skip(reason)
    with node(NODE) as program:
        yield program


@pytest.fixture(params=["ours", "reference"])
def url(request):
    return request.getfixturevalue(request.param).url


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_events_are_lines(url, transport):
    result = run_roomcast("listen", url, "--count", "3", "--transport", transport)
    assert (result.returncode, result.stdout.splitlines()) == (0, PLAIN)
    assert re.fullmatch(rf"roomcast: connected to {url}, namespace /, as \S{{20}}\n", result.stderr)


def test_events_are_objects_of_json(url):
    result = run_roomcast(
        "listen", url, "--count", "2", "--json", "--event", "done", "--event", "hello"
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(re.fullmatch(r"2\d{3}-\S+T\S+\.\d{3}Z", line.pop("time")) for line in lines)
    assert lines == [
        {"event": "hello", "args": [1, "a b", {"base64": "AA=="}]},
        {"event": "done", "args": []},
    ]


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        ([], signal.SIGINT, 0),
        ([], signal.SIGTERM, 0),
        (["--count", "9"], signal.SIGINT, 130),
    ],
)
def test_signals_end_it_and_the_server_is_told(ours, listening, capsys, arguments, number, code):
    listener = listening(ours.url, *arguments)
    listener.out("^done$")
    assert listener.end(number) == code
    assert main(["emit", ours.url, "who_left", "--ack"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == "client namespace disconnect"


@pytest.mark.parametrize("recovery", [False, True])
def test_lost_connections_are_made_anew(tmp_path, listening, recovery):
    with program(tmp_path, recovery=recovery) as running:
        listener = listening(running.url)
        listener.out("^done$")
        assert main(["emit", running.url, "cut"]) == 0
        listener.err("disconnected: transport close .*; trying again")
        listener.err(
            "again, with the session from before" if recovery else "connected to", recovery or 2
        )
        assert main(["emit", running.url, "to_all", '"late"', "1"]) == 0
        listener.out("^late 1$")
    assert listener.out.found == [*PLAIN, *([] if recovery else PLAIN), "late 1"]


def test_servers_that_are_away_are_told_of_once(ours, listening):
    listener = listening(ours.url, "--json")
    listener.out("done")
    ours.process.kill()
    listener.err("not connected yet: connection refused: nobody listens")
    assert len(listener.err.found) == 3
    assert listener.end(signal.SIGINT) == 0


def test_servers_may_end_it(ours, listening):
    listener = listening(ours.url)
    listener.out("^done$")
    assert main(["emit", ours.url, "end"]) == 0
    assert listener.wait() == 1
    assert listener.err.found[-1] == "roomcast: the server has disconnected this client"


def test_refusal_at_the_way_back_ends_it(ours, listening):
    listener = listening(f"{ours.url}/once")
    listener.out("^in$")
    assert main(["emit", ours.url, "cut"]) == 0
    assert listener.wait() == 1
    assert "namespace /once refuses this client: only once" in listener.err.found[-1]


def test_readers_may_leave(ours):
    command = f"{' '.join(roomcast('listen', ours.url))} | head -1"
    with subprocess.Popen(["sh", "-c", command], stdout=PIPE, stderr=PIPE, text=True) as pipeline:
        assert pipeline.stdout.readline() == f"{PLAIN[0]}\n"
        for _ in range(2):
            assert main(["emit", ours.url, "to_all", '"late"']) == 0
        assert "Traceback" not in pipeline.communicate(timeout=10)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["http://127.0.0.1:1"], 1, "connection refused: nobody listens on port 1 of 127.0.0.1"),
        (["ftp://127.0.0.1:1"], 2, "is no URL"),
    ],
)
def test_what_never_connects_is_explained(capsys, arguments, code, words):
    assert main(["listen", *arguments]) == code
    assert words in capsys.readouterr().err


def test_counts_begin_with_one(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["listen", "http://127.0.0.1:1", "--count", "0"])
    assert "'0' is no number from 1" in capsys.readouterr().err
