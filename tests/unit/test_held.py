"""A GET is answered, refused or lost the same way whether its task or somebody else sends the answer."""

import asyncio
import contextvars

import pytest
import uvloop

from roomcast.engine.held import HeldPoll, PlainPoll


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main())

    return run


LARGE = b"large", True


class Polling:
    def __init__(self):
        self.log = []
        self.poll = None

    def on_poll(self, poll):
        self.poll = poll

    def on_poll_gone(self, poll):
        assert poll is self.poll
        self.log.append("gone")


class Line:
    """ASGI's two functions, for one request that has no body."""

    def __init__(self, *, stalls=False, fails=False):
        self.sent = []
        self.ended = asyncio.Event()
        self.readable = asyncio.Event()
        self._asked = False
        self._stalls = stalls
        self._fails = fails

    async def receive(self):
        if not self._asked:
            self._asked = True
            return {"type": "http.request"}
        await self.ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, payload):
        if self._stalls:
            await self.readable.wait()
        if self._fails:
            raise RuntimeError("no header")
        self.sent.append(payload)
        self.ended.set()


async def begin(line, kind):
    polling = Polling()
    if kind is HeldPoll:
        poll = HeldPoll(asyncio.get_running_loop())
    else:
        poll = plain(lambda payload: payload != LARGE and line.send(payload))
    task = asyncio.ensure_future(poll.hold(polling, line.receive))
    await asyncio.sleep(0.001)
    assert not task.done()
    return polling, task


def plain(answering):
    return PlainPoll(asyncio.get_running_loop(), answering)


both = pytest.mark.parametrize("kind", [HeldPoll, PlainPoll])


def test_answer_is_sent_by_the_task_or_in_place(run):
    async def main():
        line = Line()
        polling, task = await begin(line, HeldPoll)
        polling.poll.answer(b"1")
        assert await task == (b"1", True)
        polling, task = await begin(line, PlainPoll)
        polling.poll.answer(b"1")
        assert line.sent == [(b"1", True)]
        assert await task is None
        assert polling.log == []

    run(main)


@both
def test_answer_that_needs_more_is_left_to_the_task(run, kind):
    async def main():
        polling, task = await begin(Line(), kind)
        polling.poll.answer(b"large")
        assert await task == LARGE
        assert polling.log == []

    run(main)


@both
def test_refusal(run, kind):
    async def main():
        polling, task = await begin(Line(), kind)
        polling.poll.refuse()
        assert await task == 400
        assert polling.log == []

    run(main)


@both
@pytest.mark.parametrize("how", ["answer", "refuse"])
def test_answer_and_refusal_at_once(run, kind, how):
    async def main():
        line = Line()

        class Ready(Polling):
            def on_poll(self, poll):
                poll.answer(b"large") if how == "answer" else poll.refuse()

        made = HeldPoll(asyncio.get_running_loop()) if kind is HeldPoll else plain(lambda _: False)
        assert await made.hold(Ready(), line.receive) == (LARGE if how == "answer" else 400)
        sent = plain(line.send)
        if how == "answer":
            assert await sent.hold(Ready(), line.receive) is None
            assert line.sent == [LARGE]

    run(main)


@both
def test_line_that_is_lost(run, kind):
    async def main():
        line = Line()
        polling, task = await begin(line, kind)
        line.ended.set()
        assert await task == 400
        assert polling.log == ["gone"]

    run(main)


@both
def test_receive_that_fails_is_a_lost_line(run, kind):
    async def main():
        polling = Polling()

        async def receive():
            raise OSError

        poll = HeldPoll(asyncio.get_running_loop()) if kind is HeldPoll else plain(None)
        assert await poll.hold(polling, receive) == 400
        assert polling.log == ["gone"]

    run(main)


@both
def test_cancellation_goes_on_and_is_a_lost_line(run, kind):
    async def main():
        polling, task = await begin(Line(), kind)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert polling.log == ["gone"]

    run(main)


@both
@pytest.mark.parametrize("first", ["answer", "cancel"])
def test_cancellation_at_the_moment_of_an_answer_goes_on(run, kind, first):
    async def main():
        polling, task = await begin(Line(), kind)
        for what in ("answer", "cancel") if first == "answer" else ("cancel", "answer"):
            polling.poll.answer(b"large") if what == "answer" else task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


@both
def test_line_that_is_lost_at_the_moment_of_an_answer(run, kind):
    async def main():
        line = Line()
        polling, task = await begin(line, kind)
        line.ended.set()
        polling.poll.answer(b"large")
        assert await task == LARGE
        assert not task.cancelling()
        assert polling.log == []

    run(main)


def test_client_that_does_not_read_is_waited_for_by_the_task(run):
    async def main():
        line = Line(stalls=True)
        polling, task = await begin(line, PlainPoll)
        polling.poll.answer(b"1")
        await asyncio.sleep(0.001)
        assert line.sent == []
        assert not task.done()
        line.readable.set()
        assert await task is None
        assert line.sent == [(b"1", True)]
        assert not task.cancelling()

    run(main)


def test_answer_that_is_given_at_once_leaves_nothing_to_send(run):
    async def main():
        line = Line()
        given = []

        def answering(payload):
            given.append(payload)
            line.ended.set()
            return True

        polling = Polling()
        task = asyncio.ensure_future(plain(answering).hold(polling, line.receive))
        await asyncio.sleep(0.001)
        polling.poll.answer(b"1", compress=False)
        assert given == [(b"1", False)]
        assert await task is None
        assert not task.cancelling()
        assert polling.log == []

    run(main)


def test_failure_to_answer_at_once_is_the_tasks(run):
    async def main():
        def answering(payload):
            raise RuntimeError("no header")

        polling = Polling()
        task = asyncio.ensure_future(plain(answering).hold(polling, Line().receive))
        await asyncio.sleep(0.001)
        polling.poll.answer(b"1")
        with pytest.raises(RuntimeError, match="no header"):
            await task

    run(main)


@pytest.mark.parametrize("stalls", [False, True])
def test_failure_of_send_is_the_tasks(run, stalls):
    async def main():
        line = Line(stalls=stalls, fails=True)
        polling, task = await begin(line, PlainPoll)
        polling.poll.answer(b"1")
        line.readable.set()
        with pytest.raises(RuntimeError, match="no header"):
            await task

    run(main)


def test_answer_is_sent_in_the_context_of_the_request(run):
    async def main():
        variable = contextvars.ContextVar("variable", default="outside")
        seen = []

        async def send(payload):
            seen.append(variable.get())

        async def request():
            variable.set("request")
            await plain(send).hold(polling, Line().receive)

        polling = Polling()
        task = asyncio.ensure_future(request())
        await asyncio.sleep(0.001)
        polling.poll.answer(b"1")
        assert seen == ["request"]
        task.cancel()

    run(main)
