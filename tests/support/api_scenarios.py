"""Scenarios about the server's API; see `support.scenarios` and `support.scenario_server` for the words."""

from typing import Any

from support.scenario_server import Chain, bytes_of
from support.scenarios import SETTLE, Scenario, Step

__all__ = ["SCENARIOS"]


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

GOODBYES = [
    for_each_socket(
        on("disconnecting", log("disconnecting", 1), ["tell", "rooms", ["socket", "rooms"]]),
        on("disconnect", log("disconnect", 1), ["tell", "rooms", ["socket", "rooms"]]),
        nsp=nsp,
    )
    for nsp in ("/", "/chat")
]

FAREWELL: list[Step] = [
    ("open", "ann/"),
    ("open", "ann/chat", {"share": "ann/"}),
    ("open", "bob/"),
    ("do", ["ann/", ["join", "a"]]),
]
CHAT: Chain = ["io", ["of", "/chat"], SETTLE]


def goodbye(
    name: str, *steps: Step, logs: int = 8, setup: tuple[Chain, ...] = (), **more: Any
) -> Scenario:
    """Ann leaves in some way, in all of her namespaces or (with 4 entries) in one; Bob stays."""
    end: Step = ("logged", logs + 1 + sum(verb == "do" for verb, *_ in steps))
    return Scenario(f"goodbye: {name}", [CHAT, *GOODBYES, *setup], [*FAREWELL, *steps, end], **more)


def child_scenarios(transport: str) -> list[Scenario]:
    """Middlewares and dynamic namespaces, whose races depend on the transport."""
    options = {"transports": [transport]}
    return [
        Scenario(
            f"slow middleware accepts ({transport})",
            [
                ["io", on("connection", log("connection"))],
                [
                    "io",
                    use(
                        log("asked"),
                        ["do", ["socket", ["emit", "early", 1]]],
                        ["do", ["socket", ["join", "a"]]],
                        ["wait", 0.15],
                        ["tell", "rooms", ["socket", "rooms"]],
                    ),
                ],
                ["io", use(log("second"))],
            ],
            [
                ("open", "bob/", options),
                ("begin", "ann/", options),
                ("logged", 5),
                emits(event="too early"),
                emits(["to", "a"], event="too early"),
                ("do", ["io", ["fetch_sockets"]]),
                ("hears", "ann/", "connect"),
                emits(["to", "a"]),
                emits(),
            ],
        ),
        Scenario(
            f"slow middleware refuses ({transport})",
            [
                ["io", on("connection", log("connection"))],
                [
                    "io",
                    ["of", "/secret"],
                    ["as", "secret"],
                    SETTLE,
                    use(
                        ["do", ["socket", ["join", "a"]]],
                        ["wait", 0.1],
                        ["refuse", "no", {"code": 1}],
                    ),
                    on("connection", log("never")),
                ],
            ],
            [
                ("open", "ann/", options),
                ("begin", "ann/secret", {"share": "ann/"}),
                ("do", ["secret", ["to", "a"], ["emit", "too early"]]),
                ("hears", "ann/secret", "connect_error"),
                ("do", ["secret", ["to", "a"], ["emit", "too late"]]),
                ("do", ["secret", ["fetch_sockets"]]),
            ],
        ),
        Scenario(
            f"two ask for the same child while a predicate waits ({transport})",
            [
                ["io", on("new_namespace", log("new"))],
                [
                    "io",
                    ["of", {"predicate": [log("asked"), ["wait", 0.1], ["allow", True]]}],
                    ["as", "parent"],
                    SETTLE,
                    on("connection", log("connection")),
                ],
            ],
            [
                ("begin", "ann/child", options),
                ("begin", "bob/child", options),
                ("hears", "ann/child", "connect"),
                ("hears", "bob/child", "connect"),
                ("do", ["parent", ["emit", "hello"]]),
                ("do", ["io", ["of", "/child"], ["emit", "hello"]]),
            ],
        ),
    ]


SCENARIOS: list[Scenario] = [
    Scenario(
        "rooms are united, and each socket is reached once",
        [],
        [
            *FOUR,
            emits(event="all"),
            emits(["to", "a"], ["to", "b"], event="a to b"),
            emits(["in_", ["a", "b"]], event="a in b"),
            emits(["to", ["a", "b"]], ["except_", "b"], event="a but b"),
            emits(["except_", "b"], ["to", "a"], event="but b, a"),
            emits(["except_", {"id": "dan/"}], event="but dan"),
            emits(["to", {"id": "dan/"}], event="dan"),
            emits(["except_", ["a", {"id": "bob/"}]], event="but a and bob"),
            emits("local", event="local"),
            emits(["of", "/"], "local", ["except_", "a"], "volatile", ["to", "b"], event="many"),
            emits(["compress", False], ["to", "b"], ["compress", True], event="compress"),
            emits(["timeout", {"seconds": 1}], ["to", "b"], event="timeout without an ack"),
            emits(["to", "nobody"], event="nobody"),
            ("do", ["io", ["to", "a"], ["emit", "bytes", bytes_of(b"\x00\xff"), [1, None, "é"]]]),
        ],
    ),
    Scenario(
        "a socket leaves itself out",
        [],
        [
            *FOUR,
            ("do", ["cat/", "broadcast", ["emit", "broadcast"]]),
            ("do", ["cat/", ["to", "a"], ["emit", "to a"]]),
            ("do", ["cat/", ["to", "a"], ["to", "b"], ["emit", "to a and b"]]),
            ("do", ["cat/", ["except_", "a"], ["emit", "but a"]]),
            ("do", ["cat/", "local", ["emit", "local"]]),
            ("do", ["cat/", "broadcast", "volatile", ["in_", "b"], ["emit", "volatile"]]),
            ("do", ["cat/", ["compress", False], ["emit", "itself"]]),
            ("do", ["cat/", "volatile", ["emit", "itself, volatile"]]),
            ("do", ["cat/", ["timeout", {"seconds": 1}], ["emit", "itself, timeout"]]),
            ("do", ["cat/", ["send", 1, "two"]]),
        ],
    ),
    Scenario(
        "operators that are kept do not change",
        [],
        [
            *FOUR,
            ("do", ["io", ["to", "a"], ["as", "a"]]),
            emits(["of", "/"], event="sanity"),
            ("do", ["a", ["to", "b"], ["emit", "a and b"]]),
            ("do", ["a", ["except_", "b"], ["emit", "a but b"]]),
            ("do", ["a", ["emit", "a"]]),
            ("do", ["ann/", "broadcast", ["as", "others"]]),
            ("do", ["others", ["to", "a"], ["emit", "others in a"]]),
            ("do", ["others", ["emit", "others"]]),
        ],
    ),
    Scenario(
        "namespaces are apart",
        [["io", ["of", "chat"], SETTLE]],
        [
            ("open", "ann/"),
            ("open", "ann/chat", {"share": "ann/"}),
            ("open", "bob/chat"),
            ("do", ["io", ["of", "/chat"], ["emit", "chat"]]),
            ("do", ["ann/chat", "broadcast", ["emit", "others"]]),
            ("do", ["bob/chat", ["join", "a"]]),
            ("do", ["io", ["of", "chat"], ["to", "a"], ["emit", "room"]]),
            ("do", ["io", ["to", "a"], ["emit", "nobody"]]),
            ("open", "ann/nope", {"share": "ann/"}),
            ("leave", "ann/"),
            ("do", ["io", ["of", "/chat"], ["emit", "still there"]]),
        ],
    ),
    Scenario(
        "one client is asked",
        [for_each_socket(on("in a handler", ["return", "x", 1]))],
        [
            ("open", "ann/"),
            ("answer", "ann/", "question", 1),
            ("do", ["ann/", ["emit_with_ack", "question", "really?"]]),
            ("do", ["ann/", ["timeout", {"seconds": 2}], ["emit_with_ack", "question"]]),
            ("do", ["ann/", ["timeout", {"seconds": 0.05}], ["emit_with_ack", "unanswered"]]),
            ("do", ["ann/", ["emit", "question", {"ack": [log("answer")]}]]),
            ("logged", 5),
            (
                "do",
                [
                    "ann/",
                    ["timeout", {"seconds": 2}],
                    ["emit", "question", {"ack": [log("answer")]}],
                ],
            ),
            ("logged", 7),
            (
                "do",
                [
                    "ann/",
                    ["timeout", {"seconds": 0.05}],
                    ["emit", "unanswered", {"ack": [log("late")]}],
                ],
            ),
            ("logged", 9),
            ("ask", "ann/", "in a handler"),
        ],
    ),
    Scenario(
        "one client answers with several arguments",
        [],
        [
            ("open", "ann/"),
            ("answer", "ann/", "question", 1, "two"),
            ("do", ["ann/", ["emit_with_ack", "question"]]),
        ],
        differs={
            "server": (
                [["result", [1, "two"]]],
                [["result", 1]],
                "several arguments in an acknowledgement",
            )
        },
    ),
    Scenario(
        "many clients are asked",
        [],
        [
            *FOUR,
            *[
                ("answer", f"{name}/", "vote", number, "the first argument only")
                for number, name in enumerate(("ann", "cat"))
            ],
            (
                "do",
                [
                    "io",
                    ["to", "a"],
                    ["except_", "b"],
                    ["timeout", {"seconds": 2}],
                    ["emit_with_ack", "vote"],
                ],
            ),
            ("do", ["io", ["timeout", {"seconds": 2}], ["to", "x"], ["emit_with_ack", "vote"]]),
            ("do", ["io", ["timeout", {"seconds": 0.2}], ["to", "b"], ["emit_with_ack", "vote"]]),
            (
                "do",
                [
                    "io",
                    ["to", "b"],
                    ["timeout", {"seconds": 0.2}],
                    ["emit", "vote", {"ack": [log("votes")]}],
                ],
            ),
            ("logged", 8),
            (
                "do",
                [
                    "dan/",
                    "broadcast",
                    ["in_", "a"],
                    ["except_", "b"],
                    ["timeout", {"seconds": 2}],
                    ["emit_with_ack", "vote"],
                ],
            ),
        ],
    ),
    Scenario(
        "who leaves does not answer",
        [],
        [
            ("open", "ann/"),
            ("start", ["ann/", ["timeout", {"seconds": 0.3}], ["emit_with_ack", "question"]]),
            ("leave", "ann/"),
            ("join",),
            ("do", ["ann/", ["timeout", {"seconds": 0.1}], ["emit_with_ack", "question"]]),
        ],
        differs={
            "server": (
                [["error", "socket has been disconnected"]] * 2,
                [["error", "operation has timed out"]] * 2,
                "`emit_with_ack` after a disconnect",
            )
        },
    ),
    Scenario(
        "one of many leaves",
        [],
        [
            *FOUR,
            ("answer", "ann/", "vote", 1),
            (
                "start",
                ["io", ["timeout", {"seconds": 0.3}], ["to", "a"], ["emit_with_ack", "vote"]],
            ),
            ("leave", "cat/"),
            ("join",),
        ],
    ),
    Scenario(
        "listeners in their order",
        [
            for_each_socket(
                on("x", log("first")),
                on("x", log("second")),
                ["once", "x", {"handler": [log("once")]}],
                ["on_any", {"handler": [log("any")]}],
                ["prepend_any", {"handler": [log("any, before")]}],
                ["on_any_outgoing", {"handler": [log("outgoing")]}],
                ["prepend_any_outgoing", {"handler": [log("outgoing, before")]}],
            )
        ],
        [
            ("open", "ann/"),
            ("open", "bob/"),
            ("emit", "ann/", "x", 1, "two"),
            ("emit", "ann/", "x"),
            ("emit", "ann/", "nobody listens"),
            ("do", ["ann/", ["emit", "down", 1]]),
            ("do", ["io", ["to", {"id": "bob/"}], ["emit", "down", 2]]),
            ("do", ["ann/", ["off_any"]]),
            ("do", ["ann/", ["off_any_outgoing"]]),
            ("emit", "ann/", "x"),
            ("do", ["ann/", ["emit", "down", 3]]),
        ],
    ),
    Scenario(
        "acknowledgements of the server",
        [
            for_each_socket(
                on("none", ["return"]),
                on("one", ["return", {"packed": {"o": ["a", [1]]}}]),
                on("two", ["return", 1, bytes_of(b"\x01")]),
                on("later", ["wait", 0.02], ["return", "late"]),
            )
        ],
        [
            ("open", "ann/"),
            *[("ask", "ann/", event, 1) for event in ("none", "one", "two", "later")],
        ],
    ),
    goodbye("of one namespace by the client", ("leave", "ann/"), logs=4),
    goodbye("of one namespace by the server", ("do", ["ann/", ["disconnect"]]), logs=4),
    goodbye("of all by the server", ("do", ["ann/", ["disconnect", True]])),
    goodbye(
        "of a room by the server", ("do", ["io", ["in_", "a"], ["disconnect_sockets"]]), logs=4
    ),
    goodbye(
        "of a room with its connections", ("do", ["io", ["in_", "a"], ["disconnect_sockets", True]])
    ),
    goodbye("of the client's engine", ("cut", "ann/")),
    goodbye("packet of no type", ("raw", "ann/", "9")),
    goodbye("event without an array", ("raw", "ann/", "2{}")),
    goodbye("event for a namespace that is not joined", ("raw", "ann/", '2/other,["x"]')),
    goodbye("second CONNECT", ("raw", "ann/", "0")),
    goodbye("CONNECT_ERROR from a client", ("raw", "ann/", '4{"message":"x"}')),
    goodbye("packet of no type of Engine.IO", ("frame", "ann/", "x")),
    goodbye("ping of a client", ("frame", "ann/", "2")),
    goodbye("reserved event", ("raw", "ann/", '2["disconnect"]')),
    Scenario(
        "goodbye: the server closes",
        [CHAT, *GOODBYES],
        [
            ("open", "ann/"),
            ("open", "ann/chat", {"share": "ann/"}),
            ("do", ["ann/", ["join", "a"]]),
            ("do", ["io", ["close"]]),
            ("logged", 10),
            ("hears", "ann/", "disconnect"),
        ],
    ),
    Scenario(
        "errors of packets are told to every socket",
        [for_each_socket(on("error", log("error", 0)), nsp=nsp) for nsp in ("/", "/chat")] + [CHAT],
        [
            ("open", "ann/"),
            ("open", "ann/chat", {"share": "ann/"}),
            ("raw", "ann/", "2[]"),
            ("logged", 2),
        ],
    ),
    Scenario(
        "middlewares in their order, and their words",
        [
            [
                "io",
                use(log("first")),
            ],
            ["io", use(log("second"))],
            ["io", ["of", "/plain"], use(["refuse", "not authorized"]), use(log("never"))],
            ["io", ["of", "/data"], use(["refuse", "no", 1])],
            ["io", ["of", "/object"], use(["refuse", "no", {"code": 7, "more": [None, "é"]}])],
        ],
        [
            ("open", "ann/"),
            ("open", "ann/plain", {"share": "ann/"}),
            ("open", "ann/data", {"share": "ann/"}),
            ("open", "ann/object", {"share": "ann/"}),
            ("emit", "ann/", "still there"),
        ],
    ),
    Scenario(
        "middlewares for packets",
        [
            for_each_socket(
                ["on_any", {"handler": [log("any")]}],
                ["use", {"packet": [log("first")]}],
                ["use", {"packet": [["set", 1, "changed"]]}],
                ["use", {"packet": [log("last")]}],
                on("x", log("x"), ["return", "answer"]),
                on("error", log("error")),
            ),
            for_each_socket(
                ["use", {"packet": [["refuse", "no", {"code": 1}]]}],
                on("x", log("never"), ["return", "answer"]),
                on("error", log("error")),
                nsp="/strict",
            ),
            ["io", ["of", "/strict"], SETTLE],
        ],
        [
            ("open", "ann/"),
            ("emit", "ann/", "x", 1, 2),
            ("ask", "ann/", "x", 1),
            ("open", "bob/strict"),
            ("emit", "bob/strict", "x", 1),
            ("logged", 9),
        ],
    ),
    Scenario(
        "sockets in bulk",
        [],
        [
            *FOUR,
            ("do", ["io", ["fetch_sockets"]]),
            ("do", ["io", ["in_", "a"], ["fetch_sockets"]]),
            ("do", ["io", ["in_", "a"], ["except_", "b"], ["fetch_sockets"]]),
            ("do", ["cat/", "broadcast", ["fetch_sockets"]]),
            ("do", ["io", ["except_", "a"], ["sockets_join", ["c", "d"]]]),
            ("do", ["io", ["in_", "c"], ["fetch_sockets"]]),
            ("do", ["io", ["in_", "d"], ["fetch_sockets"]]),
            ("do", ["io", ["in_", "a"], ["sockets_join", "c"]]),
            ("do", ["io", ["in_", "b"], ["sockets_leave", ["c", "d"]]]),
            ("do", ["io", ["in_", "c"], ["fetch_sockets"]]),
            ("do", ["io", ["of", "/"], "local", ["in_", "c"], ["fetch_sockets"]]),
            ("do", ["cat/", ["to", "b"], ["disconnect_sockets"]]),
            ("hears", "bob/", "disconnect"),
            ("do", ["io", ["fetch_sockets"]]),
            ("do", ["io", ["disconnect_sockets", True]]),
            ("hears", "ann/", "disconnect"),
            ("hears", "cat/", "disconnect"),
            ("hears", "dan/", "disconnect"),
            ("do", ["io", ["fetch_sockets"]]),
        ],
    ),
    Scenario(
        "events of rooms",
        [
            ["io", ["of", "/"], "adapter", on(event, log(event))]
            for event in ("create-room", "join-room", "leave-room", "delete-room")
        ],
        [
            ("open", "ann/"),
            ("do", ["ann/", ["join", ["a", "b"]]]),
            ("do", ["ann/", ["join", "a"]]),
            ("open", "bob/"),
            ("do", ["bob/", ["join", "a"]]),
            ("do", ["bob/", ["leave", "c"]]),
            ("do", ["bob/", ["leave", "a"]]),
            ("do", ["io", ["in_", "b"], ["sockets_leave", "b"]]),
            ("do", ["io", ["except_", "a"], ["sockets_join", "b"]]),
            ("leave", "ann/"),
            ("logged", 22),
            ("leave", "bob/"),
            ("logged", 26),
        ],
    ),
    Scenario(
        "reserved names",
        [],
        [
            ("open", "ann/"),
            *[
                ("do", [root, *links, ["emit", event]])
                for event in ("connect", "connect_error", "disconnect", "newListener")
                for root, *links in (["io"], ["ann/"], ["io", ["to", "a"]], ["ann/", "broadcast"])
            ],
            *[
                ("do", ["io", ["server_side_emit", event]])
                for event in ("connect", "connection", "new_namespace")
            ],
            ("do", ["io", ["emit", "connection"]]),
            ("do", ["io", ["emit", "error"]]),
        ],
    ),
    Scenario(
        "dynamic namespaces by pattern",
        [
            ["io", on("new_namespace", log("new"))],
            [
                "io",
                ["of", {"regex": r"^/child-\d+$"}],
                ["as", "parent"],
                SETTLE,
                use(log("middleware")),
                on("connection", log("connection")),
                ["to", "a"],
                ["as", "parent to a"],
            ],
        ],
        [
            ("open", "ann/child-1"),
            ("open", "bob/child-2"),
            ("open", "cat/child-1"),
            ("open", "dan/child-x"),
            ("do", ["bob/child-2", ["join", "a"]]),
            ("do", ["parent", ["emit", "all children"]]),
            ("do", ["parent to a", ["emit", "in rooms of all children"]]),
            ("do", ["parent", ["except_", "a"], ["emit", "but a"]]),
            ("do", ["io", ["of", "/child-1"], ["emit", "one child"]]),
            ("do", ["io", ["of", "/child-3"], ["as", "third"]]),
            ("open", "ann/child-3"),
            ("do", ["third", ["emit", "made by the program"]]),
        ],
    ),
    Scenario(
        "dynamic namespaces by predicate",
        [
            ["io", on("new_namespace", log("new"))],
            [
                "io",
                ["of", {"predicate": [log("no"), ["allow", False]]}],
                on("connection", log("-")),
            ],
            ["io", ["of", {"predicate": [log("fails"), ["refuse", "broken"]]}]],
            [
                "io",
                ["of", {"predicate": [log("yes"), ["wait", 0.02], ["allow", True]]}],
                SETTLE,
                on("connection", log("connection")),
            ],
            ["io", ["of", {"predicate": [log("too late"), ["allow", True]]}]],
        ],
        [
            ("open", "ann/x"),
            ("open", "bob/y"),
            ("do", ["io", ["of", "/x"], ["emit", "x"]]),
        ],
    ),
    Scenario(
        "empty children go",
        [
            ["io", on("new_namespace", log("new"))],
            ["io", ["of", {"regex": "^/x"}], SETTLE, on("connection", log("connection"))],
        ],
        [
            ("open", "ann/x"),
            ("open", "bob/x"),
            ("leave", "ann/x"),
            ("open", "ann/x"),
            ("leave", "bob/x"),
            ("leave", "ann/x"),
            ("wait", 0.05),
            ("open", "cat/x"),
        ],
        {"cleanup_empty_child_namespaces": True},
    ),
    *child_scenarios("websocket"),
    *child_scenarios("polling"),
]
