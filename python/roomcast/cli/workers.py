"""Several processes that serve one port: started, replaced where one dies, and ended together."""

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Final

from roomcast.asgi import ASGIApplication
from roomcast.cli.errors import FAILED, CommandError
from roomcast.cli.serving import serve_bound
from roomcast.engine.options import WORKERS
from roomcast.server import Server

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

__all__ = ["Target", "serve_workers"]

END_TIMEOUT: Final = 15.0
"""Seconds that workers have to end: five for their lines, five for requests, and some for a busy machine."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds until a worker is replaced that was killed before it served; the pause doubles."""

Target = Callable[[], Server | ASGIApplication]
"""Finds what is to be served, in the process that serves it; it can be pickled."""


class _Worker:
    """One process, as the supervisor sees it.

    Attributes:
        process: The process.
        life: Readable when the worker serves.
        serves: Whether it does.
    """

    def __init__(self, target: Target, bound: socket.socket) -> None:
        context = multiprocessing.get_context("spawn")
        self.life, theirs = context.Pipe()
        self.serves = False
        self.process: SpawnProcess = context.Process(
            target=_work, args=(target, bound, theirs), name="roomcast worker"
        )
        self.process.start()
        theirs.close()

    def end(self) -> None:
        """Let it end."""
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, signal.SIGTERM)


def serve_workers(
    target: Target, count: int, bound: socket.socket, announce: Callable[[], None]
) -> int:
    """Serve with several processes until SIGINT or SIGTERM; return the exit code.

    A worker that is killed is replaced. One that fails by itself before it has served would do so again: that ends all.

    Args:
        target: Finds what is to be served.
        count: How many processes.
        bound: The socket that all of them accept on.
        announce: Called once all of them do.
    """
    ending: list[int] = []
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    handlers = {
        number: signal.signal(number, lambda got, _: ending.append(got))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with tempfile.TemporaryDirectory(prefix="roomcast-") as directory:
            if not os.environ.get(WORKERS):
                os.environ[WORKERS] = directory
            return _Supervisor(target, count, bound, announce, read_end, ending).run()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(read_end)
        os.close(write_end)


class _Supervisor:
    def __init__(
        self,
        target: Target,
        count: int,
        bound: socket.socket,
        announce: Callable[[], None],
        wakeup: int,
        ending: list[int],
    ) -> None:
        self._target = target
        self._bound = bound
        self._count = count
        self._announce: Callable[[], None] | None = announce
        self._wakeup = wakeup
        self._ending = ending
        self._workers: list[_Worker] = []
        self._pause = FIRST_PAUSE

    def run(self) -> int:
        try:
            self._workers = [_Worker(self._target, self._bound) for _ in range(self._count)]
            while not self._ending:
                self._wait()
                if not all(self._look_after(worker) for worker in list(self._workers)):
                    return FAILED
            return 0
        finally:
            self._end()

    def _wait(self) -> None:
        events: list[Any] = [self._wakeup]
        for worker in self._workers:
            events.append(worker.process.sentinel)
            if not worker.serves:
                events.append(worker.life)
        if self._wakeup in wait(events):
            os.read(self._wakeup, 1_024)

    def _look_after(self, worker: _Worker) -> bool:
        """Take note of what has become of a worker; say whether things can go on."""
        if not worker.serves and worker.life.poll():
            try:
                worker.life.recv()
                worker.serves = True
                self._pause = FIRST_PAUSE
            except EOFError:
                worker.process.join()
        if self._announce is not None and all(each.serves for each in self._workers):
            self._announce()
            self._announce = None
        code = worker.process.exitcode
        if code is None or self._ending:
            return True
        if not worker.serves and code >= 0:
            return False  # it has said why
        print(
            f"roomcast: worker {worker.process.pid} has died ({_cause(code)}); another one takes its place",
            file=sys.stderr,
            flush=True,
        )
        worker.life.close()
        if not worker.serves:
            time.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._workers[self._workers.index(worker)] = _Worker(self._target, self._bound)
        return True

    def _end(self) -> None:
        for worker in self._workers:
            worker.end()
        last = time.monotonic() + END_TIMEOUT
        for worker in self._workers:
            worker.process.join(max(last - time.monotonic(), 0))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.life.close()


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _work(target: Target, bound: socket.socket, life: Connection) -> None:
    """Be a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which the supervisor hears too

    def watch() -> None:
        try:
            life.recv()
        except (EOFError, OSError):  # the supervisor is gone
            os.kill(os.getpid(), signal.SIGTERM)

    def announce() -> None:
        life.send(True)
        threading.Thread(target=watch, daemon=True).start()

    try:
        serve_bound(target(), bound, announce)
    except CommandError as error:
        print(f"roomcast: {error}", file=sys.stderr, flush=True)
        sys.exit(error.code)
