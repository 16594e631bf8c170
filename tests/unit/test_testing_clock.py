"""The clock of the test kit: what happens when, and that nobody waits for it."""

import asyncio
import time

import pytest

from roomcast import UsageError, testing


async def log_at(log: list[object], seconds: float) -> None:
    await asyncio.sleep(seconds)
    log.append(seconds)


def test_advance_runs_timers_in_order_and_what_they_set_off():
    async def main():
        clock, log = testing.running_clock(), []
        begin = clock.time()

        async def chain():
            await asyncio.sleep(1)
            await asyncio.sleep(1)
            log.append("chain")

        tasks = [asyncio.create_task(log_at(log, seconds)) for seconds in (3, 1, 2.5, 3.5)]
        tasks.append(asyncio.create_task(chain()))
        await clock.advance(3)
        assert log == [1, "chain", 2.5, 3]
        assert clock.time() - begin == pytest.approx(3)
        await asyncio.gather(*tasks)
        assert log[-1] == 3.5

    testing.run(main())


def test_time_stands_still_while_code_runs():
    async def main():
        loop = asyncio.get_running_loop()
        begin = loop.time()
        time.sleep(0.01)  # noqa: ASYNC251  it is what code takes
        for _ in range(100):
            await asyncio.sleep(0)
        assert loop.time() == begin

    testing.run(main())


def test_nobody_waits_for_a_timer():
    async def main():
        loop = asyncio.get_running_loop()
        begin = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100_000):
                await asyncio.Event().wait()
        assert loop.time() - begin == pytest.approx(100_000)

    begin = time.process_time()
    testing.run(main())
    assert time.process_time() - begin < 10


def test_time_goes_as_fast_as_everybodys_while_a_thread_is_at_work():
    async def main():
        timer = asyncio.create_task(asyncio.sleep(60))
        assert await asyncio.to_thread(lambda: (time.sleep(0.05), "done")[1]) == "done"
        assert not timer.done()
        await timer

    testing.run(main())


def test_time_goes_as_fast_as_everybodys_while_a_socket_is_open():
    async def main():
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        begin = time.monotonic()
        await asyncio.sleep(0.05)
        assert time.monotonic() - begin > 0.04
        clock = testing.running_clock()
        shown = clock.time()
        await clock.advance(1000)
        assert clock.time() - shown >= 1000
        server.close()
        await server.wait_closed()

    testing.run(main())


def test_a_clock_that_does_not_jump_waits_but_advances():
    async def main():
        clock = testing.running_clock()
        clock.jumps = False
        begin = time.monotonic()
        await asyncio.sleep(0.05)
        assert time.monotonic() - begin > 0.04
        shown = clock.time()
        await clock.advance(1000)
        assert clock.time() - shown == pytest.approx(1000)

    testing.run(main())


def test_settle_lets_happen_what_needs_no_time():
    async def main():
        clock, steps = testing.running_clock(), []

        async def many():
            for step in range(1000):
                await asyncio.sleep(0)
                steps.append(step)
            await asyncio.sleep(1)
            steps.append("late")

        task = asyncio.create_task(many())
        begin = clock.time()
        await asyncio.gather(clock.settle(), clock.settle())
        assert len(steps) == 1000
        assert clock.time() == begin
        await task

    testing.run(main())


def test_an_advance_that_is_cancelled_leaves_nothing():
    async def main():
        clock = testing.running_clock()
        clock.jumps = False
        begin = clock.time()
        advance = asyncio.create_task(clock.advance(10))
        await asyncio.sleep(0)
        advance.cancel()
        await asyncio.wait((advance,))
        await clock.settle()
        assert clock.time() == begin

    testing.run(main())


def test_time_does_not_go_back():
    async def main():
        with pytest.raises(ValueError, match="time does not go back"):
            await testing.running_clock().advance(-1)

    testing.run(main())


def test_another_loop_is_told_how_to_get_a_clock():
    async def main():
        testing.running_clock()

    with pytest.raises(UsageError, match=r"no clock .* roomcast\.testing\.run"):
        asyncio.run(main())
