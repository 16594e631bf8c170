"""Several workers behind one port, without sticky connections: processes as users start them, official clients with default options."""

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from roomcast import Server
from roomcast.errors import UsageError
from support.crowd_of_clients import crowd
from support.programs import roomcast, run_roomcast, serving
from support.reference import missing_reference
from support.worker_clients import UNKNOWN, Client, answers, children, started, wait_until

CLIENTS = int(os.environ.get("ROOMCAST_WORKER_CLIENTS", "100"))
"""How many clients come; ``ROOMCAST_WORKER_CLIENTS=1000`` is the crowd that the documentation speaks of."""

pytestmark = [
    pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference())),
    pytest.mark.timeout(180),
]

WORKERS = 4

PROGRAM = """
import os
import sys
from roomcast import Server

io = Server(limits=__import__("roomcast").Limits(max_http_buffer_size=200_000))

@io.event
def who(socket, *args):
    return os.getpid()

@io.event
def address(socket):
    return socket.handshake.address

@io.event
def length(socket, text):
    return len(text)

@io.event
def die(socket):
    os.kill(os.getpid(), 9)

@io.event
def counters(socket):
    return dict(io.engine.counters)

@io.event
def files(socket):
    return len(os.listdir("/proc/self/fd"))

app = io.asgi()

def broken():
    sys.exit("no database")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


@contextmanager
def on_roomcast(folder: Path) -> Iterator[tuple[str, int]]:
    command = roomcast("serve", "program:io", "--workers", str(WORKERS), "--port", "0")
    with serving(*command, cwd=folder) as program:
        yield program.url, program.pid
        assert program.end()[0] == 0


@contextmanager
def on_uvicorn(folder: Path, *options: str) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "program:app", "--workers", str(WORKERS)]
    command += ["--port", str(port), "--log-level", "warning", *options]
    environment = os.environ | {"ROOMCAST_WORKERS": str(folder / "workers")}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: started(folder / "workers") == WORKERS and answers(port))
        yield f"http://127.0.0.1:{port}", process.pid
        process.send_signal(signal.SIGTERM)
        process.wait(15)
    finally:
        if process.poll() is None:
            for pid in children(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()


@contextmanager
def on_uvicorn_directly(folder: Path) -> Iterator[tuple[str, int]]:
    with on_uvicorn(folder, "--ws", "roomcast.uvicorn:WebSocketProtocol") as served:
        yield served


SERVERS = {
    "roomcast": on_roomcast,
    "uvicorn": on_uvicorn,
    "uvicorn-direct": on_uvicorn_directly,
}


@pytest.mark.parametrize("transport", ["", "polling"])
@pytest.mark.parametrize("server", SERVERS)
def test_clients_with_default_options_are_served_without_sticky_connections(
    folder, server, transport
):
    with SERVERS[server](folder) as (url, _), crowd(url, CLIENTS, transport) as clients:
        pids = clients.ask()
        if not transport:
            clients.wait_upgraded(CLIENTS)
        assert clients.ask() == pids
        assert sum(pids.values()) == CLIENTS
        assert len(pids) > 1
        state = clients.state
        assert (state["unknown"], state["disconnects"]) == (0, 0)


@pytest.mark.parametrize("transport", ["", "polling"])
def test_workers_that_are_killed_are_replaced_and_their_clients_come_back(folder, transport):
    with on_roomcast(folder) as (url, pid), crowd(url, CLIENTS, transport) as clients:
        before = clients.ask()
        if not transport:
            clients.wait_upgraded(CLIENTS)
        killed = sorted(before, key=lambda pid: -before[pid])[:2]
        for each in killed:
            os.kill(each, signal.SIGKILL)
        after = clients.ask()
        assert not set(after) & set(killed)
        assert sum(after.values()) == CLIENTS
        wait_until(lambda: len(children(pid)) == WORKERS)
        if (
            not transport
        ):  # on polling, a request may have been on its way through one that was killed
            assert clients.state["disconnects"] == sum(before[each] for each in killed)


def test_one_that_is_killed_does_not_leave_a_request_waiting(folder):
    with on_roomcast(folder) as (url, _):
        for _ in range(4):
            client = Client(url)
            started = time.monotonic()
            with suppress(
                http.client.RemoteDisconnected, ConnectionError
            ):  # the one that was asked
                client.request("POST", b'420["die"]')
            while True:
                with suppress(http.client.RemoteDisconnected, ConnectionError):
                    if client.request("GET") == (400, UNKNOWN):
                        break
                assert time.monotonic() < started + 10
            assert time.monotonic() < started + 10


def test_what_a_client_is_told_does_not_depend_on_who_is_asked(folder):
    with on_roomcast(folder) as (url, _):
        client = Client(url)
        for _ in range(20):
            assert client.ask("address") == "127.0.0.1"
            assert client.ask("length", "x" * 150_000) == 150_000
        for _ in range(8):
            assert client.request("POST", b"4" + b"x" * 200_000)[0] == 413
        assert client.ask("length", "é") == 1
        assert client.request("GET", sid=client.sid[:-4] + "....") == (400, UNKNOWN)
        assert client.request("PUT")[0] == 500


def test_bodies_that_come_slowly_are_passed_on_as_they_come(folder):
    with on_roomcast(folder) as (url, _):
        client = Client(url)
        body = b'420["length","' + b"x" * 100_000 + b'"]'
        for _ in range(8):
            assert client.post_slowly(body, 5) == 200
            assert client.request("GET") == (200, b"430[100000]")


def test_overlapping_requests_end_a_session_wherever_they_arrive(folder):
    with on_roomcast(folder) as (url, _):
        for _ in range(8):
            client = Client(url)
            query = f"/socket.io/?EIO=4&transport=polling&sid={client.sid}"
            held = http.client.HTTPConnection(client.host, timeout=20)
            held.request("GET", query)
            time.sleep(0.1)
            assert client.request("GET")[0] == 400
            answer = held.getresponse()
            assert (answer.status, answer.read()) == (200, b"1")
            held.close()


def test_who_leaves_while_a_request_is_held_has_left(folder):
    with on_roomcast(folder) as (url, _):
        for _ in range(8):
            client = Client(url)
            held = http.client.HTTPConnection(client.host, timeout=20)
            held.request("GET", f"/socket.io/?EIO=4&transport=polling&sid={client.sid}")
            time.sleep(0.05)
            held.close()
            wait_until(lambda client=client: client.request("POST", b"3") == (400, UNKNOWN))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "tail",
    ["....", "/../", "%2e%2e%2f%2e", "AAAA", "%00%00%00%00", "", "x", "%C3%A9%C3%A9", "*", "AAA/"],
)
def test_ids_that_name_nobody_are_unknown(folder, server, tail):
    if server != "roomcast" and tail != "AAAA":
        pytest.skip("once is enough")
    with SERVERS[server](folder) as (url, _):
        client = Client(url)
        for _ in range(4):
            status, body = client.request("GET", sid="A" * 20 + tail)
            assert (status, body) == (400, UNKNOWN)
        with pytest.raises(InvalidStatus) as refused:
            connect(
                f"ws://{client.host}/socket.io/?EIO=4&transport=websocket&sid={'A' * 20}{tail}"
            ).close()
        assert refused.value.response.status_code in (400, 403)


def test_websockets_that_are_refused_by_another_worker_get_its_answer(folder):
    with on_roomcast(folder) as (url, _):
        client = Client(url)
        guessed = "B" * 20 + client.sid[-8:]
        for _ in range(8):
            with pytest.raises(InvalidStatus) as refused:
                connect(
                    f"ws://{client.host}/socket.io/?EIO=4&transport=websocket&sid={guessed}"
                ).close()
            assert refused.value.response.status_code == 400
            assert refused.value.response.body == b"Session ID unknown"


def test_nothing_is_left_of_what_was_passed_on(folder):
    with on_roomcast(folder) as (url, _):
        with crowd(url, 20) as clients:
            clients.ask()
            clients.wait_upgraded(20)
        client = Client(url)
        # Whose connection a worker accepts is chance; each of these may be another's.
        wait_until(lambda: Client(url).ask("counters").get("passed_on"))
        end = time.monotonic() + 10
        # What is left are the libraries, the loop, two sockets, and the lines of this request.
        while client.ask("files") > 35:
            assert time.monotonic() < end, client.ask("files")


def test_supervisor_that_is_killed_takes_its_workers_along(folder):
    command = roomcast("serve", "program:io", "--workers", "2", "--port", "0")
    with serving(*command, cwd=folder) as program:
        workers = children(program.pid)
        assert len(workers) == 2
        os.kill(program.pid, signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_all_workers(folder, number):
    command = roomcast("serve", "program:io", "--workers", "2", "--port", "0")
    with serving(*command, cwd=folder) as program:
        workers = children(program.pid)
        code, errors = program.end(number)
        assert code == 0, errors
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
        assert errors == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["program:nothing"], 'module "program" has no "nothing"'),
        (["program:broken", "--factory"], "no database"),
        (["nowhere:io"], 'there is no module "nowhere"'),
    ],
)
def test_workers_that_cannot_start_end_it_all(folder, arguments, words):
    result = run_roomcast("serve", *arguments, "--workers", "2", "--port", "0", cwd=folder)
    assert result.returncode == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_number_of_workers_is_checked(folder):
    for wrong in ("0", "-1", "many"):
        result = run_roomcast("serve", "program:io", "--workers", wrong, cwd=folder)
        assert result.returncode == 2


def test_directory_is_for_this_user_alone(tmp_path):
    private = tmp_path / "private"
    io = Server(workers=private)
    assert io.options.workers == str(private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o755)
    with pytest.raises(UsageError, match=re.escape(f"others may enter {public}")):
        Server(workers=public)
    with pytest.raises(UsageError, match="is too long for Unix sockets"):
        Server(workers=tmp_path / ("x" * 100))
    with pytest.raises(TypeError, match="workers must be a directory"):
        Server(workers=4)
