"""The tables of Engine.IO, row by row, as bytes: what is refused how, what it does to the session, and how sessions end.

Each row is tried on the reference as well, so that a row that we and it answer differently says so: ``target.is_reference``.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import pytest
import websockets

from support.raw import UPGRADE, Line, Response, Session, answered, closed, exchange, heard, request
from support.reference import missing_reference
from support.targets import REFERENCE, TARGETS, ReferenceServers, Target, roomcast_target

# One loop: the bytes are those of the HTTP parser, and both parsers are tried.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Start = Callable[..., Awaitable[Target]]

ORIGIN: Final = "https://page.example"
FOREIGN: Final = "origin not allowed"
"""What a page from elsewhere is told; the reference knows no such refusal."""

NOTE: Final = '42["note",{}]'
NOBODY: Final = "AAAAAAAAAAAAAAAAAAAA"
POLLING: Final = "EIO=4&transport=polling"
WEBSOCKET: Final = "EIO=4&transport=websocket"

needs_node = pytest.mark.skipif(missing_reference() is not None, reason=str(missing_reference()))
ours_only = pytest.mark.parametrize("kind", [kind for kind in TARGETS if kind != REFERENCE])


@pytest.fixture(scope="module")
def reference() -> Iterator[ReferenceServers]:
    with ReferenceServers() as servers:
        yield servers


@pytest.fixture(
    params=[pytest.param(kind, marks=needs_node if kind == REFERENCE else ()) for kind in TARGETS]
)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def start(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    """Start a server with options; it stops at the end of the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**options: Any) -> Target:
            if kind == REFERENCE:
                servers: ReferenceServers = request.getfixturevalue("reference")
                return await stack.enter_async_context(servers.target(**options))
            return await stack.enter_async_context(roomcast_target(kind, **options))

        yield start
        Line.close_all()


@pytest.fixture
async def target(start: Start) -> Target:
    return await start()


async def ask(
    target: Target, query: str, method: str = "GET", body: str | None = None, **headers: str
) -> Response:
    data = request(method, f"/socket.io/?{query}", body, headers)
    return answered(await exchange(target, data, to_head=method == "HEAD"))


def assert_refused(response: Response, code: int, message: str, *, status: int = 400) -> None:
    """Check an error of the protocol as HTTP answers it."""
    body = json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    assert (response.status, response.body) == (status, body)
    assert response.header("content-type") == "application/json"
    assert response.header("cache-control") is None
    assert response.header("content-length") in (str(len(body)), None)


def assert_status(response: Response, status: int) -> None:
    """Check an answer that is nothing but a status."""
    assert (response.status, response.body) == (status, b"")
    assert response.header("cache-control") is None


def assert_packets(response: Response, *packets: str) -> None:
    """Check a payload, and the headers that each has."""
    assert (response.status, response.packets) == (200, list(packets))
    assert response.header("content-type") == "text/plain; charset=UTF-8"
    assert response.header("cache-control") == "no-store"
    assert response.header("content-length") == str(len(response.body))


async def assert_gone(session: Session) -> None:
    """Check that the server no longer knows a session, whatever is asked."""
    for method in ("GET", "POST"):
        assert_refused(await session.send(method), 1, "Session ID unknown")


def assert_unharmed(target: Target, *sids: str) -> None:
    """Check that there is no session beyond the ones named."""
    if target.io is not None:
        assert set(target.io.engine.connections) == set(sids)


# 3: errors with a code


TRANSPORT_UNKNOWN = (0, "Transport unknown")
SESSION_UNKNOWN = (1, "Session ID unknown")
BAD_METHOD = (2, "Bad handshake method")
BAD_REQUEST = (3, "Bad request")
UNSUPPORTED = (5, "Unsupported protocol version")

REFUSED = [
    ("GET", "EIO=4&transport=other", TRANSPORT_UNKNOWN, {"transport": "other"}),
    ("GET", "EIO=4&transport=", TRANSPORT_UNKNOWN, {"transport": ""}),
    ("GET", "EIO=4&transport=constructor", TRANSPORT_UNKNOWN, {"transport": "constructor"}),
    ("GET", "EIO=4&transport=polling%00", TRANSPORT_UNKNOWN, {"transport": "polling\0"}),
    ("GET", "EIO=4&transport=polling%20", TRANSPORT_UNKNOWN, {"transport": "polling "}),
    ("GET", "EIO=4&transport=webtransport", TRANSPORT_UNKNOWN, {"transport": "webtransport"}),
    ("GET", f"{POLLING}&transport=other", TRANSPORT_UNKNOWN, {"transport": "other"}),
    ("GET", "EIO=4", TRANSPORT_UNKNOWN, None),
    ("GET", "", TRANSPORT_UNKNOWN, None),
    ("GET", f"{POLLING}&sid={NOBODY}", SESSION_UNKNOWN, {"sid": NOBODY}),
    ("GET", f"{POLLING}&sid=__proto__", SESSION_UNKNOWN, {"sid": "__proto__"}),
    ("GET", f"{POLLING}&sid=%0d%0aset-cookie:x", SESSION_UNKNOWN, {"sid": "\r\nset-cookie:x"}),
    ("GET", f"{WEBSOCKET}&sid={NOBODY}", SESSION_UNKNOWN, {"sid": NOBODY}),
    ("POST", f"{POLLING}&sid={NOBODY}", SESSION_UNKNOWN, {"sid": NOBODY}),
    ("PUT", f"{POLLING}&sid={NOBODY}", SESSION_UNKNOWN, {"sid": NOBODY}),
    ("POST", POLLING, BAD_METHOD, {"method": "POST"}),
    ("PUT", POLLING, BAD_METHOD, {"method": "PUT"}),
    ("DELETE", POLLING, BAD_METHOD, {"method": "DELETE"}),
    ("OPTIONS", POLLING, BAD_METHOD, {"method": "OPTIONS"}),
    ("POST", "EIO=3&transport=polling", BAD_METHOD, {"method": "POST"}),
    ("POST", WEBSOCKET, BAD_METHOD, {"method": "POST"}),
    ("GET", WEBSOCKET, BAD_REQUEST, {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
    ("GET", "EIO=3&transport=websocket", BAD_REQUEST, {"name": "TRANSPORT_HANDSHAKE_ERROR"}),
    ("GET", "EIO=3&transport=polling", UNSUPPORTED, {"protocol"}),
    ("GET", "EIO=5&transport=polling", UNSUPPORTED, {"protocol"}),
    ("GET", "EIO=0&transport=polling", UNSUPPORTED, {"protocol"}),
    ("GET", "EIO=4%20&transport=polling", UNSUPPORTED, {"protocol"}),
    ("GET", "EIO=&transport=polling", UNSUPPORTED, {"protocol"}),
    ("GET", "transport=polling", UNSUPPORTED, {"protocol"}),
    ("GET", f"{POLLING}&EIO=3", UNSUPPORTED, {"protocol"}),
]


@pytest.mark.parametrize(("method", "query", "error", "context"), REFUSED)
async def test_refused_request_gets_its_code(target, method, query, error, context):
    response = await ask(target, query, method)
    assert_refused(response, *error)
    [[event, code, message, told]] = target.log
    assert (event, code, message) == ("connection_error", *error)
    if isinstance(context, set):  # its value is a number there, and what the client sent here
        assert set(told) == context
    elif context is not None:
        assert told == context
    assert_unharmed(target)


async def test_refused_head_request_gets_no_body(target):
    response = await ask(target, POLLING, "HEAD")
    assert (response.status, response.body) == (400, b"")
    assert target.log == [["connection_error", *BAD_METHOD, {"method": "HEAD"}]]


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]])
async def test_disabled_transport_is_unknown(start, transports):
    target = await start(transports=transports)
    (other,) = {"polling", "websocket"} - set(transports)
    assert_refused(await ask(target, f"EIO=4&transport={other}"), *TRANSPORT_UNKNOWN)


async def test_unknown_session_is_refused_before_its_body_has_come(target):
    line = await Line.open(target.port)
    headers = {"content-type": "text/plain", "content-length": "900000"}
    await line.send(request("POST", f"/socket.io/?{POLLING}&sid={NOBODY}", None, headers))
    assert_refused(answered(await line.response()), *SESSION_UNKNOWN)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_session_is_bound_to_its_transport(target, method):
    session = await Session.open(target)
    ws = await session.upgrade()
    await ws.send('42["echo",1]')  # the answer shows that it has moved
    assert await heard(ws) == '42["echo",1]'
    assert_refused(await session.send(method), *BAD_REQUEST)
    context = {
        "name": "TRANSPORT_MISMATCH",
        "transport": "polling",
        "previousTransport": "websocket",
    }
    assert target.log == [["connection_error", *BAD_REQUEST, context]]
    await ws.send('42["echo",2]')
    assert await heard(ws) == '42["echo",2]'
    await ws.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_plain_request_of_a_session_cannot_name_another_transport(target, method):
    session = await Session.open(target)
    assert_refused(await session.send(method, transport="websocket"), *BAD_REQUEST)
    [[_, _, _, context]] = target.log
    assert context == {
        "name": "TRANSPORT_MISMATCH",
        "transport": "websocket",
        "previousTransport": "polling",
    }
    assert await session.alive()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_session_is_bound_to_its_protocol(target, method):
    session = await Session.open(target)
    assert_refused(await session.send(method, EIO="3"), *BAD_REQUEST)
    [[_, _, _, context]] = target.log
    assert context["name"] == "PROTOCOL_MISMATCH"
    assert set(context) == {"name", "protocol", "previousProtocol"}
    assert await session.alive()


@ours_only
async def test_jsonp_is_not_offered(target):
    """Differs from the reference, which answers with a script."""
    assert_refused(await ask(target, f"{POLLING}&j=0"), *BAD_REQUEST)
    session = await Session.open(target)
    assert_refused(await session.send("GET", j="0"), *BAD_REQUEST)
    assert await session.alive()


async def test_failing_middleware_is_a_bad_request(start):
    target = await start(broken=True)
    assert_refused(await ask(target, POLLING), *BAD_REQUEST)
    assert target.log == [["connection_error", *BAD_REQUEST, {"name": "MIDDLEWARE_FAILURE"}]]
    refused = await exchange(target, request("GET", f"/socket.io/?{WEBSOCKET}", None, UPGRADE))
    assert answered(refused).status == 400
    assert_unharmed(target)


async def test_failing_id_is_a_bad_request(start):
    target = await start(broken_id=True)
    assert_refused(await ask(target, POLLING), *BAD_REQUEST)
    [[_, _, _, context]] = target.log
    assert context["name"] == "ID_GENERATION_ERROR"
    assert_unharmed(target)


@pytest.mark.parametrize(("refuse", "message"), [(True, "Forbidden"), ("not today", "not today")])
async def test_refusal_by_the_application_is_forbidden(start, refuse, message):
    target = await start(refuse=refuse)
    assert_refused(await ask(target, POLLING), 4, message, status=403)
    assert_forbidden(target, message)
    assert_unharmed(target)


def assert_forbidden(target: Target, message: str) -> None:
    [[event, code, standard, context]] = target.log
    assert (event, code, standard) == ("connection_error", 4, "Forbidden")
    # The reference leaves it out where the application gave none.
    assert context == {"message": message} or (target.is_reference and message == "Forbidden")


@ours_only
async def test_foreign_origin_is_forbidden(target):
    """Differs from the reference, which answers anybody and leaves the rest to the browser."""
    session = await Session.open(target)
    for response in (
        await ask(target, POLLING, origin=ORIGIN),
        await ask(target, POLLING, origin="null"),
        await session.post(NOTE, {"origin": ORIGIN}),
        await session.get(origin=ORIGIN),
    ):
        assert_refused(response, 4, FOREIGN, status=403)
        assert response.header("access-control-allow-origin") is None
    assert await session.alive()
    assert_unharmed(target, session.sid)
    assert ["note", {}] not in target.log


async def test_own_origin_is_welcome(target):
    response = await ask(target, POLLING, origin="http://localhost")
    assert response.packets[0].startswith("0{")


@ours_only  # a function cannot be given to the reference
async def test_application_is_asked_once_a_session(start):
    asked: list[str] = []

    def allow_request(request: Any) -> bool:
        asked.append(request.method)
        return True

    session = await Session.open(await start(allow_request=allow_request))
    assert await session.alive()
    ws = await session.upgrade()
    await ws.close()
    assert asked == ["GET"]


# 3: the same errors for a WebSocket


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("EIO=4&transport=other", TRANSPORT_UNKNOWN),
        ("", TRANSPORT_UNKNOWN),
        (f"{WEBSOCKET}&sid={NOBODY}", SESSION_UNKNOWN),
        (f"{WEBSOCKET}&sid=__proto__", SESSION_UNKNOWN),
    ],
)
async def test_websocket_is_refused_with_plain_text(target, query, error):
    await assert_websocket_refused(target, query, error[1])
    [[event, code, message, _]] = target.log
    assert (event, code, message) == ("connection_error", *error)


async def assert_websocket_refused(target: Target, query: str, message: str, **more: str) -> None:
    line = await Line.open(target.port)
    await line.send(request("GET", f"/socket.io/?{query}", None, {**UPGRADE, **more}))
    response = answered(await line.response())
    assert (response.status, response.text) == (400, message)
    assert response.header("content-type") == "text/html"
    assert "close" in response.headers["connection"]
    assert await line.rest() == b""
    assert_unharmed(target)


@pytest.mark.parametrize(("refuse", "message"), [(True, "Forbidden"), ("not today", "not today")])
async def test_websocket_that_the_application_refuses(start, refuse, message):
    target = await start(refuse=refuse)
    await assert_websocket_refused(target, WEBSOCKET, message)
    assert_forbidden(target, message)


@ours_only
async def test_websocket_of_a_foreign_page_is_refused(target):
    await assert_websocket_refused(target, WEBSOCKET, FOREIGN, origin=ORIGIN)


@pytest.mark.parametrize("query", ["EIO=3&transport=websocket", "transport=websocket"])
async def test_websocket_of_another_protocol_is_refused(target, query):
    """Differs from the reference, which sends the 101 first, and the refusal as if it were a frame."""
    if not target.is_reference:
        await assert_websocket_refused(target, query, "Unsupported protocol version")
        return
    line = await Line.open(target.port)
    await line.send(request("GET", f"/socket.io/?{query}", None, UPGRADE))
    assert answered(await line.response()).status == 101
    await line.until(b"Unsupported protocol version")


async def test_websocket_that_asks_for_polling_is_refused(target):
    """Differs from the reference, which sends the 101 and an empty close."""
    line = await Line.open(target.port)
    await line.send(request("GET", f"/socket.io/?{POLLING}", None, UPGRADE))
    response = answered(await line.response())
    if target.is_reference:
        assert response.status == 101
        await line.until(b"\x88\x00")
    else:
        assert (response.status, response.text) == (400, "Bad request")
    assert_unharmed(target)


# 3: answers that are a status only


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_leave_a_session_alone(target, method):
    session = await Session.open(target)
    assert_status(await session.send(method), 500)
    assert await session.alive()


async def test_two_gets_end_a_session(target):
    session = await Session.open(target)
    first = await session.held_get()
    assert_status(await session.get(), 400)
    assert_packets(answered(await first.response()), "1")
    await target.logged("disconnect", "transport error")
    await assert_gone(session)


async def begin_post(session: Session, body: bytes, announced: int) -> Line:
    """Begin a POST of which only a part comes."""
    headers = {"content-type": "text/plain", "content-length": str(announced)}
    line = await Line.open(session.target.port)
    await line.send(request("POST", session.url, None, headers) + body)
    await asyncio.sleep(0.05)
    return line


async def test_two_posts_end_a_session(target):
    session = await Session.open(target)
    poll = await session.held_get()
    first = await begin_post(session, NOTE.encode(), 100)
    assert_status(await session.post(NOTE), 400)
    # The reference cuts the line. ASGI cannot, so it is refused too.
    response = await first.response()
    if target.is_reference:
        assert response is None
    else:
        assert_status(answered(response), 400)
    assert_packets(answered(await poll.response()), "1")
    await target.logged("disconnect", "transport error")
    await assert_gone(session)
    assert ["note", {}] not in target.log


async def test_octet_stream_ends_a_session(target):
    session = await Session.open(target)
    poll = await session.held_get()
    assert_status(await session.post(NOTE, {"content-type": "application/octet-stream"}), 400)
    assert_packets(answered(await poll.response()), "1")
    await target.logged("disconnect", "transport error")
    await assert_gone(session)
    assert ["note", {}] not in target.log


LIMIT = 1000


def note_of(size: int) -> bytes:
    frame = b'42["note","%s"]'
    return frame % (b"x" * (size - len(frame) + 2))


async def test_body_of_exactly_the_limit_is_taken(start):
    target = await start(max_http_buffer_size=LIMIT)
    session = await Session.open(target)
    await session.expect_post(note_of(LIMIT))
    assert target.log[0][0] == "note"


async def test_body_beyond_the_limit_is_refused_and_the_session_stays(start):
    target = await start(max_http_buffer_size=LIMIT)
    session = await Session.open(target)
    poll = await session.held_get()
    assert_status(await session.post(note_of(LIMIT + 1)), 413)
    assert await session.alive()
    assert target.log == [["note", "alive"]]
    await session.expect_post('42["echo",1]')
    assert_packets(answered(await poll.response()), '42["echo",1]')


@ours_only
async def test_body_that_is_announced_too_large_is_refused_unread(start):
    """The reference waits for the bytes."""
    target = await start(max_http_buffer_size=LIMIT)
    session = await Session.open(target)
    for length in (LIMIT + 1, 10**12):
        line = await begin_post(session, b"", length)
        assert_status(answered(await line.response()), 413)
    assert await session.alive()


async def test_chunked_body_is_refused_as_soon_as_it_passes_the_limit(start):
    target = await start(max_http_buffer_size=LIMIT)
    session = await Session.open(target)
    line = await Line.open(target.port)
    headers = {"content-type": "text/plain", "transfer-encoding": "chunked"}
    await line.send(request("POST", session.url, None, headers))
    for _ in range(3):  # and no end of it
        await line.send(b"190\r\n" + b"x" * 400 + b"\r\n")
    assert_status(answered(await line.response()), 413)
    assert await session.alive()


async def test_chunked_body_is_taken(target):
    session = await Session.open(target)
    line = await Line.open(target.port)
    headers = {"content-type": "text/plain", "transfer-encoding": "chunked"}
    await line.send(request("POST", session.url, None, headers))
    for byte in NOTE.encode():
        await line.send(b"1\r\n%c\r\n" % byte)
    assert target.log == []
    await line.send(b"0\r\n\r\n")
    assert answered(await line.response()).body == b"ok"
    assert target.log == [["note", {}]]


async def test_body_longer_than_it_said_is_cut(target):
    """What follows is the next request, and no good one."""
    session = await Session.open(target)
    line = await Line.open(target.port)
    await line.send(request("POST", session.url, NOTE))
    assert answered(await line.response()).body == b"ok"
    await line.send(b"\x1e42garbage\r\n\r\n")
    await line.rest()
    assert target.log == [["note", {}]]
    assert await session.alive()


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_post_whose_line_ends_too_early_ends_the_session(target, end):
    session = await Session.open(target)
    poll = await session.held_get()
    line = await begin_post(session, NOTE.encode(), 100)
    getattr(line, end)()
    assert_packets(answered(await poll.response()), "1")
    await target.logged("disconnect", "transport error")
    assert ["note", {}] not in target.log
    await assert_gone(session)


# 4.2: POST


async def test_post_is_answered_after_its_packets(target):
    session = await Session.open(target)
    response = await session.post(NOTE)
    assert target.log == [["note", {}]]
    assert (response.status, response.body) == (200, b"ok")
    assert response.header("content-type") == "text/html"
    assert response.header("content-length") == "2"
    assert response.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "application/octet-stream; x=y",
        "text/plain",
        "application/x-www-form-urlencoded",
    ],
)
async def test_content_type_does_not_matter(target, content_type):
    session = await Session.open(target)
    response = await session.post(NOTE, {"content-type": content_type})
    assert (response.status, response.body) == (200, b"ok")
    assert target.log == [["note", {}]]


@pytest.mark.parametrize(
    ("body", "heard"),
    [
        ("", 0),
        ("x", 0),
        ("7", 0),
        ("\x1e", 0),
        (f"{NOTE}\x1e", 1),
        (f"{NOTE}\x1e\x1e{NOTE}", 1),
        (f"{NOTE}\x1e{NOTE}\x1ex\x1e{NOTE}", 2),
    ],
)
async def test_invalid_packet_cuts_the_payload_and_ends_the_session(target, body, heard):
    session = await Session.open(target)
    poll = await session.held_get()
    await session.expect_post(body)
    assert_packets(answered(await poll.response()), "1")
    await target.logged("disconnect", "parse error")
    if (
        target.is_reference
    ):  # its sockets hear a packet one tick later, and nothing once they are closed
        heard = 0
    assert target.log == [["note", {}]] * heard + [["disconnect", "parse error"]]
    await assert_gone(session)


async def test_ping_of_the_client_ends_the_session(target):
    session = await Session.open(target)
    poll = await session.held_get()
    await session.expect_post("2")
    assert_packets(answered(await poll.response()), "1")
    await target.logged("disconnect", "transport error")
    await assert_gone(session)


@pytest.mark.parametrize("packet", ["0", "3", "3probe", "5", "6", '0{"sid":"x"}'])
async def test_packets_without_a_meaning_are_ignored(target, packet):
    session = await Session.open(target)
    await session.expect_post(f"{packet}\x1e{NOTE}")
    assert target.log == [["note", {}]]
    assert await session.alive()


async def test_bad_base64_is_read_leniently(target):
    session = await Session.open(target)
    packet = '451-["echo",{"_placeholder":true,"num":0}]'
    for base64, normal in [
        ("AQIDBA==", "AQIDBA=="),
        ("AQIDBA", "AQIDBA=="),
        ("@@@@", ""),
        ("", ""),
    ]:
        await session.expect_post(f"{packet}\x1eb{base64}")
        assert await session.packets() == [packet, f"b{normal}"]


async def test_any_number_of_packets_in_a_payload_is_taken(target):
    session = await Session.open(target)
    await session.expect_post("\x1e".join(f'42["note",{number}]' for number in range(5000)))
    assert target.log == [["note", number] for number in range(5000)]


# 4.3: GET


async def test_handshake_is_a_payload(target):
    response = await ask(target, POLLING)
    (packet,) = response.packets
    assert_packets(response, packet)
    opened = json.loads(packet[1:])
    assert list(opened) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    sid = opened.pop("sid")
    assert len(sid) == 20
    assert packet[1:] == json.dumps(
        {
            "sid": sid,
            "upgrades": ["websocket"],
            "pingInterval": 25000,
            "pingTimeout": 20000,
            "maxPayload": 1000000,
        },
        separators=(",", ":"),
    )


async def test_empty_session_id_is_a_handshake(target):
    assert (await ask(target, f"{POLLING}&sid=")).packets[0].startswith("0{")


@pytest.mark.parametrize(
    ("options", "upgrades"),
    [({"allow_upgrades": False}, []), ({"transports": ["polling"]}, []), ({}, ["websocket"])],
)
async def test_handshake_names_the_upgrades_that_are_allowed(start, options, upgrades):
    session = await Session.open(await start(**options))
    assert session.handshake["upgrades"] == upgrades


async def test_held_get_is_answered_with_the_next_packets(target):
    session = await Session.open(target)
    poll = await session.held_get()
    await session.expect_post('42["echo","é"]')
    assert_packets(answered(await poll.response()), '42["echo","é"]')
    await session.expect_post('42["echo",1]\x1e42["echo",2]')
    assert_packets(await session.get(), '42["echo",1]', '42["echo",2]')


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_get_whose_line_ends_ends_the_session(target, end):
    session = await Session.open(target)
    poll = await session.held_get()
    getattr(poll, end)()
    await target.logged("disconnect", "transport error")
    await assert_gone(session)


# 4.4: closing


async def test_close_packet_ends_the_session(target):
    session = await Session.open(target)
    poll = await session.held_get()
    await session.expect_post(f"1\x1e{NOTE}")
    assert_packets(answered(await poll.response()), "6")
    await target.logged("disconnect", "transport close")
    assert target.log == [["disconnect", "transport close"]]
    await assert_gone(session)


async def test_server_close_answers_the_held_get(target):
    session = await Session.open(target)
    poll = await session.held_get()
    await session.expect_post('42["close"]')
    assert_packets(answered(await poll.response()), "1")
    await target.logged("disconnect", "forced close")
    await assert_gone(session)


async def test_server_close_waits_for_the_next_get(target):
    session = await Session.open(target)
    await session.expect_post('42["close"]')
    await session.expect_post(NOTE)  # not known to be closed yet, and ignored
    assert_packets(await session.get(), "6", "1")
    await target.logged("disconnect", "forced close")
    assert ["note", {}] not in target.log
    await assert_gone(session)


async def test_server_close_lets_the_next_get_fetch_what_waits(target):
    session = await Session.open(target)
    await session.expect_post('42["last words",1]')
    assert_packets(await session.get(), '42["last words",1]')
    assert_packets(await session.get(), "6", "1")
    await target.logged("disconnect", "forced close")
    await assert_gone(session)


async def test_server_close_with_data_tells_the_held_get_everything(target):
    """How many answers it takes is not said: an HTTP server at its end may take no further request."""
    session = await Session.open(target)
    poll = await session.held_get()
    await session.expect_post('42["last words",1]')
    packets = answered(await poll.response()).packets
    if packets[-1] != "1":
        packets += await session.packets()
    assert packets in (['42["last words",1]', "1"], ['42["last words",1]', "6", "1"])
    await target.logged("disconnect", "forced close")
    await assert_gone(session)


async def test_ping_timeout_answers_the_held_get(start):
    target = await start(ping_interval=0.1, ping_timeout=0.1)
    session = await Session.open(target)
    assert_packets(await session.get(), "2")
    poll = await session.held_get()
    assert_packets(answered(await poll.response()), "1")
    await target.logged("disconnect", "ping timeout")
    await assert_gone(session)


async def test_ping_timeout_runs_without_a_get(start):
    target = await start(ping_interval=0.1, ping_timeout=0.1)
    session = await Session.open(target)
    await target.logged("disconnect", "ping timeout")
    await assert_gone(session)


# 7: upgrade


async def test_upgrade_answers_the_held_get_and_moves(target):
    session = await Session.open(target)
    poll = await session.held_get()
    ws = await session.websocket()
    await ws.send("2probe")
    assert await heard(ws) == "3probe"
    assert_packets(answered(await poll.response()), "6")
    again = await session.held_get()  # and every GET that comes before the move
    assert_packets(answered(await again.response()), "6")
    await session.expect_post(NOTE)  # polling still works
    await ws.send("5")
    await ws.send('42["echo",1]')
    assert await heard(ws) == '42["echo",1]'
    assert target.log == [["note", {}]]
    await ws.close()
    await target.logged("disconnect", "transport close")
    await assert_gone(session)


async def test_upgrade_takes_what_waits_along(target):
    session = await Session.open(target)
    ws = await session.websocket()
    await ws.send("2probe")
    assert await heard(ws) == "3probe"
    await session.expect_post('42["echo",1]\x1e42["echo",2]')
    await ws.send("5")
    assert [await heard(ws), await heard(ws)] == ['42["echo",1]', '42["echo",2]']
    await ws.close()


async def test_data_goes_to_a_held_get_until_the_move(target):
    session = await Session.open(target)
    ws = await session.websocket()
    await ws.send("2probe")
    assert await heard(ws) == "3probe"
    poll = await Line.open(target.port)
    await poll.send(request("GET", session.url))
    await session.expect_post('42["echo",1]')
    packets = answered(await poll.response()).packets
    # The noop of the upgrade may have been first.
    assert packets in (['42["echo",1]'], ["6"])
    await ws.send("5")
    if packets == ["6"]:
        assert await heard(ws) == '42["echo",1]'
    await ws.send('42["echo",2]')
    assert await heard(ws) == '42["echo",2]'
    await ws.close()


async def test_upgrade_without_a_probe_is_taken(target):
    session = await Session.open(target)
    poll = await session.held_get()
    ws = await session.websocket()
    await ws.send("5")
    assert_packets(answered(await poll.response()), "1")  # not a noop: polling is over
    await ws.send('42["echo",1]')
    assert await heard(ws) == '42["echo",1]'
    await ws.close()


@pytest.mark.parametrize("first", ["2", "2prob", "3probe", "4hello", "x", "6", b"\x04"])
async def test_wrong_first_packet_ends_the_probe_only(target, first):
    session = await Session.open(target)
    ws = await session.websocket()
    await ws.send(first)
    await assert_closed(target, ws)
    assert await session.alive()
    ws = await session.upgrade()
    await ws.send('42["echo",1]')
    assert await heard(ws) == '42["echo",1]'
    await ws.close()


async def assert_closed(target: Target, ws: websockets.ClientConnection) -> None:
    """Check the close frame; ASGI cannot send an empty one."""
    assert await closed(ws) == (1005 if target.is_reference else 1000)


@pytest.mark.parametrize("probed", [False, True])
async def test_upgrade_that_does_not_come_to_its_end_is_given_up(start, probed):
    target = await start(upgrade_timeout=0.2)
    session = await Session.open(target)
    ws = await session.websocket()
    if probed:
        await ws.send("2probe")
        assert await heard(ws) == "3probe"
    await assert_closed(target, ws)
    assert await session.alive()
    assert not [entry for entry in target.log if entry[0] == "disconnect"]


@pytest.mark.parametrize("probed", [False, True])
async def test_probe_whose_line_ends_leaves_the_session(target, probed):
    session = await Session.open(target)
    ws = await session.websocket()
    if probed:
        await ws.send("2probe")
        assert await heard(ws) == "3probe"
    ws.transport.abort()
    assert await session.alive()
    await (await session.upgrade()).close()


async def test_second_upgrade_at_a_time_is_closed(target):
    session = await Session.open(target)
    ws = await session.websocket()
    second = await session.websocket()
    await assert_closed(target, second)
    await ws.send("2probe")
    assert await heard(ws) == "3probe"
    await ws.send("5")
    await ws.send('42["echo",1]')
    assert await heard(ws) == '42["echo",1]'
    third = await session.websocket()
    await assert_closed(target, third)
    await ws.send('42["echo",2]')
    assert await heard(ws) == '42["echo",2]'
    await ws.close()


async def test_server_close_while_upgrading(target):
    session = await Session.open(target)
    ws = await session.websocket()
    await ws.send("2probe")
    assert await heard(ws) == "3probe"
    await session.expect_post('42["close"]')
    await ws.send("5")
    await assert_closed(target, ws)
    await target.logged("disconnect", "forced close")
    await assert_gone(session)


@pytest.mark.parametrize("packet", ["0", "1", "5", "6", "3"])
async def test_packets_without_a_meaning_on_a_websocket_are_ignored(target, packet):
    session = await Session.open(target)
    ws = await session.upgrade()
    await ws.send(packet)
    await ws.send('42["echo",1]')
    assert await heard(ws) == '42["echo",1]'
    await ws.close()


# 8: CORS, cookies, headers


PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-one,x-two",
}


async def test_preflight_is_answered(start):
    target = await start(cors={"origins": [ORIGIN], "credentials": True, "max_age": 600})
    response = await ask(target, POLLING, "OPTIONS", **PREFLIGHT)
    assert (response.status, response.body) == (204, b"")
    assert response.header("content-length") == "0"
    assert response.header("access-control-allow-origin") == ORIGIN
    assert response.header("access-control-allow-credentials") == "true"
    assert response.header("access-control-allow-methods") == "GET,HEAD,PUT,PATCH,POST,DELETE"
    assert response.header("access-control-allow-headers") == "x-one,x-two"
    assert response.header("access-control-max-age") == "600"
    assert response.header("vary") == "Origin, Access-Control-Request-Headers"
    assert target.log == []


async def test_preflight_without_cors_is_a_bad_method(target):
    response = await ask(target, POLLING, "OPTIONS", **{**PREFLIGHT, "origin": "http://localhost"})
    assert_refused(response, *BAD_METHOD)
    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_every_origin_is_a_star_without_vary(start):
    target = await start(cors={"origins": "*"})
    response = await ask(target, POLLING, origin=ORIGIN)
    assert response.packets[0].startswith("0{")
    assert response.header("access-control-allow-origin") == "*"
    assert response.header("vary") is None


async def test_origin_of_a_list_is_sent_back(start):
    target = await start(cors={"origins": ["https://other.example", ORIGIN]})
    response = await ask(target, POLLING, origin=ORIGIN)
    assert response.header("access-control-allow-origin") == ORIGIN
    assert response.header("vary") == "Origin"
    assert response.header("access-control-allow-credentials") is None


async def test_origin_beside_the_list_gets_no_header(start):
    target = await start(cors={"origins": ["https://other.example"]})
    response = await ask(target, POLLING, origin=ORIGIN)
    assert response.header("access-control-allow-origin") is None
    assert response.header("vary") == "Origin"
    if not target.is_reference:  # which leaves it to the browser
        assert_refused(response, 4, FOREIGN, status=403)


async def test_errors_can_be_read_by_the_pages_that_are_allowed(start):
    target = await start(cors={"origins": [ORIGIN]})
    response = await ask(target, f"{POLLING}&sid={NOBODY}", origin=ORIGIN)
    assert_refused(response, *SESSION_UNKNOWN)
    assert response.header("access-control-allow-origin") == ORIGIN
    response = await ask(target, WEBSOCKET, **UPGRADE, origin=ORIGIN)
    assert (response.status, response.header("access-control-allow-origin")) == (101, ORIGIN)


@pytest.mark.parametrize(
    ("cookie", "attributes"),
    [
        (True, "io={}; Path=/; HttpOnly; SameSite=Lax"),
        (
            {
                "name": "sid",
                "path": "/x",
                "http_only": False,
                "same_site": "strict",
                "max_age": 86400,
            },
            "sid={}; Max-Age=86400; Path=/x; SameSite=Strict",
        ),
    ],
)
async def test_cookie_is_set_by_the_polling_handshake_only(start, cookie, attributes):
    target = await start(cookie=cookie)
    handshake = await ask(target, POLLING)
    sid = json.loads(handshake.packets[0][1:])["sid"]
    assert handshake.header("set-cookie") == attributes.format(sid)
    session = await Session.open(target)
    assert (await session.post(NOTE)).header("set-cookie") is None
    response = await ask(target, WEBSOCKET, **UPGRADE)
    assert (response.status, response.header("set-cookie")) == (101, None)


async def test_headers_of_the_application(start):
    target = await start(headers={"value": "v"})

    def added(response: Response) -> tuple[str | None, str | None]:
        return response.header("x-initial"), response.header("x-each")

    assert added(await ask(target, POLLING)) == ("v", "v")
    session = await Session.open(target)
    assert added(await session.post('42["echo",1]')) == (None, "v")
    assert added(await session.get()) == (None, "v")
    assert added(await session.send("GET", EIO="3")) == (None, None)
    assert added(await ask(target, WEBSOCKET, **UPGRADE)) == ("v", "v")
    upgrade = request("GET", session.url_of(transport="websocket"), None, UPGRADE)
    assert added(answered(await exchange(target, upgrade))) == (None, "v")
