"""Coroutines started in place must behave as if they had been given to the loop."""

import asyncio
import contextvars

import pytest
import uvloop

from roomcast.sockets.tasks import start


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    def run(coroutine):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(coroutine)

    return run


def begin(coroutine):
    return start(coroutine, asyncio.get_running_loop())


async def value():
    return 1


def test_coroutine_that_does_not_wait_is_over_at_once(run):
    async def main():
        outer = asyncio.current_task()
        task = begin(value())
        assert task.done()
        assert task.result() == 1
        assert asyncio.current_task() is outer
        assert await task == 1

    run(main())


def test_coroutine_that_waits_goes_on_by_itself(run):
    async def main():
        seen = []

        async def waits():
            seen.append("started")
            await asyncio.sleep(0)
            seen.append("again")
            await asyncio.sleep(0.001)
            return 2

        task = begin(waits())
        assert seen == ["started"]
        assert not task.done()
        assert await task == 2
        assert seen == ["started", "again"]

    run(main())


def test_current_task_is_the_same_all_the_way(run):
    async def main():
        async def who():
            seen = [asyncio.current_task()]
            await asyncio.sleep(0)
            assert seen[0] in asyncio.all_tasks()
            seen.append(asyncio.current_task())
            return seen

        task = begin(who())
        assert await task == [task, task]

    run(main())


def test_timeout_in_the_first_step_hits_the_coroutine_and_not_its_starter(run):
    async def main():
        async def slow():
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(10)
            except TimeoutError:
                return "timed out"

        task = begin(slow())
        await asyncio.sleep(0.05)
        assert task.result() == "timed out"
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_task_group_works_from_the_first_step_on(run):
    async def main():
        async def fail():
            await asyncio.sleep(0.001)
            raise KeyError

        async def group():
            async with asyncio.TaskGroup() as tasks:
                waits = tasks.create_task(asyncio.sleep(10))
                tasks.create_task(fail())
            return waits

        with pytest.raises(ExceptionGroup):
            await begin(group())

        async def good():
            async with asyncio.TaskGroup() as tasks:
                one, two = tasks.create_task(value()), tasks.create_task(value())
            return one.result() + two.result()

        assert await begin(good()) == 2

    run(main())


def test_cancellation_reaches_the_coroutine(run):
    async def main():
        seen = []

        async def waits():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        task = begin(waits())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"]
        assert task.cancelled()

    run(main())


def test_cancelling_oneself_in_the_first_step(run):
    async def main():
        async def oneself():
            asyncio.current_task().cancel()
            await asyncio.sleep(10)

        with pytest.raises(asyncio.CancelledError):
            await begin(oneself())

    run(main())


def test_exception_is_kept_in_the_task(run):
    async def main():
        async def fail():
            raise KeyError("x")

        task = begin(fail())
        assert isinstance(task.exception(), KeyError)

    run(main())


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exit_goes_on_and_the_starter_stays_the_current_task(run, error):
    async def main():
        async def leave():
            raise error

        outer = asyncio.current_task()
        with pytest.raises(error):
            begin(leave())
        assert asyncio.current_task() is outer

    run(main())


def test_start_within_a_started_coroutine(run):
    async def main():
        async def outer():
            me = asyncio.current_task()
            inner = begin(value())
            assert asyncio.current_task() is me
            await asyncio.sleep(0)
            return inner.result()

        assert await begin(outer()) == 1

    run(main())


def test_start_from_a_callback_without_a_task(run):
    async def main():
        done = asyncio.get_running_loop().create_future()

        def callback():
            assert asyncio.current_task() is None
            task = start(asyncio.sleep(0, "x"), loop)
            assert asyncio.current_task() is None
            task.add_done_callback(lambda task: done.set_result(task.result()))

        loop = asyncio.get_running_loop()
        loop.call_soon(callback)
        assert await done == "x"

    run(main())


def test_context_of_the_coroutine_is_its_own(run):
    variable = contextvars.ContextVar("variable", default="outer")

    async def main():
        async def change():
            assert variable.get() == "main"
            variable.set("inner")
            await asyncio.sleep(0)
            return variable.get()

        variable.set("main")
        task = begin(change())
        assert variable.get() == "main"
        assert await task == "inner"
        assert variable.get() == "main"

    run(main())


def test_awaiting_nonsense_is_an_error_of_the_coroutine(run):
    async def main():
        class Bad:
            def __await__(self):
                yield 1

        async def nonsense():
            await Bad()

        with pytest.raises(RuntimeError):
            await begin(nonsense())

    run(main())
