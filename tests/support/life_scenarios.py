"""Scenarios about a socket's life: middlewares that let it in, namespaces that are made for it, and its end."""

from typing import Any

from support.scenario_server import Chain
from support.scenario_words import emits, for_each_socket, log, on, use
from support.scenarios import SETTLE, Scenario, Step

__all__ = ["LIFE_SCENARIOS"]

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
                        ["wait", 0.6],
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
                        ["wait", 0.4],
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
                    ["of", {"predicate": [log("asked"), ["wait", 0.4], ["allow", True]]}],
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


LIFE_SCENARIOS: list[Scenario] = [
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
    Scenario(
        "fetching the sockets of a parent",
        [["io", ["of", {"regex": "^/x"}], ["as", "parent"], SETTLE]],
        [("open", "ann/x"), ("open", "bob/xx"), ("do", ["parent", ["fetch_sockets"]])],
        differs={
            "server": (
                [["result", ["<ann>", "<bob>"]]],
                [["error", "fetchSockets() is not supported on parent namespaces"]],
                "`fetch_sockets` and its siblings, and acknowledgements, on a dynamic parent",
            )
        },
    ),
    Scenario(
        "an event behind one whose middleware waits",
        [
            for_each_socket(
                ["use", {"packet": [["only", "slow"], ["wait", 0.3]]}],
                on("slow", log("slow")),
                on("quick", log("quick")),
            )
        ],
        [("open", "ann/"), ("emit", "ann/", "slow"), ("emit", "ann/", "quick"), ("logged", 2)],
        differs={
            "server": (
                [["slow", "<ann>"], ["quick", "<ann>"]],
                [["quick", "<ann>"], ["slow", "<ann>"]],
                "events behind one whose packet middleware waits",
            )
        },
    ),
    Scenario(
        "a second CONNECT while the first one waits",
        [["io", use(["wait", 0.4])], ["io", on("connection", log("connection"))]],
        [("begin", "ann/"), ("wait", 0.05), ("raw", "ann/", '0{"name":"ann"}'), ("wait", 0.8)],
        differs={
            "ann/": (
                [["disconnect", "transport close", True]],
                [["connect", "<ann>"]] * 2,
                "a second CONNECT while the first waits for middlewares",
            ),
            "server": (
                [],
                [["connection", "<ann>", "<ann>"]] * 2,
                "a second CONNECT while the first waits for middlewares",
            ),
        },
    ),
    *child_scenarios("websocket"),
    *child_scenarios("polling"),
]
