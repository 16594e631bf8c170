"""``roomcast doctor`` on servers that are well, and on one that is broken for each diagnosis."""

import json
import re
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from websockets.sync.server import serve as serve_websockets

from roomcast.cli import main
from roomcast.cli.doctor.advice import held_requests, sticky, upgrades
from support.faulty_proxy import faulty_proxy
from support.programs import answering, node, roomcast, run_roomcast, serving
from support.reference import missing_reference

PROGRAM = """
import asyncio
from roomcast import ConnectError, Server

io = Server(OPTIONS)

@io.of("/private").use
def check(socket):
    if socket.handshake.auth != {"token": "s"}:
        raise ConnectError("who are you?", {"code": 7})

@io.of("/slow").use
async def wait(socket):
    await asyncio.sleep(60)

@io.of("/leave").on("connection")
def leave(socket):
    socket.disconnect()
"""

NODE = """
const http = require("http").createServer();
const io = new (require("socket.io").Server)(http, OPTIONS);
http.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + http.address().port));
"""

APP = "https://app.example"


def answered(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", body]).encode()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("doctor"), "") as program:
        yield program


def serve(folder, options: str):
    (folder / "program.py").write_text(PROGRAM.replace("OPTIONS", options), encoding="utf-8")
    return serving(*roomcast("serve", "program:io", "--port", "0"), cwd=folder)


def reference(options: str = "{}"):
    if reason := missing_reference():
        pytest.skip(reason)
    return node(NODE.replace("OPTIONS", options))


@pytest.fixture
def look(capsys):
    """Run the doctor; return its checks by name, and its exit code."""

    def look(url: str, *arguments: str, hold: str = "0.2"):
        code = main(["doctor", url, "--json", "--hold", hold, "--timeout", "2", *arguments])
        result = json.loads(capsys.readouterr().out)
        assert result["ok"] == (code == 0)
        assert (code == 1) == any(check["mark"] == "fail" for check in result["checks"])
        return {check["name"]: check for check in result["checks"]}

    return look


def marks(checks) -> dict[str, str]:
    return {name: check["mark"] for name, check in checks.items() if check["mark"] != "ok"}


# Servers that are well.


@pytest.mark.parametrize("kind", ["ours", "reference"])
def test_servers_that_are_well_get_nothing_to_change(kind, look, request):
    if kind == "ours":
        checks = look(request.getfixturevalue("ours").url)
    else:
        with reference() as program:
            checks = look(program.url)
    assert marks(checks) == {"CORS": "note"}
    names = ["version", "heartbeat", "clock", "polling", "long polling", "WebSocket", "upgrade"]
    assert list(checks) == ["connection", "path", *names, "CORS", "namespace"]
    assert not any(check["change"] for check in checks.values())


def test_people_get_lines_and_then_what_to_change(ours):
    result = run_roomcast("doctor", f"{ours.url}/none", "--hold", "0.1")
    assert result.returncode == 1
    assert result.stderr == ""
    first, *checks = result.stdout.partition("\n\nWhat to change\n")[0].splitlines()
    assert first == f"{ours.url}, path /socket.io/, namespace /none"
    assert all(re.match(r"(ok  |--  |WARN|FAIL)  \S", line) for line in checks)
    assert checks[-1] == "FAIL  namespace      /none is not there: Invalid namespace"
    assert " 1. namespace: The path of a URL is a namespace: leave /none out of it" in result.stdout
    assert all(len(line) <= 120 for line in result.stdout.splitlines())
    well = run_roomcast("doctor", ours.url, "--hold", "0.1")
    assert (well.returncode, well.stdout.splitlines()[-1]) == (0, "Nothing to change.")


def test_nothing_stays_on_the_server(tmp_path, look):
    (tmp_path / "program.py").write_text(
        PROGRAM.replace("OPTIONS", "")
        + "\n@io.event\ndef held(socket):\n    return len(io.engine.connections)\n",
        encoding="utf-8",
    )
    with serving(*roomcast("serve", "program:io", "--port", "0"), cwd=tmp_path) as program:
        look(program.url, "--origin", APP)
        result = run_roomcast("emit", program.url, "held", "--ack")
    assert result.stdout == "1\n"


# Name, port, TLS.


@pytest.mark.parametrize(
    ("url", "name", "found", "change"),
    [
        ("http://host.invalid", "name", "host.invalid is unknown", "a typing mistake"),
        ("http://127.0.0.1:1", "connection", "nobody listens on port 1", "0.0.0.0"),
        ("http://255.255.255.255", "connection", "no connection with port 80", "has a way"),
    ],
)
def test_what_cannot_be_reached(look, url, name, found, change):
    checks = look(url)
    assert list(checks) == [name]
    assert found in checks[name]["found"]
    assert change in checks[name]["change"]


def test_names_of_which_one_address_is_deaf(ours, look, monkeypatch):
    import asyncio  # noqa: PLC0415  for the one method that is replaced

    async def both(self, host, port, **options):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.1", "127.9.9.9")
        ]

    real = asyncio.BaseEventLoop.getaddrinfo

    async def resolve(self, host, port, **options):
        found = both if host == "both.example" else real
        return await found(self, host, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        checks = look(f"http://both.example:{port}", "--timeout", "0.2")
    assert checks["name"]["found"] == "both.example is 127.0.0.1, 127.9.9.9"
    assert checks["connection"]["mark"] == "warn"
    assert "not at 127.9.9.9" in checks["connection"]["found"]


@pytest.fixture
def authority(monkeypatch, tmp_path):
    """An authority that this machine trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


def secured(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def looked_anew(url: str, *arguments: str):
    """Run the doctor in a process of its own, where no context for TLS is there yet."""
    result = run_roomcast("doctor", url, "--json", "--hold", "0.1", *arguments)
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_good_certificates(ours, authority):
    with faulty_proxy(
        lambda _: None, ours.port, tls=secured(authority.issue_cert("127.0.0.1"))
    ) as url:
        checks = looked_anew(url)
    assert marks(checks) == {"CORS": "note"}
    assert "the certificate is good for" in checks["TLS"]["found"]


@pytest.mark.parametrize(
    ("names", "days", "trusted", "mark", "found", "change"),
    [
        (["127.0.0.1"], 3, True, "warn", "the certificate ends in 3 days", "Renew"),
        (["127.0.0.1"], -3, True, "fail", "certificate has expired", "Renew"),
        (["a.example"], 90, True, "fail", "IP address mismatch", "a name that stands in"),
        (["127.0.0.1"], 90, False, "fail", "unable to get local issuer", "the whole chain"),
    ],
)
def test_bad_certificates(ours, authority, names, days, trusted, mark, found, change):
    issuer = authority if trusted else trustme.CA()
    now = datetime.now(UTC)
    certificate = issuer.issue_cert(
        *names, not_before=now - timedelta(days=9), not_after=now + timedelta(days=days, hours=1)
    )
    with faulty_proxy(lambda _: None, ours.port, tls=secured(certificate)) as url:
        checks = looked_anew(url)
        unverified = looked_anew(url, "--insecure")
    assert marks(checks) == {"TLS": mark, "CORS": "note"}  # and all that follows is looked at
    assert found in checks["TLS"]["found"]
    assert change in checks["TLS"]["change"]
    assert unverified["TLS"]["mark"] == "note"


def test_http_where_tls_is_spoken_and_the_other_way_round(ours, look):
    checks = look(ours.url.replace("http", "https"))
    assert "does not speak TLS" in checks["TLS"]["found"]
    assert "Take http://" in checks["TLS"]["change"]
    context = secured(trustme.CA().issue_cert("127.0.0.1"))
    with faulty_proxy(lambda _: None, ours.port, tls=context) as url:
        checks = look(url.replace("https", "http"))
    assert "no answer in HTTP" in checks["path"]["found"]
    assert "use https://" in checks["path"]["change"]


# The path, and what answers there.

PAGE = "<!DOCTYPE html><title>app</title>"
OLD = '96:0{"sid":"x","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}2:40'


@pytest.mark.parametrize(
    ("answer", "name", "found", "change"),
    [
        (answered("404 Not Found"), "path", "answers 404: nothing is there", "io.asgi(app)"),
        (answered("200 OK", PAGE), "path", "a web page, not Socket.IO", "server.proxy"),
        (answered("200 OK", "hello"), "path", "no answer of Socket.IO: hello", "io.asgi(app)"),
        (answered("200 OK", "0{}"), "path", "no answer of Socket.IO: 0{}", "io.asgi(app)"),
        (answered("200 OK", OLD), "version", "a server of Socket.IO 2", "Upgrade the server"),
        (answered("401 Unauthorized"), "path", "asks who this is", "--header"),
        (answered("403 Forbidden", "<html>"), "path", "asks who this is", "--header"),
        (answered("502 Bad Gateway", PAGE), "path", "a proxy stands here", "Start the server"),
        (answered("426 Upgrade Required", "WebSocket"), "path", "426: WebSocket", "plain"),
        (
            answered("302 Found", "", "Location: https://127.0.0.1/socket.io/?EIO=4"),
            "path",
            "go to https://127.0.0.1",
            "Use the URL https://",
        ),
        (
            answered("307 T", "", "Location: /socket.io?EIO=4"),
            "path",
            "go to /socket.io?EIO=4",
            "APPEND_SLASH",
        ),
        (answered("303 S", "", "Location: /login"), "path", "go to /login", "a login page"),
        (
            answered("400 B", '{"code":5,"message":"Unsupported protocol version"}'),
            "version",
            "does not speak Engine.IO 4",
            "the server's own version",
        ),
        (
            answered("403 F", '{"code":4,"message":"not you"}'),
            "path",
            'answers 403: {"code":4,"message":"not you"}',
            "allow_request",
        ),
        (
            answered("400 B", '{"code":2,"message":"Bad handshake method"}'),
            "path",
            "Bad handshake method",
            "changes the method",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "path", "no answer in HTTP", "nother program"),
        (b"", "path", "no answer in HTTP: the connection was closed", "nother program"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "path",
            "no answer of Socket.IO: hello",
            "io.asgi(app)",
        ),
    ],
)
def test_what_answers_in_place_of_a_server(look, answer, name, found, change):
    with answering(answer) as url:
        checks = look(url)
    assert list(checks) == ["connection", name]
    assert checks[name]["mark"] == "fail"
    assert found in checks[name]["found"]
    assert change in checks[name]["change"]


def test_servers_that_say_nothing(look):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        checks = look(f"http://127.0.0.1:{mute.getsockname()[1]}", "--timeout", "0.3")
    assert "no answer within 0.3 s" in checks["path"]["found"]


def test_servers_at_another_path_are_found_and_looked_at(tmp_path, look):
    with serve(tmp_path, "path='/api/socket.io'") as program:
        checks = look(program.url)
        below = look(f"{program.url}/api")
    assert "a Socket.IO server is at /api/socket.io/" in checks["path"]["found"]
    assert "path='/api/socket.io/'" in checks["path"]["change"]
    assert marks(checks) == {"path": "fail", "CORS": "note"}
    assert "so leave /api out of it" in below["path"]["change"]


def test_servers_without_the_slash_at_the_end(ours, look):
    def fault(passing):
        if passing.target.startswith("/socket.io/"):
            return answered("404 Not Found")
        passing.head = passing.head.replace(b"/socket.io?", b"/socket.io/?")
        return None

    with faulty_proxy(fault, ours.port) as url:
        checks = look(url)
    assert marks(checks) == {"path": "fail", "CORS": "note"}
    assert "without the slash at its end" in checks["path"]["change"]
    assert "addTrailingSlash: false" in checks["path"]["change"]


def test_path_in_the_url_is_taken_for_what_was_meant(ours, look):
    checks = look(f"{ours.url}/socket.io/")
    assert marks(checks) == {"URL": "warn", "CORS": "note"}
    assert f"Give clients {ours.url} alone" in checks["URL"]["change"]


# What an open session says.


@pytest.mark.parametrize(
    ("options", "expected", "name", "words"),
    [
        ("{allowEIO3: true}", {}, "version", "clients of Socket.IO 2, too"),
        ("{pingInterval: 90000}", {"heartbeat": "warn"}, "heartbeat", "Proxies end what says"),
        ("{pingTimeout: 500}", {"heartbeat": "warn"}, "heartbeat", "pauses for longer"),
        ("{maxHttpBufferSize: 500}", {"size": "warn"}, "size", "raise max_http_buffer_size"),
        ("{transports: ['polling']}", {"WebSocket": "note"}, "WebSocket", "stay on polling"),
        ("{transports: ['websocket']}", {"path": "note"}, "path", "does not poll"),
    ],
)
def test_options_that_somebody_may_not_have_wanted(look, options, expected, name, words):
    with reference(options) as program:
        checks = look(program.url)
    assert marks(checks) == {**expected, "CORS": "note"}
    assert words in f"{checks[name]['found']} {checks[name]['change']}"


def test_clocks_that_differ(ours, look):
    def fault(passing):
        now = datetime.now(UTC)
        for seconds in range(-2, 4):
            then = now + timedelta(seconds=seconds)
            wrong = then + timedelta(hours=1)
            form = "%a, %d %b %Y %H:%M:%S GMT"
            passing.replacements.append(
                (then.strftime(form).encode(), wrong.strftime(form).encode())
            )

    with faulty_proxy(fault, ours.port) as url:
        checks = look(url)
    assert checks["clock"]["mark"] == "warn"
    assert re.search(r"the server's is 3[56]\d\d s ahead of", checks["clock"]["found"])


# Several processes.


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with (
        serve(tmp_path_factory.mktemp("one"), "cors='*'") as one,
        serve(tmp_path_factory.mktemp("two"), "cors='*'") as two,
    ):
        yield one.port, two.port


def test_processes_in_turn_lose_sessions(two, look):
    def fault(passing):
        passing.port = two[passing.number % 2]

    with faulty_proxy(fault, *two) as url:
        checks = look(url)
    assert marks(checks) == {"affinity": "fail", "CORS": "note"}
    assert "8 of 8 sessions are unknown" in checks["affinity"]["found"]
    assert "hash $remote_addr consistent;" in checks["affinity"]["change"]
    assert "balance source" in checks["affinity"]["change"]


def by_cookie(two):
    def fault(passing):
        found = re.search(rb"(?i)\r\ncookie: node=(\d)", passing.head)
        if found:
            passing.port = two[int(found[1])]
        else:
            passing.port = two[passing.number % 2]
            passing.replacements.append(
                (b"\r\n\r\n", b"\r\nSet-Cookie: node=%d; Path=/\r\n\r\n" % (passing.number % 2))
            )

    return fault


def test_affinity_by_cookie_is_not_for_every_client(two, look):
    with faulty_proxy(by_cookie(two), *two) as url:
        checks = look(url)
        page = look(url, "--origin", APP)
    assert marks(checks) == {"affinity": "warn", "CORS": "note"}
    assert "withCredentials: true" in checks["affinity"]["change"]
    assert page["CORS"]["mark"] == "fail"
    assert "without cookies only, and the proxy needs them" in page["CORS"]["found"]


def test_websockets_may_reach_another_process(two, look):
    def fault(passing):
        passing.port = two[passing.is_upgrade]

    with faulty_proxy(fault, *two) as url:
        checks = look(url)
    assert marks(checks) == {"upgrade": "fail", "CORS": "note"}
    assert "Session ID unknown" in checks["upgrade"]["found"]


# Requests that are held.


def test_proxies_that_give_up_on_held_requests(ours, look):
    def fault(passing):
        if passing.method == "GET" and passing.follows and not passing.is_upgrade:
            passing.delay = 0.2
            return answered("504 Gateway Time-out", "", "Server: nginx/1.27")
        passing.replacements.append((b"server: uvicorn", b"server: nginx/1.27"))
        return None

    with faulty_proxy(fault, ours.port) as url:
        checks = look(url, hold="1")
    assert checks["long polling"]["mark"] == "fail"
    assert "is answered 504 after 2" in checks["long polling"]["found"]
    assert "proxy_read_timeout 60s;" in checks["long polling"]["change"]
    assert "HAProxy" not in checks["long polling"]["change"]


def test_proxies_that_hold_answers_back(ours, look):
    def fault(passing):
        if passing.method == "GET" and passing.follows and not passing.is_upgrade:
            passing.delay = 1.2

    with faulty_proxy(fault, ours.port) as url:
        checks = look(url)
    assert marks(checks) == {"long polling": "warn", "CORS": "note"}
    assert "proxy_buffering off;" in checks["long polling"]["change"]


def test_proxies_that_close_held_requests(ours, look):
    def fault(passing):
        if passing.method == "GET" and passing.follows and not passing.is_upgrade:
            return b""
        return None

    with faulty_proxy(fault, ours.port) as url:
        checks = look(url)
    assert marks(checks) == {"long polling": "fail", "CORS": "note"}


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (answered("405 Method Not Allowed"), "a second request is answered 405"),
        (b"", "a second request gets no answer"),
    ],
)
def test_proxies_that_do_not_pass_posts(ours, look, answer, found):
    with faulty_proxy(
        lambda passing: answer if passing.method == "POST" else None, ours.port
    ) as url:
        checks = look(url)
    assert marks(checks) == {"polling": "fail", "CORS": "note"}
    assert found in checks["polling"]["found"]


# WebSockets.


def test_proxies_that_drop_the_upgrade(ours, look):
    def fault(passing):
        passing.head = re.sub(rb"(?i)\r\nupgrade: websocket", b"", passing.head)
        passing.head = re.sub(rb"(?i)connection: upgrade", b"Connection: close", passing.head)

    with faulty_proxy(fault, ours.port) as url:
        checks = look(url)
    assert marks(checks) == {"WebSocket": "fail", "CORS": "note"}
    assert "the header Upgrade is lost on the way" in checks["WebSocket"]["found"]
    assert "proxy_set_header Upgrade $http_upgrade;" in checks["WebSocket"]["change"]
    assert checks["namespace"]["mark"] == "ok"  # by polling


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (answered("502 Bad Gateway"), "it is answered 502 in place of 101"),
        (answered("400 Bad Request"), "it is answered 400 in place of 101"),
        (answered("426 Upgrade Required"), "the header Upgrade is lost"),
        (b"", "the handshake gets no answer: the connection was closed"),
    ],
)
def test_proxies_that_kill_websockets(ours, look, answer, found):
    with faulty_proxy(lambda passing: answer if passing.is_upgrade else None, ours.port) as url:
        checks = look(url)
    assert marks(checks) == {"WebSocket": "fail", "CORS": "note"}
    assert found in checks["WebSocket"]["found"]


def test_proxies_that_open_websockets_and_pass_nothing_on(ours, look):
    def fault(passing):
        passing.mute = passing.is_upgrade

    with faulty_proxy(fault, ours.port) as url:
        checks = look(url, "--timeout", "0.5")
    assert marks(checks) == {"WebSocket": "fail", "CORS": "note"}
    assert "it opens, but then nothing has come within 0.5 s" in checks["WebSocket"]["found"]


def test_websockets_of_another_server(ours, look):
    def hello(ws):
        ws.send("hello")
        for _ in ws:
            pass

    with serve_websockets(hello, "127.0.0.1", 0) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()

        def fault(passing):
            if passing.is_upgrade:
                passing.port = other.socket.getsockname()[1]

        with faulty_proxy(fault, ours.port) as url:
            checks = look(url)
        other.shutdown()
        thread.join()
    assert marks(checks) == {"WebSocket": "fail", "CORS": "note"}
    assert "it begins with hello, which is not Socket.IO" in checks["WebSocket"]["found"]


# Pages of other origins.


@pytest.mark.parametrize(
    ("options", "origin", "mark", "words"),
    [
        ("{}", APP, "fail", "no access-control-allow-origin"),
        (
            "{cors: {origin: 'https://other.example'}}",
            APP,
            "fail",
            "pages of https://other.example",
        ),
        ("{cors: {origin: 'https://app.example/'}}", APP, "fail", "no slash at its end"),
        ("{cors: {origin: '*'}}", f"{APP}/page", "ok", "without cookies"),
        (
            "{cors: {origin: 'https://app.example', credentials: true}}",
            APP,
            "ok",
            "with cookies",
        ),
    ],
)
def test_pages_are_let_in_by_the_answers(look, options, origin, mark, words):
    with reference(options) as program:
        checks = look(program.url, "--origin", origin)
    assert marks(checks) == ({} if mark == "ok" else {"CORS": mark})
    assert words in f"{checks['CORS']['found']} {checks['CORS']['change']}"


def test_pages_that_the_server_refuses(ours, look):
    checks = look(ours.url, "--origin", APP)
    assert marks(checks) == {"CORS": "fail", "origin": "fail"}
    assert "refuses pages of https://app.example: 403" in checks["CORS"]["found"]
    assert f"Server(cors=['{APP}'])" in checks["CORS"]["change"]


def test_pages_of_the_same_origin(ours, look):
    assert marks(look(ours.url, "--origin", ours.url)) == {}


def test_answers_that_are_allowed_twice(two, look):
    def fault(passing):
        passing.replacements.append((b"\r\n\r\n", b"\r\nAccess-Control-Allow-Origin: *\r\n\r\n"))

    with faulty_proxy(fault, *two) as url:
        checks = look(url, "--origin", APP)
    assert marks(checks) == {"CORS": "fail"}
    assert "is there twice: *, *" in checks["CORS"]["found"]


def test_preflights_that_are_not_passed_on(two, look):
    with faulty_proxy(
        lambda passing: answered("405 No") if passing.method == "OPTIONS" else None, *two
    ) as url:
        checks = look(url, "--origin", APP)
    assert marks(checks) == {"CORS": "warn"}
    assert "OPTIONS is answered 405" in checks["CORS"]["found"]


# The namespace.


@pytest.mark.parametrize(
    ("nsp", "arguments", "mark", "found", "change"),
    [
        ("/private", [], "fail", 'who are you? {"code": 7}', "no auth was given"),
        ("/private", ["--auth", '{"token": "x"}'], "fail", "who are you?", "auth was given"),
        ("/private", ["--auth", '{"token": "s"}'], "ok", "lets this client in", ""),
        ("/leave", [], "fail", "at once: io server disconnect", "calls disconnect"),
        ("/none", [], "fail", "/none is not there", "leave /none out of it"),
        ("/slow", ["--timeout", "0.3"], "fail", "does not answer within 0.3 s", "call next()"),
    ],
)
def test_namespaces_say_whom_they_let_in(ours, look, nsp, arguments, mark, found, change):
    checks = look(ours.url + nsp, *arguments)
    assert checks["namespace"]["mark"] == mark
    assert found in checks["namespace"]["found"]
    assert change in checks["namespace"]["change"]


# What is typed, and what proxies are told.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ftp://127.0.0.1"], "is no URL of a server"),
        (["http://127.0.0.1:1", "--origin", "null://"], "begins with none of"),
    ],
)
def test_what_is_typed_wrongly(arguments, words):
    result = run_roomcast("doctor", *arguments)
    assert result.returncode == 2
    assert words in result.stderr


@pytest.mark.parametrize("make", [upgrades, held_requests, sticky])
def test_advice_is_for_the_proxy_that_is_there(make):
    def advise(server: str) -> str:
        return make(server, *{upgrades: ["/ws/"], held_requests: [75]}.get(make, []))

    texts = {name: advise(name) for name in ("nginx/1.27", "HAProxy", "Apache/2.4", "gunicorn")}
    assert texts["nginx/1.27"].startswith("nginx:")
    assert texts["HAProxy"].startswith("HAProxy")
    assert texts["nginx/1.27"] in texts["gunicorn"]
    assert texts["HAProxy"] in texts["gunicorn"]
    if make is upgrades:
        assert "location /ws/ {" in texts["nginx/1.27"]
        assert "ProxyPass /ws/ http://backend/ws/ upgrade=websocket" in texts["Apache/2.4"]
    elif make is held_requests:
        assert "ProxyTimeout 75" in texts["Apache/2.4"]
