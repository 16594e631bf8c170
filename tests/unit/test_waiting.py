"""An awaitable that is waited for until something else is told behaves as if its own task awaited it."""

import asyncio
import gc
import logging

import anyio
import pytest
import uvloop

from roomcast.engine.waiting import Either


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main())

    return run


def later(either, seconds=0.0):
    asyncio.get_running_loop().call_later(seconds, either.tell)


async def both(awaitable, either=None):
    """Await something; say what came of it, or that the other thing was told first."""
    either = either or Either(asyncio.get_running_loop())
    return await either.or_(awaitable), either.told


async def value():
    return 1


def test_awaitable_that_does_not_wait(run):
    async def main():
        assert await both(value()) == (1, False)

    run(main)


@pytest.mark.parametrize("delay", [0, 0.001])
def test_awaitable_that_waits(run, delay):
    async def main():
        assert await both(asyncio.sleep(delay, "done")) == ("done", False)

        async def often():
            for _ in range(3):
                await asyncio.sleep(delay)
            return asyncio.current_task()

        assert await both(often()) == (asyncio.current_task(), False)

    run(main)


def test_told_first_cancels_the_awaitable(run):
    async def main():
        seen = []

        async def waits():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        either = Either(asyncio.get_running_loop())
        later(either)
        assert await both(waits(), either) == (None, True)
        assert seen == ["cancelled"]
        assert asyncio.current_task().cancelling() == 0

    run(main)


@pytest.mark.parametrize("cleans_up", [0, 0.001])
def test_told_first_lets_the_awaitable_clean_up(run, cleans_up):
    async def main():
        seen = []

        async def waits():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(cleans_up)
                await asyncio.sleep(cleans_up)
                seen.append("clean")

        either = Either(asyncio.get_running_loop())
        later(either)
        assert await both(waits(), either) == (None, True)
        assert seen == ["clean"]

    run(main)


def test_told_first_ends_a_task_that_is_awaited(run):
    async def main():
        async def waits():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.001)

        async def outer():
            await task

        task = asyncio.ensure_future(waits())
        either = Either(asyncio.get_running_loop())
        later(either, 0.001)
        assert await both(outer(), either) == (None, True)
        await asyncio.wait([task])
        assert task.cancelled()

    run(main)


def test_told_while_it_goes_on_without_a_future(run):
    async def main():
        async def busy():
            for _ in range(1000):
                await asyncio.sleep(0)

        either = Either(asyncio.get_running_loop())
        later(either)
        assert await both(busy(), either) == (None, True)

    run(main)


def test_message_of_a_queue_is_not_lost_to_one_that_was_told(run):
    async def main():
        queue = asyncio.Queue()
        either = Either(asyncio.get_running_loop())
        later(either)
        assert await both(queue.get(), either) == (None, True)
        queue.put_nowait("next")
        assert await both(queue.get()) == ("next", False)

    run(main)


def test_future_that_others_wait_for_too_stays_theirs_to_await(run):
    async def main():
        shared = asyncio.get_running_loop().create_future()

        async def waits():
            return await asyncio.shield(shared)

        other = asyncio.ensure_future(waits())
        either = Either(asyncio.get_running_loop())
        later(either)
        assert await both(waits(), either) == (None, True)
        first, second = asyncio.ensure_future(both(shared)), asyncio.ensure_future(both(shared))
        await asyncio.sleep(0)
        shared.set_result("both")
        assert await first == await second == ("both", False)
        assert await other == "both"

    run(main)


def test_exception_of_the_awaitable_comes_out(run):
    async def main():
        async def fails(delay):
            await asyncio.sleep(delay)
            raise OSError("gone")

        for delay in (0, 0.001):
            with pytest.raises(OSError, match="gone"):
                await both(fails(delay))

    run(main)


def test_exception_after_it_was_told_is_nobodys(run, caplog):
    caplog.set_level(logging.DEBUG, "roomcast.engine")

    async def main():
        async def fails():
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError("gone")

        either = Either(asyncio.get_running_loop())
        later(either)
        assert await both(fails(), either) == (None, True)

    run(main)
    assert "gone" in caplog.text


def test_cancellation_reaches_the_awaitable_and_goes_on(run):
    async def main():
        seen = []

        async def waits():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                seen.append("cancelled")
                raise

        task = asyncio.ensure_future(both(waits()))
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"]

    run(main)


def test_cancellation_at_the_moment_it_is_told_is_not_lost(run):
    async def main():
        for cleans_up in (False, True):

            async def waits(cleans_up=cleans_up):
                try:
                    await asyncio.Event().wait()
                finally:
                    if cleans_up:
                        await asyncio.sleep(10)

            either = Either(asyncio.get_running_loop())
            task = asyncio.ensure_future(both(waits(), either))
            await asyncio.sleep(0.001)
            either.tell()
            if cleans_up:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)


def test_scopes_of_anyio_are_left_in_the_task_that_entered_them(run):
    async def main():
        async def receives():  # as Starlette's middlewares do
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep, 10)
                await anyio.lowlevel.checkpoint()
                await anyio.Event().wait()

        either = Either(asyncio.get_running_loop())
        later(either, 0.001)
        assert await both(receives(), either) == (None, True)
        with anyio.move_on_after(0.001):
            await both(receives())
        assert asyncio.current_task().cancelling() == 0

    run(main)


class Foreign:
    """An awaitable that is its own iterator and future, without ``throw``, as an extension makes them."""

    _asyncio_future_blocking = False

    def __init__(self):
        self.callbacks = []
        self.is_cancelled = False
        self.outcome = None

    def __await__(self):
        return self

    def __next__(self):
        if self.outcome is not None:
            raise StopIteration(self.outcome)
        self._asyncio_future_blocking = True
        return self

    def add_done_callback(self, callback, *, context=None):
        self.callbacks.append(callback)

    def remove_done_callback(self, callback):
        self.callbacks.remove(callback)

    def cancel(self):
        self.is_cancelled = True

    def done(self):
        return self.is_cancelled or self.outcome is not None

    def set(self, outcome):
        self.outcome = outcome
        for callback in self.callbacks:
            callback(self)


def test_future_of_another_kind(run):
    async def main():
        loop = asyncio.get_running_loop()
        future = Foreign()
        loop.call_soon(future.set, "done")
        assert await both(future) == ("done", False)
        future = Foreign()
        either = Either(loop)
        later(either)
        assert await both(future, either) == (None, True)
        assert future.is_cancelled

    run(main)


def test_nothing_is_left_to_the_collector(run):
    async def main():
        async def once():
            either = Either(asyncio.get_running_loop())
            asyncio.get_running_loop().call_soon(either.tell)
            await both(asyncio.Event().wait(), either)

        await once()
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await once()
            assert gc.collect() == 0
        finally:
            gc.enable()

    run(main)
