"""What the scenarios about the server's API are written with; see `support.scenarios` and `support.scenario_server`."""

from typing import Any

from support.scenario_server import Chain
from support.scenarios import Step

__all__ = ["FOUR", "emits", "for_each_socket", "log", "on", "use"]


def on(event: str, *actions: list[Any]) -> list[Any]:
    return ["on", event, {"handler": list(actions)}]


def use(*actions: list[Any]) -> list[Any]:
    return ["use", {"middleware": list(actions)}]


def for_each_socket(*links: list[Any], nsp: str = "/") -> Chain:
    """Let every new socket of a namespace have listeners."""
    return ["io", ["of", nsp], on("connection", *[["do", ["socket", link]] for link in links])]


def emits(*links: Any, event: str = "hello") -> Step:
    return ("do", ["io", *links, ["emit", event]])


def log(label: str, count: int | None = None) -> list[Any]:
    return ["log", label, count]


FOUR: list[Step] = [
    *[("open", f"{name}/") for name in ("ann", "bob", "cat", "dan")],
    ("do", ["ann/", ["join", "a"]]),
    ("do", ["bob/", ["join", ["b"]]]),
    ("do", ["cat/", ["join", ["a", "b"]]]),
]
"""Ann is in room a, Bob in b, Cat in both, Dan in none."""
