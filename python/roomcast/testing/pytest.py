"""The fixtures of the test kit, for pytest with pytest-asyncio in either mode.

A project loads them in its ``conftest.py``: ``pytest_plugins = ["roomcast.testing.pytest"]``. Tests that use ``clock`` run on a loop
of their own kind (`ClockEventLoop`), all others as if this plugin were not there.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Final, Unpack

import pytest
import pytest_asyncio

from roomcast.errors import UsageError
from roomcast.testing.clock import Clock, new_event_loop, running_clock
from roomcast.testing.manager import Manager, connect as new_client
from roomcast.testing.options import App, ConnectOptions
from roomcast.testing.socket import Socket

__all__ = ["clock", "connect"]

CLOCK: Final = "clock"
"""The fixture whose users get a loop on a clock."""

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Generator[None, Mapping[str, LoopFactory] | None, Mapping[str, LoopFactory]]:
    """Give the tests that use ``clock`` a loop on a clock, and leave the others what they have."""
    others = yield
    if CLOCK in getattr(item, "fixturenames", ()):
        return {CLOCK: new_event_loop}
    return others or {"asyncio": asyncio.new_event_loop}


@pytest_asyncio.fixture
async def clock() -> Clock:
    """The clock of the test's event loop: time jumps where nothing else happens, and `Clock.advance` moves it."""
    return running_clock()


@pytest_asyncio.fixture
async def connect() -> AsyncGenerator["Connector"]:
    """A function like `roomcast.testing.connect`, whose clients are disconnected at the end of the test."""
    connector = Connector()
    yield connector
    await connector.close()


class Connector:
    """What the fixture ``connect`` is."""

    def __init__(self) -> None:
        """Take care of no client yet."""
        self._managers: list[Manager] = []
        self._loop = asyncio.get_running_loop()

    def __call__(self, app: App, nsp: str = "/", **options: Unpack[ConnectOptions]) -> Socket:
        """Return a client; as `roomcast.testing.connect`.

        Raises:
            UsageError: If the test runs in another loop than its fixtures.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError(
                "the fixture connect lives in another event loop than the test: asyncio_default_fixture_loop_scope"
                " and the loop_scope of the test must be the same"
            )
        socket = new_client(app, nsp, **options)
        self._managers.append(socket.manager)
        return socket

    async def close(self) -> None:
        """Disconnect all.

        Raises:
            BaseExceptionGroup: If listeners, or an application, have raised what nobody has seen; a single exception alone.
        """
        results: list[Any] = await asyncio.gather(
            *[manager.close() for manager in self._managers], return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise BaseExceptionGroup("several clients have failed", failures)
