"""``roomcast emit`` as it is typed: on our server and on the reference, what it sends and prints, and what it says when it cannot."""

import base64
import json
import socket
import sys

import pytest

from roomcast.cli import main
from support.programs import answering, node, roomcast, run_roomcast, serving
from support.reference import missing_reference

PROGRAM = """
import asyncio
from roomcast import ConnectError, Server

io = Server()
seen = []

@io.event
def note(socket, *args):
    seen.append(list(args))

@io.event
def noted(socket):
    return seen

@io.event
def back(socket, *args):
    return args

@io.event
def none(socket):
    return ()

@io.event
def leave(socket):
    socket.disconnect()

@io.event
def cut(socket):
    socket.conn.close()

@io.on("connection")
def connection(socket):
    @socket.on("who")
    def who():
        shake = socket.handshake
        return shake.headers.get("x-name"), shake.query.get("room"), socket.conn.transport.name

@io.of("/private").use
def check(socket):
    if socket.handshake.auth != {"token": "é"}:
        raise ConnectError("who are you?", {"code": "\\x1b[31m"})

@io.of("/private").event
def back(socket, *args):
    return args

@io.of("/slow").use
async def wait(socket):
    await asyncio.sleep(60)
"""

NODE = """
const http = require("http").createServer();
const io = new (require("socket.io").Server)(http);
const seen = [];
io.on("connection", (socket) => {
  socket.on("note", (...args) => seen.push(args));
  socket.on("noted", (done) => done(seen));
  socket.on("back", (...args) => args.pop()(...args));
  socket.on("none", (done) => done());
  socket.on("leave", () => socket.disconnect());
});
http.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + http.address().port));
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emit")
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    with serving(*roomcast("serve", "program:io", "--port", "0"), cwd=folder) as program:
        yield program.url


@pytest.fixture(scope="module")
def reference():
    if reason := missing_reference():
        pytest.skip(reason)
    with node(NODE) as program:
        yield program.url


@pytest.fixture(params=["ours", "reference"])
def url(request):
    return request.getfixturevalue(request.param)


def emitted(capsys, *arguments: str) -> list[object]:
    """Run it; return what it has printed."""
    assert main(["emit", *arguments]) == 0, capsys.readouterr().err
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("transport", [[], ["--transport", "polling"]])
def test_answers_are_a_line_for_each_argument(url, capsys, transport):
    args = ["1", "-1e5", '"é"', "null", '{"a": [true]}']
    answer = emitted(capsys, url, "back", *args, "--ack", *transport)
    assert answer == [json.loads(arg) for arg in args]
    assert emitted(capsys, url, "none", "--ack", *transport) == []


def test_arguments_may_stand_behind_options(url, capsys):
    assert emitted(capsys, url, "back", "1", "--ack", "2", "-3", "--timeout", "5", "4") == [
        1,
        2,
        -3,
        4,
    ]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_what_needs_no_answer_arrives_all_the_same(url, capsys, transport):
    texts = [f"{transport} {number}" for number in range(20)]
    for text in texts:
        assert emitted(capsys, url, "note", json.dumps(text), "--transport", transport) == []
    (noted,) = emitted(capsys, url, "noted", "--ack")
    assert [text for (text,) in noted if text.startswith(transport)] == texts


def test_servers_that_disconnect_have_read_the_event(url, capsys):
    assert emitted(capsys, url, "leave") == []


def test_files_are_arguments_or_parts_of_one(url, capsys, tmp_path):
    for name, data in (("a", b"\x00a"), ("b", b"\xffb"), ("c", b"")):
        (tmp_path / name).write_bytes(data)
    files = [f"x={tmp_path / 'a'}", str(tmp_path / "b"), f"y={tmp_path / 'c'}"]
    given = [part for file in files for part in ("--file", file)]
    answer = emitted(capsys, url, "back", "7", *given, "--ack")
    assert answer == [7, {"x": b64(b"\x00a"), "y": b64(b"")}, b64(b"\xffb")]
    output = tmp_path / "out"
    answer = emitted(capsys, url, "back", *given, "--ack", "--output", str(output))
    assert answer == [
        {
            "x": {"file": str(output), "bytes": 2},
            "y": {"file": f"{output}.2", "bytes": 0},
        },
        {"file": f"{output}.3", "bytes": 2},
    ]
    assert [output.read_bytes(), (tmp_path / "out.3").read_bytes()] == [b"\x00a", b"\xffb"]


def b64(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def test_namespace_auth_headers_and_query_reach_the_server(ours, capsys):
    auth = ["--auth", '{"token": "é"}']
    assert emitted(capsys, f"{ours}/private", "back", "1", "--ack", *auth) == [1]
    assert emitted(capsys, ours, "back", "1", "--ack", "--namespace", "private", *auth) == [1]
    header = ["--header", "X-Name: bob"]
    answer = emitted(capsys, f"{ours}?room=a", "who", "--ack", *header)
    assert answer == ["bob", "a", "websocket"]


def test_where_there_is_no_websocket_it_polls(tmp_path, capsys):
    source = PROGRAM.replace("Server()", "Server(transports=['polling'])")
    (tmp_path / "program.py").write_text(source, encoding="utf-8")
    with serving(*roomcast("serve", "program:io", "--port", "0"), cwd=tmp_path) as program:
        assert emitted(capsys, program.url, "back", "1", "--ack") == [1]
        command = ["emit", program.url, "back", "--transport", "websocket"]
        assert main(command) == 1
        assert "answers 400" in capsys.readouterr().err


def test_websockets_need_no_aiohttp_and_polling_does(ours, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert emitted(capsys, ours, "back", "1", "--ack") == [1]
    assert main(["emit", ours, "back", "--transport", "polling"]) == 1
    error = capsys.readouterr().err
    assert error == (
        'roomcast: polling needs aiohttp: pip install "roomcast[client]"; or --transport websocket\n'
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", """within those for the shell: '"hello"'"""),
        ("'hello'", """within those for the shell: '"hello"'"""),
        ("{name: bob}", """as in '{"name": "bob"}'"""),
        ("True", "it is true there"),
        ("None", "it is null there"),
        ("NaN", """'"NaN"'"""),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_what_is_not_json_is_shown_how_to_quote(capsys, text, words):
    assert main(["emit", "http://127.0.0.1:1", "say", "1", text]) == 2
    error = capsys.readouterr().err
    assert error.startswith("roomcast: argument 2, ")
    assert words in error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["http://127.0.0.1:1", "x"], 1, "connection refused: nobody listens on port 1"),
        (["http://host.invalid", "x"], 1, "unknown host host.invalid"),
        (["ftp://127.0.0.1", "x"], 2, "is no URL of a server"),
        (["http://127.0.0.1:port", "x"], 2, "is no URL of a server"),
        (["http://me:secret@127.0.0.1", "x"], 2, "a URL with a password in it"),
        (["URL/socket.io/", "x"], 2, "/socket.io/ in the URL names a namespace"),
        (["URL/a", "x", "--namespace", "b"], 2, "--namespace another one"),
        (["URL", "x", "--output", "y"], 2, "it needs --ack"),
        (["URL", "x", "--file", "a=/not/there"], 2, "cannot read /not/there"),
        (["URL", "x", "--file", "a=/dev/null", "--file", "a=/dev/null"], 2, "a= is there twice"),
        (["URL", "x", "--file", "a="], 2, "--file names no file"),
        (["URL", "connect"], 2, '"connect" is a reserved event name'),
        (["URL", "leave", "--ack"], 1, "ended before the answer: io server disconnect"),
        (["URL", "cut"], 1, "ended before the event was sent for sure: transport close"),
        (["URL", "missing", "--ack", "--timeout", "0.5"], 3, "not acknowledged within 0.5 s"),
        (["URL", "none", "--ack", "--output", "x"], 1, "the answer has no bytes"),
        (
            ["URL", "x", "--path", "/none/"],
            1,
            "/none/ answers 404: no Socket.IO server is there; --path names another place",
        ),
        (["URL/none", "x"], 1, "namespace /none is not there"),
        (["URL/slow", "x", "--timeout", "0.5"], 1, "a middleware there may wait"),
        (
            ["URL/private", "x"],
            1,
            'namespace /private refuses this client: who are you? {"code": "\\u001b[31m"} (--auth',
        ),
        (["URL", "x", "--transport", "polling", "--path", "/none/"], 1, "/none/ answers 404"),
    ],
)
def test_what_cannot_be_done_is_explained(ours, capsys, arguments, code, words):
    given = [argument.replace("URL", ours) for argument in arguments]
    assert main(["emit", *given]) == code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--auth", "[]"], "no object, as in"),
        (["--auth", "{"], "no JSON"),
        (["--header", "nothing"], "is no header"),
        (["--header", "a: b\r\nc: d"], "cannot stand in a header"),
    ],
)
def test_what_is_typed_wrongly_is_argparse_s(capsys, arguments, words):
    with pytest.raises(SystemExit, match="2"):
        main(["emit", "http://127.0.0.1:1", "x", *arguments])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            "answers 401: the server wants",
        ),
        (b"HTTP/1.1 418 I\r\ncontent-length: 2\r\n\r\n\x1b[", 'answers 418: it says "\\u001b["'),
        (b"HTTP/1.1 302 F\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", "is at another address"),
        (b"SSH-2.0-OpenSSH\r\n", "no connection with port"),
    ],
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_servers_that_are_none_are_described(capsys, answer, words, transport):
    with answering(answer) as url:
        assert main(["emit", url, "x", "--transport", transport]) == 1
    assert words in capsys.readouterr().err


def test_servers_that_say_nothing_are_left(capsys):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        assert main(["emit", url, "x", "--timeout", "0.3"]) == 1
    assert "/socket.io/ has not answered within 0.3 s" in capsys.readouterr().err


def test_tls_is_verified_unless_it_is_not_wanted(ours):
    result = run_roomcast("emit", ours.replace("http", "https"), "x")
    assert result.returncode == 1
    assert "does not speak TLS" in result.stderr
    assert "http:// URL may be right" in result.stderr
