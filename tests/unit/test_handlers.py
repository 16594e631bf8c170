import asyncio

import pytest

from roomcast.server.handlers import ServerHandlers


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_exit_is_reported_and_goes_on(error):
    seen = []
    handlers = ServerHandlers()
    handlers.add_hook(lambda error, socket, event: seen.append((type(error), event)))

    def leave():
        raise error

    with pytest.raises(error):
        handlers.call(leave, (), socket=None, event="x")
    assert seen == [(error, "x")]


async def test_handler_cancelled_from_outside_is_no_error():
    seen = []
    handlers = ServerHandlers()
    handlers.add_hook(lambda *args: seen.append(args))

    async def waits():
        await asyncio.sleep(10)

    handlers.call(waits, (), socket=None, event="x")
    (task,) = handlers._tasks
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == []
    assert handlers._tasks == set()


async def test_waiting_handler_is_kept_alive_and_then_let_go():
    handlers = ServerHandlers()
    done = asyncio.Event()

    async def waits():
        await asyncio.sleep(0)
        done.set()

    handlers.call(waits, (), socket=None, event="x")
    assert len(handlers._tasks) == 1
    await done.wait()
    await asyncio.sleep(0)
    assert handlers._tasks == set()
