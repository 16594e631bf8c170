"""Scenarios about emitting: to whom, with which acknowledgements, heard by which listeners; and about rooms."""

from support.scenario_server import bytes_of
from support.scenario_words import FOUR, emits, for_each_socket, log, on
from support.scenarios import SETTLE, Scenario

__all__ = ["EMIT_SCENARIOS"]

EMIT_SCENARIOS: list[Scenario] = [
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
]
