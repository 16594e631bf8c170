"""ASGI servers, each as a user starts it: a process on a free port of this machine, ended with SIGTERM."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

__all__ = ["SERVERS", "ServerProcess", "asgi_server", "in_process"]

PATIENCE: Final = 15.0
"""Seconds that a server may take to answer its first request, and to end; importing is slow on a busy machine."""

GRACE: Final = 1
"""Seconds that a server is told to wait for requests at its end, where some of them wait for ever."""


def uvicorn_arguments(app: str, port: int, root_path: str, *, http: str) -> Sequence[str]:
    return (
        *("uvicorn", app, f"--port={port}", f"--http={http}", "--lifespan=on"),
        *("--log-level=warning", "--no-access-log", f"--timeout-graceful-shutdown={GRACE}"),
        *(("--root-path", root_path) if root_path else ()),
    )


def hypercorn_arguments(app: str, port: int, root_path: str) -> Sequence[str]:
    return (
        *("hypercorn", app, f"--bind=127.0.0.1:{port}"),
        *("--log-level=WARNING", f"--graceful-timeout={GRACE}"),
        *(("--root-path", root_path) if root_path else ()),
    )


def granian_arguments(app: str, port: int, root_path: str) -> Sequence[str]:
    # Without a deadline of their own its workers wait for WebSockets that stay open.
    return (
        *("granian", app, "--interface=asgi", f"--port={port}", "--log-level=warning"),
        f"--workers-kill-timeout={GRACE}",
        *(("--url-path-prefix", root_path) if root_path else ()),
    )


SERVERS: Final[dict[str, Callable[[str, int, str], Sequence[str]]]] = {
    "uvicorn": lambda *args: uvicorn_arguments(*args, http="httptools"),
    "uvicorn-h11": lambda *args: uvicorn_arguments(*args, http="h11"),
    "hypercorn": hypercorn_arguments,
    "granian": granian_arguments,
}
"""How each is called: the application, the port, the root path."""


class ServerProcess:
    """A server that answers.

    Attributes:
        port: Where.
        process: The process, leader of a group of its own.
        output: What it has printed, once it has ended.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.output = ""
        self._reading = asyncio.create_task(self._read())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _read(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.read()).decode()

    async def wait_answering(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                if self.process.returncode is not None:
                    raise RuntimeError(f"the server has ended:\n{await self._reading}")
                with contextlib.suppress(OSError):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                    answer = await reader.read()
                    writer.close()
                    if answer.startswith(b"HTTP/1.1 "):
                        return
                await asyncio.sleep(0.05)

    async def stop(self, number: int = signal.SIGTERM) -> str:
        """Ask it to end, and wait until it has; return what it has printed."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()
            self.output = await self._reading
        return self.output

    async def kill(self) -> None:
        """End it and its workers, whatever state they are in."""
        # Workers of a server that has died may still be there, so the group is asked and not the process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.output = await self._reading


@asynccontextmanager
async def asgi_server(
    kind: str, app: str, *, directory: Path | None = None, root_path: str = ""
) -> AsyncIterator[ServerProcess]:
    """Serve an application until the end of the block.

    Args:
        kind: A name of `SERVERS`.
        app: The application as ``module:attribute``, or the text of a module whose ``app`` it is.
        directory: Where the module is, or where the text is written to.
        root_path: The prefix that a proxy in front is said to have cut off.
    """
    if "\n" in app:
        assert directory is not None
        (directory / "served.py").write_text(app)
        app = "served:app"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    paths = [*([str(directory)] if directory else ()), *sys.path]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *SERVERS[kind](app, port, root_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        start_new_session=True,
    )
    server = ServerProcess(process, port)
    try:
        await server.wait_answering()
        yield server
    finally:
        await server.kill()


class Guest(uvicorn.Server):
    """uvicorn in an event loop of somebody else, which it leaves as soon as it is told to."""

    capture_signals = contextlib.nullcontext

    async def main_loop(self) -> None:
        await self.on_tick(
            0
        )  # its own loop looks every 0.1 s; tests need no newer date than that of their start
        while not self.should_exit:  # noqa: ASYNC110  a plain attribute
            await asyncio.sleep(0.005)


@asynccontextmanager
async def in_process(app: Callable[..., Any], **config: Any) -> AsyncIterator[int]:
    """Serve an application with uvicorn in the running event loop; give its port."""
    server = Guest(uvicorn.Config(app, lifespan="on", log_level="warning", **config))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(server.serve([bound]))
        try:
            async with asyncio.timeout(PATIENCE):
                while not server.started:
                    assert not serving.done(), "uvicorn did not start"
                    await asyncio.sleep(0.005)
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
