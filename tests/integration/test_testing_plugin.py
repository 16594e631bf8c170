"""The test kit under pytest: in both modes of pytest-asyncio, beside loops of others, and as its documentation says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[2] / "docs/testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, flags=re.DOTALL | re.MULTILINE)
MARK = "import pytest\npytestmark = pytest.mark.asyncio\n"


def block(text: str) -> str:
    """Return the one example that holds this text."""
    (found,) = (example for example in BLOCKS if text in example)
    return found


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project as the documentation has it, with no other plugins than it needs: they take seconds to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini(
        """
        [pytest]
        addopts = -p pytest_asyncio.plugin
        asyncio_default_fixture_loop_scope = function
        filterwarnings = error
        """
    )
    pytester.makeconftest(block("pytest_plugins"))
    pytester.makepyfile(server=block("io = Server()"))
    return pytester


def test_the_documentation_runs_in_auto_mode(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_server=block("test_strangers_are_refused"), test_clock=block("clock.advance(44)")
    )
    result = project.runpytest_subprocess("--asyncio-mode=auto")
    result.assert_outcomes(passed=4)


def test_the_documentation_runs_in_strict_mode(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_server=MARK + block("test_strangers_are_refused"),
        test_clock=MARK + block("clock.advance(44)"),
    )
    result = project.runpytest_subprocess("--asyncio-mode=strict")
    result.assert_outcomes(passed=4)


def test_the_documentation_runs_without_pytest(project: pytest.Pytester) -> None:
    program = block("asyncio.run(main())") + "import sys\nassert 'pytest' not in sys.modules\n"
    project.makepyfile(program=program)
    result = project.run(sys.executable, "program.py")
    assert result.ret == 0, result.stderr.str()


def test_only_tests_that_use_the_clock_have_its_loop(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import asyncio
        pytest_plugins = ["roomcast.testing.pytest"]

        class Loop(asyncio.SelectorEventLoop):
            pass

        def pytest_asyncio_loop_factories(config, item):
            return {"own": Loop, "own too": Loop}
        """
    )
    project.makepyfile(
        """
        import asyncio
        import pytest
        from roomcast.testing import ClockEventLoop

        @pytest.fixture
        async def through(clock):
            return clock

        async def test_own():
            assert type(asyncio.get_running_loop()).__name__ == "Loop"

        async def test_clock(clock):
            assert isinstance(asyncio.get_running_loop(), ClockEventLoop)

        async def test_another_fixture(through):
            assert isinstance(asyncio.get_running_loop(), ClockEventLoop)

        def test_no_loop():
            pass
        """
    )
    result = project.runpytest_subprocess("--asyncio-mode=auto")
    result.assert_outcomes(passed=5)


def test_clients_of_a_test_end_with_it_and_tell_what_they_know(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from server import io

        async def test_left_open(connect):
            await connect(io, auth={"token": "sesame"})
            connect(io, "/never awaited")

        async def test_nobody_is_left(connect):
            assert not io.sockets

        async def test_a_listener_fails(connect):
            ada, bob = [await connect(io, auth={"token": "sesame"}) for _ in "ab"]
            bob.on("said", lambda text: text.no_such_attribute)
            await ada.emit_with_ack("say", "hello")

        async def test_two_listeners_fail(connect):
            clients = [await connect(io, auth={"token": "sesame"}) for _ in "abc"]
            for client in clients:
                client.on("said", lambda text: text.no_such_attribute)
            await clients[0].emit_with_ack("say", "hello")
        """
    )
    result = project.runpytest_subprocess("--asyncio-mode=auto")
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(
        ["*AttributeError: 'str' object has no attribute 'no_such_attribute'"]
    )
    result.stdout.fnmatch_lines(["*in a listener of 'said' of <testing.Socket of '/'*"])
    result.stdout.fnmatch_lines(["*several clients have failed (2 sub-exceptions)*"])


def test_fixtures_in_another_loop_are_named(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from server import io

        pytestmark = pytest.mark.asyncio(loop_scope="module")

        async def test_connect(connect):
            connect(io)

        async def test_clock(clock):
            await clock.advance(1)
        """
    )
    result = project.runpytest_subprocess("--asyncio-mode=auto")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*UsageError: the fixture connect lives in another event loop*"])
    result.stdout.fnmatch_lines(["*UsageError: this is the clock of another event loop*"])


def test_the_kit_needs_no_other_package() -> None:
    program = "import sys, roomcast.testing as kit; print(sorted({'pytest', 'uvicorn'} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
