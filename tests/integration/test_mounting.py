"""A server inside other applications, at every place, behind a root path or not, and under every ASGI server."""

import json

import aiohttp
import pytest

from support.asgi_servers import SERVERS, asgi_server, in_process
from support.mounts import AROUND, FRAMEWORKS, GREETING, ORIGIN, PLACES, build, prefix_of

# One loop: what is tried here is routing, which is the same on each.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

FROM_A_PAGE = {"Origin": ORIGIN}


def opened(packet: str) -> dict[str, object]:
    assert packet[0] == "0"
    return json.loads(packet[1:])


def allowed_origins(
    response: aiohttp.ClientResponse | aiohttp.ClientWebSocketResponse,
) -> list[str]:
    headers = getattr(response, "headers", None) or response._response.headers
    return headers.getall("access-control-allow-origin", [])


async def polling(http: aiohttp.ClientSession, url: str) -> None:
    """Connect by polling, and ask the echo."""
    url += "?EIO=4&transport=polling"
    async with http.get(url, headers=FROM_A_PAGE) as response:
        assert response.status == 200, await response.text()
        assert allowed_origins(response) == [ORIGIN]
        handshake = opened(await response.text())
    assert handshake["upgrades"] == ["websocket"]
    url += f"&sid={handshake['sid']}"
    async with http.post(url, data='40\x1e421["echo",2]', headers=FROM_A_PAGE) as response:
        assert (response.status, await response.text()) == (200, "ok")
        assert allowed_origins(response) == [ORIGIN]
    heard: list[str] = []
    while len(heard) < 2:
        async with http.get(url, headers=FROM_A_PAGE) as response:
            heard += (await response.text()).split("\x1e")
    assert heard[0].startswith("40{")
    assert heard[1] == "431[2]"
    async with http.post(url, data="1", headers=FROM_A_PAGE) as response:
        assert await response.text() == "ok"
    async with http.options(
        url, headers={**FROM_A_PAGE, "Access-Control-Request-Method": "POST"}
    ) as response:
        assert response.status in (200, 204)
        assert allowed_origins(response) == [ORIGIN]


async def websocket(http: aiohttp.ClientSession, url: str) -> None:
    """Connect by WebSocket, and ask the echo."""
    async with http.ws_connect(f"{url}?EIO=4&transport=websocket", headers=FROM_A_PAGE) as ws:
        assert opened(await ws.receive_str(timeout=5))["upgrades"] == []
        await ws.send_str("40")
        assert (await ws.receive_str(timeout=5)).startswith("40{")
        await ws.send_str('421["echo",1]')
        assert await ws.receive_str(timeout=5) == "431[1]"


async def check(port: int, place: str) -> None:
    """Use everything that one port serves."""
    base = f"http://127.0.0.1:{port}"
    url = f"{base}{prefix_of(place)}/socket.io/"
    async with aiohttp.ClientSession() as http:
        await websocket(http, url)
        await polling(http, url)
        async with http.get(f"{base}/hello") as response:
            assert (response.status, await response.text()) == (200, GREETING)


PLACED = [
    (framework, place, root_path)
    for framework in FRAMEWORKS
    for place in PLACES
    for root_path in ("", "/proxy")
    # The dispatcher that mounts beside Quart compares whole paths: it works behind no root path.
    if (framework, bool(root_path)) != ("quart", True) or place == AROUND
]


@pytest.mark.parametrize("outer_cors", [False, True], ids=["own-cors", "outer-cors"])
@pytest.mark.parametrize(("framework", "place", "root_path"), PLACED)
async def test_server_answers_wherever_it_is_mounted(framework, place, root_path, outer_cors):
    log: list[str] = []
    app = build(framework, place, outer_cors=outer_cors, log=log.append)
    async with in_process(app, root_path=root_path) as port:
        assert log == ["startup"]
        await check(port, place)
    assert log == ["startup", "shutdown"]


PROGRAM = """
from functools import partial
from support.mounts import build
app = build({framework!r}, {place!r}, outer_cors=True, log=partial(print, flush=True))
"""


@pytest.mark.parametrize(
    ("framework", "place", "root_path"),
    [("fastapi", AROUND, ""), ("fastapi", "/a/b", "/proxy"), ("litestar", "/ws", "")],
)
@pytest.mark.parametrize("kind", SERVERS)
async def test_server_answers_under_every_asgi_server(kind, framework, place, root_path, tmp_path):
    program = PROGRAM.format(framework=framework, place=place)
    async with asgi_server(kind, program, directory=tmp_path, root_path=root_path) as server:
        await check(server.port, place)
        output = await server.stop()
    assert output.splitlines() == ["startup", "shutdown"]
