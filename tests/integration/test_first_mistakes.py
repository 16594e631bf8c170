"""What a newcomer gets to read after a mistake: what is wrong, where, and what to do."""

import socket
from typing import Any

import pytest

import roomcast
from roomcast import RedisAdapter, Server, UsageError


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


async def failure(url: str, **options: Any) -> str:
    """Connect, and return the last line of the traceback that a program would end with."""
    with pytest.raises(roomcast.ConnectError) as caught:
        async with roomcast.connect(url, reconnection=False, **options):
            raise AssertionError("it is connected")
    return str(caught.value.__notes__[-1])


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_client_says_where_nobody_is(transport: str) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    said = await failure(url, transports=transport)
    assert f"no connection to {url}/socket.io/: " in said
    assert "Connect" in said


async def test_client_says_what_a_url_and_a_path_mean() -> None:
    io = Server()
    listening = await io.listen(0)
    url = f"http://127.0.0.1:{listening.port}"
    said = await failure(url, path="/ws/socket.io/")
    assert said == (
        f"no connection to {url}/ws/socket.io/: it answered 404; path=... says where the server is"
    )
    said = await failure(f"{url}/chta")
    assert said.startswith("the server has no namespace '/chta'; the path of a URL names one")
    await io.close()


async def test_run_within_a_loop_says_what_to_do_instead() -> None:
    with pytest.raises(UsageError, match=r"await listen\(\.\.\.\) instead"):
        Server().run(0)


def test_adapter_that_is_a_class_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="AdapterFactory"):
        Server(adapter=RedisAdapter)


def test_room_that_is_a_number_is_named() -> None:
    with pytest.raises(TypeError, match="a room must be a str, not int"):
        Server().to(5)  # type: ignore[arg-type]  the mistake
