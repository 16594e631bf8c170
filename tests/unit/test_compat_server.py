"""`roomcast.compat`'s server without connections: its options, its files, its names."""

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
import socketio
from engineio.async_drivers.asgi import translate_request
from engineio.static_files import get_static_file

import roomcast
from roomcast import UsageError, compat, msgpack
from roomcast.compat.environ import current_scope, environ_of, remember
from roomcast.compat.options import read_options
from roomcast.compat.reasons import Reason, reason_of
from roomcast.compat.rooms import room_from, room_name, room_names
from roomcast.compat.static import find_static_file
from roomcast.engine.origins import Cors
from roomcast.engine.requests import Request


def test_packets_need_nothing_of_the_server():
    code = "import sys, roomcast.compat; print([name for name in sys.modules if name.startswith('roomcast.compat.')])"
    names = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "roomcast.compat.packet" in names
    assert "roomcast.compat.server" not in names
    assert "roomcast.compat.options" not in names


def test_every_name_is_there():
    for name in compat.__all__:
        assert getattr(compat, name) is not None


@pytest.mark.parametrize("name", ["AsyncRedisManager", "AsyncClient", "WSGIApp"])
def test_what_is_not_there_names_what_is(name):
    with pytest.raises(AttributeError, match="in its place there is"):
        getattr(compat, name)
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'$"):
        _ = compat.nothing


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"client_manager": object()}, "adapter=roomcast.RedisAdapter"),
        ({"json": object()}, "default=function"),
        ({"serializer": "pickle"}, "parser of a roomcast.Server"),
        ({"async_mode": "aiohttp"}, "ASGIApp"),
        ({"monitor_clients": False}, "ping_timeout"),
        ({"engineio_logger": logging.getLogger()}, "roomcast.engine"),
        ({"cors_allowed_origins": "*", "cors_credentials": True}, "name the origins"),
    ],
)
def test_option_that_cannot_be_honoured_says_what_to_do(options, words):
    with pytest.raises(UsageError, match=words):
        compat.AsyncServer(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ping_intervall": 5}, "did you mean 'ping_interval'"),
        ({"cookie": {"Expires": "never"}}, "max-age"),
        ({"cookie": {"path": lambda: "/"}}, "not a function"),
    ],
)
def test_option_that_is_wrong_is_a_type_error(options, words):
    with pytest.raises(TypeError, match=words):
        compat.AsyncServer(**options)


def test_options_become_ours():
    sio = compat.AsyncServer(
        async_mode="asgi",
        monitor_clients=True,
        ping_interval=(25, 5),
        ping_timeout=30,
        max_http_buffer_size=5_000,
        allow_upgrades=False,
        http_compression=True,
        compression_threshold=10,
        transports="websocket",
        cookie={"name": "sid", "SameSite": "Strict", "Max-Age": "60", "Secure": True},
        cors_allowed_origins=["https://a.example"],
        serializer="msgpack",
        default=str,
    )
    options = sio.io.options
    assert (options.ping_interval, options.ping_timeout) == (25, 35)
    assert options.limits.max_http_buffer_size == 5_000
    assert options.upgrades == ()
    assert options.compression_threshold == 10
    assert options.transports == ("websocket",)
    assert (
        options.cookie.header("x") == "sid=x; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Strict"
    )
    assert options.cors == Cors(origins=["https://a.example"], credentials=True)
    assert options.parser is msgpack
    assert options.default is str
    assert compat.AsyncServer(http_compression=False).io.options.compression_threshold is None
    assert compat.AsyncServer(cookie="io").io.options.cookie.header("x").startswith("io=x; Path=/")


def test_codec_of_the_step_before_is_that_of_the_server():
    assert read_options({"serializer": compat.Packet})["parser"] is None
    assert read_options({"serializer": compat.MsgPackPacket})["parser"] is msgpack


def test_cors_is_that_of_python_socketio():
    def cors(*args: Any) -> Cors | None:
        names = ("cors_allowed_origins", "cors_credentials")
        return read_options(dict(zip(names, args, strict=False)))["cors"]

    assert cors() is cors(None) is cors([]) is None
    assert cors("*") == cors(["*"]) == cors("*", False) == Cors(origins="*")
    assert cors("https://a.example", False) == Cors(origins="https://a.example")
    assert cors(lambda origin: "yes").allows("https://a.example")
    assert not cors(lambda origin: 0).allows("https://a.example")
    scope = {"path": "/socket.io/", "headers": [(b"x-tenant", b"//a.")]}
    token = current_scope.set(scope)
    try:
        asked = cors(lambda origin, environ: environ["HTTP_X_TENANT"] in origin)
        assert asked.allows("https://a.example")
        assert not asked.allows("https://b.example:8")
    finally:
        current_scope.reset(token)


def test_logger_is_given_or_ours(caplog):
    logger = logging.getLogger("mine")
    sio = compat.AsyncServer(logger=logger)
    assert sio.logger is logger
    with caplog.at_level(logging.INFO, "mine"):
        asyncio.run(sio.emit("event", to="room"))
    assert caplog.messages == ['emitting event "event" to room [/]']
    assert compat.AsyncServer().logger.name == "roomcast.compat"


def test_rooms_of_texts_and_of_numbers_are_never_the_same():
    rooms = ["5", 5, "\0int:5", "\0str:5", "", -1, True]
    names = [room_name(room) for room in rooms]
    assert len(set(names)) == len(names)
    assert [room_from(name) for name in names] == [*rooms[:-1], 1]
    assert room_names(None) is None
    assert room_names(("a", 1)) == ("a", "\0int:1")
    for wrong in (None, 1.5, ("a",)):
        with pytest.raises(TypeError, match="take str"):
            room_name(wrong)
    with pytest.raises(ValueError, match="leave it out"):
        room_names([])


def test_reasons_are_those_of_python_socketio():
    known = {value for name, value in vars(Reason).items() if name.isupper()}
    theirs = [
        ("transport close", "closed by the client"),
        ("transport close", None),
        ("transport error", None),
        ("ping timeout", None),
        ("parse error", "not an Engine.IO packet"),
        ("forced close", "slow client"),
        ("server shutting down", None),
        ("client namespace disconnect", None),
        ("server namespace disconnect", None),
    ]
    assert {reason_of(*each) for each in theirs} == known
    assert reason_of(*theirs[0]) == "client disconnect"


def scope_of(**more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/socket.io/é",
        "query_string": b"EIO=4&x=%20",
        "headers": [
            (b"host", b"a.example"),
            (b"x-forwarded-proto", b"https"),
            (b"x-a", b"1"),
            (b"x-a", b"2"),
            (b"content-type", b"text/plain"),
        ],
        "client": ("10.0.0.1", 5),
        "scheme": "http",
        "extensions": {"roomcast.takeover": object()},
        "session": {"user": 1},
        **more,
    }


def test_environ_is_that_of_python_socketio():
    scope = scope_of()
    request = Request.from_scope(scope)
    token = current_scope.set(scope)
    assert remember(request)
    current_scope.reset(token)
    environ = environ_of(request)
    assert environ["PATH_INFO"] == "/socket.io/é"
    assert environ["RAW_URI"] == "/socket.io/é?EIO=4&x=%20"
    assert environ["QUERY_STRING"] == "EIO=4&x=%20"
    assert environ["HTTP_HOST"] == "a.example"
    assert environ["HTTP_X_A"] == "1,2"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["REMOTE_ADDR"] == "10.0.0.1"
    assert environ["REMOTE_PORT"] == "5"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["asgi.scope"]["session"] == {"user": 1}
    assert "extensions" not in environ["asgi.scope"]
    other_way = environ_of(Request.from_scope(scope_of(headers=[(b"host", b"b.example")])))
    assert other_way["HTTP_HOST"] == "b.example"
    assert other_way["wsgi.url_scheme"] == "http"


async def test_environ_has_the_keys_of_python_socketio():
    async def receive():
        return {"type": "http.request", "body": b""}

    headers = [(b"host", b"a.example"), (b"content-type", b"text/plain")]
    theirs = await translate_request(scope_of(headers=headers), receive, None)
    ours = environ_of(Request.from_scope(scope_of(headers=headers)))
    assert set(theirs) - set(ours) == {"wsgi.input", "asgi.receive", "asgi.send"}
    assert set(ours) <= set(theirs)
    same = set(ours) - {"asgi.scope", "REMOTE_ADDR", "REMOTE_PORT", "PATH_INFO", "RAW_URI"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


@pytest.fixture
def public(tmp_path):
    for name in ("index.html", "main.html", "css/app.css", "css/index.html", "data.unknown"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path.parent / "secret.txt").write_text("secret")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", "index.html"),
        ("/main", "main.html"),
        ("/static/css/app.css", "css/app.css"),
        ("/static/css/", "css/index.html"),
        ("/static/", "index.html"),
        ("/static/main.html", "main.html"),
        ("/static/data.unknown", "data.unknown"),
        ("/static/nothing", None),
        ("/static/css", None),
        ("/static/../secret.txt", None),
        ("/static/css/../../secret.txt", None),
        ("/static/..", None),
        ("/static/a\\..\\b", None),
        ("/static/\0", None),
        ("/elsewhere", None),
        ("/mainly", None),
    ],
)
def test_static_files_are_those_of_python_socketio(public, path, found):
    files = {
        "/": f"{public}/index.html",
        "/main": {"filename": f"{public}/main.html", "content_type": "text/x"},
        "/static": str(public),
    }
    ours = find_static_file(path, files)
    assert (ours and ours.path) == (found and public / found)
    if found is None:
        return
    theirs = get_static_file(path, files)
    assert theirs["filename"] == str(ours.path)
    assert theirs["content_type"] == ours.content_type


def test_index_has_the_name_that_it_is_given(public):
    files = {"/static/": f"{public}/", "": {"filename": "main.html", "content_type": "text/y"}}
    found = find_static_file("/static/", files)
    assert found == (public / "main.html", "text/y")


def test_what_speaks_no_asgi_is_refused():
    sio = compat.AsyncServer()
    with pytest.raises(UsageError, match="ASGIApp"):
        sio.attach(object())
    with pytest.raises(UsageError, match="Admin UI"):
        sio.instrument(auth=False)
    with pytest.raises(TypeError, match="callable"):
        sio.on("event", 5)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (socketio.AsyncServer(async_mode="asgi"), "not socketio.async_server.AsyncServer"),
        (roomcast.Server(), r"not roomcast.server.server.Server; a roomcast.Server has io.asgi"),
    ],
)
def test_application_takes_the_server_of_the_same_import(server, words):
    with pytest.raises(UsageError, match=words):
        compat.ASGIApp(server)


async def test_background_tasks_are_kept():
    sio = compat.AsyncServer()

    async def work(number: int, *, more: int) -> int:
        await sio.sleep(0.001)
        return number + more

    assert await sio.start_background_task(work, 1, more=2) == 3
    await sio.sleep()
    assert not sio._tasks
    await sio.shutdown()


def test_options_of_ours_are_taken(monkeypatch):
    adapter = roomcast.RedisAdapter("redis://127.0.0.1:1")
    sio = compat.AsyncServer(adapter=adapter, limits=roomcast.Limits(max_depth=5))
    assert sio.io.options.adapter is adapter
    assert sio.io.options.limits.max_depth == 5
