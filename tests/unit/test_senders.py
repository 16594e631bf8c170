"""An answer that is written whole must be what uvicorn's own ``send`` would have made of it, on the line and in uvicorn."""

import asyncio
import logging
import re
import tomllib
from pathlib import Path

import pytest
import uvicorn
from hypothesis import given, settings, strategies as st

from roomcast.engine import senders
from roomcast.engine.senders import SUPPORTED, may_send_anywhere, write_whole

DATE = (b"date", b"Thu, 26 Nov 2026 04:22:00 GMT")
SERVER = (b"server", b"uvicorn")
GET = b"GET /x HTTP/1.1\r\nhost: here\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\nhi"
PLAIN = (b"content-type", b"text/plain")

both = pytest.mark.parametrize("http", ["httptools", "h11"])


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self):
        super().__init__()
        self.written = []
        self.closed = False

    def write(self, data):
        self.written.append(bytes(data))

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def by_send(send, headers, body):
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return False


async def whole(send, headers, body):
    return write_whole(send, headers, body) or await by_send(send, headers, body)


class Served:
    """What comes of requests on one line of uvicorn, each answered the same way."""

    def __init__(self, http, answer, *, headers=(PLAIN,), body=b"hello", defaults=(DATE, SERVER)):
        self.outcomes = []
        self.cycles = []
        self.failed = None
        given = [*headers, (b"content-length", b"%d" % len(body))]

        async def app(scope, receive, send):
            self.cycles.append(send.__self__)
            while (await receive())["more_body"]:
                pass
            await self.before(send.__self__)
            try:
                self.outcomes.append(await answer(send, given, body))
            except Exception as error:  # noqa: BLE001  what uvicorn says to what it refuses
                self.failed = re.sub("'.*?'", "", str(error))
            else:
                self.after = (await receive())["type"]

        self.after = None
        config = uvicorn.Config(
            app, http=http, ws="none", log_level="critical", access_log=False, proxy_headers=False
        )
        config.load()
        self.state = uvicorn.server.ServerState()
        self.state.default_headers = list(defaults)
        self.transport = Transport()
        self.protocol = config.http_protocol_class(
            config=config, server_state=self.state, app_state={}, _loop=asyncio.get_running_loop()
        )
        self.protocol.connection_made(self.transport)

    async def before(self, cycle):
        """What happens before the answer."""

    async def read(self, *requests):
        for request in requests:
            if self.transport.closed:
                break
            self.protocol.data_received(request)
            for _ in range(8):
                await asyncio.sleep(0)
        return self

    def traces(self):
        """All that a client or uvicorn can tell."""
        cycle = self.cycles[-1]
        return {
            "bytes": b"".join(self.transport.written),
            "closed": self.transport.closed,
            "requests": self.state.total_requests,
            "started": cycle.response_started,
            "complete": cycle.response_complete,
            "continue": cycle.waiting_for_100_continue,
            "keeps": self.protocol.timeout_keep_alive_task is not None,
            "after": self.after,
            "failed": self.failed,
            "served": len(self.cycles),
            "running": len(self.state.tasks),
        }

    async def end(self):
        """Lose the line."""
        traces = self.traces()
        self.protocol.connection_lost(None)
        for _ in range(4):
            await asyncio.sleep(0)
        return traces


async def twins(http, *requests, served=Served, **answer):
    """Serve the same both ways; return the one that may write whole, after a look at what both leave."""
    mine = await served(http, whole, **answer).read(*requests)
    uvicorns = await served(http, by_send, **answer).read(*requests)
    assert await mine.end() == await uvicorns.end()
    return mine


@both
async def test_answers_are_the_same_and_written_at_once(http):
    mine = await twins(http, GET, POST, GET)
    assert mine.outcomes == [True] * 3
    assert len(mine.transport.written) == 3


@both
async def test_pipelined_requests_are_answered_in_their_order(http):
    mine = await twins(http, GET + POST + GET)
    assert mine.outcomes == [True] * 3


@both
async def test_request_that_comes_in_pieces(http):
    mine = await twins(http, POST[:30], POST[30:-1], POST[-1:], GET)
    assert mine.outcomes == [True] * 2


@both
@pytest.mark.parametrize(
    "request_",
    [
        GET.replace(b"GET", b"HEAD"),
        GET.replace(b"host: here", b"host: here\r\nconnection: close"),
        GET.replace(b"1.1", b"1.0"),
    ],
    ids=["head", "close", "1.0"],
)
async def test_what_is_special_of_a_request_is_left_to_send(http, request_):
    mine = await twins(http, request_)
    assert mine.outcomes == [False]


@both
async def test_line_that_a_client_wants_to_end_in_other_words(http):
    # Whether it ends is a matter of the version of uvicorn.
    await twins(http, GET.replace(b"host: here", b"host: here\r\nconnection: Close, x"), GET)


@both
async def test_client_that_waits_to_continue(http):
    head, body = POST[:-2], POST[-2:]
    mine = await twins(http, head.replace(b"host", b"expect: 100-continue\r\nhost"), body, GET)
    assert mine.outcomes == [True] * 2


@both
@pytest.mark.parametrize("what", ["full", "lost", "ends", "logs", "closing"])
async def test_state_of_a_line_that_is_left_to_send(http, what):
    class Special(Served):
        async def before(self, cycle):
            if what == "full":
                self.protocol.pause_writing()
                asyncio.get_running_loop().call_soon(self.protocol.resume_writing)
            elif what == "lost":
                cycle.disconnected = True
            elif what == "ends":
                self.protocol.shutdown()
            elif what == "closing":
                self.transport.closed = True
            else:
                cycle.access_log = True

    mine = await twins(http, GET, served=Special)
    assert mine.outcomes == [False]


@both
async def test_body_that_has_not_been_read_is_left_to_send(http):
    outcomes = []

    class Unread(Served):
        def __init__(self, http, answer):
            super().__init__(http, answer)

            async def app(scope, receive, send):
                self.cycles.append(send.__self__)
                outcomes.append(await answer(send, [PLAIN, (b"content-length", b"2")], b"no"))

            self.protocol.app = app

    await twins(http, POST[:-1], served=Unread)
    assert outcomes == [False] * 2


@both
async def test_second_answer_is_refused_by_send(http):
    class Twice(Served):
        async def before(self, cycle):
            await by_send(cycle.send, [PLAIN, (b"content-length", b"2")], b"no")

    mine = await twins(http, GET, served=Twice)
    assert "after response already completed" in mine.failed


names = st.sampled_from(
    [b"x-one", b"vary", b"x-two", b"X-Three", b"connection", b"host", b"a b", b""]
)
values = st.one_of(
    st.sampled_from(
        [b"Origin", b"close", b"keep-alive", b" padded ", b"", b"a\x00b", b"tab\there"]
    ),
    st.text(st.characters(max_codepoint=255), max_size=8).map(lambda text: text.encode("latin-1")),
)
some = st.lists(st.tuples(names, values), max_size=3).map(tuple)


@both
@settings(deadline=None, max_examples=300)
@given(headers=some, defaults=some, body=st.binary(max_size=40))
def test_any_headers_give_the_same_bytes_or_are_left_to_send(http, headers, defaults, body):
    asyncio.run(twins(http, GET, GET, headers=headers, defaults=defaults, body=body))


async def test_heads_that_are_kept_are_bounded(monkeypatch):
    monkeypatch.setattr(senders, "_heads", {})
    monkeypatch.setattr(senders, "MAX_HEADS", 4)
    for length in range(12):
        await twins("httptools", GET, body=b"x" * length)
        assert 1 <= len(senders._heads) <= 4
    await twins("httptools", GET, headers=[(b"x-long", b"x" * senders.MAX_HEAD)])
    assert max(len(head) for head in senders._heads.values()) <= senders.MAX_HEAD


@both
@pytest.mark.parametrize("what", ["version", "no version", "attribute", "send"])
async def test_uvicorn_that_is_not_known_is_left_alone(http, what, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "roomcast.engine")
    monkeypatch.setattr(senders, "_finishes", {})
    if what == "version":
        monkeypatch.setattr(uvicorn, "__version__", "0.55.0")
    elif what == "no version":
        monkeypatch.delattr(uvicorn, "__version__")
    elif what == "attribute":
        module = {"httptools": senders.HTTPTOOLS, "h11": senders.H11}[http]
        monkeypatch.setitem(senders.NEEDED, module, ("no_such.thing",))
    else:
        kind = (await Served(http, by_send).read(GET)).cycles[0].__class__
        original = kind.send

        async def traced(self, message):
            await original(self, message)

        monkeypatch.setattr(kind, "send", traced)
    mine = await twins(http, GET, GET)
    assert mine.outcomes == [False] * 2
    assert caplog.text.count("this uvicorn is not known") == 1


@both
async def test_send_that_somebody_puts_in_later_is_called(http, monkeypatch):
    mine = await twins(http, GET)
    kind, seen = type(mine.cycles[0]), []
    original = kind.send

    async def traced(self, message):
        seen.append(message["type"])
        await original(self, message)

    monkeypatch.setattr(kind, "send", traced)
    later = await Served(http, whole).read(GET)
    assert later.outcomes == [False]
    assert seen == ["http.response.start", "http.response.body"]
    await later.end()


def test_send_of_whom_nobody_knows_is_left_to_the_task():
    class Line:
        async def send(self, message):
            raise NotImplementedError

    async def send(message):
        raise NotImplementedError

    for known in (send, Line().send, Line.send):
        assert not may_send_anywhere(known)
        assert not write_whole(known, [PLAIN], b"")


def test_versions_that_are_known_are_those_that_are_asked_for():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    first, beyond = (f"{major}.{minor}" for major, minor in SUPPORTED)
    assert f"uvicorn>={first},<{beyond}" in project["optional-dependencies"]["server"]
