"""Failures in words: what the server did, and what may be done about it."""

import json
from typing import Any

from roomcast.cli.bench.load import Failure
from roomcast.cli.bench.target import Target
from roomcast.cli.bench.workloads import Workload

__all__ = ["explain"]

LONGEST = 200
"""Characters of a server's own words that are repeated."""


def explain(
    failure: Failure, target: Target, workload: Workload, *, patience: float, made: str
) -> str:
    """Say what went wrong.

    Args:
        failure: What it was.
        target: The server.
        workload: What was asked of it.
        patience: Seconds that it had for it.
        made: How many connections there were, in words.
    """
    detail = failure.detail[:LONGEST]
    match failure.kind:
        case "connect":
            return f"cannot connect to {target.socket_address}: {detail}; {made}"
        case "no port":
            return f"no port of this machine is free for another connection ({detail}); {made}"
        case "connect timeout":
            return f"the server is too slow: {detail} did not come within {patience:g} s; {made}"
        case "upgrade":
            return f"{_upgrade(detail, target)}; {made}"
        case "open":
            return f"this is a WebSocket, but not of Socket.IO 3 or later: it began with {detail!r}"
        case "refused":
            return f"namespace {target.nsp} refuses the client: {_message(detail)}; {made}"
        case "no reply":
            return _no_reply(workload, patience)
        case "stalled":
            behind = f": {detail}" if detail else ""
            return f"nothing came for {patience:g} s{behind}"
        case "process":
            return f"the server's process cannot be looked at: {detail}"
        case "frame":
            return f"the server has broken the WebSocket protocol: {detail}"
        case _:
            return f"{detail}; {made}"


def _upgrade(detail: str, target: Target) -> str:
    status = detail.split(" ", 1)[0]
    if status == "404":
        return f"no Socket.IO server at {target.path}: {detail}; --path names another place"
    if status == "403":
        return (
            f"the server refuses a WebSocket at {target.path}: {detail}; "
            "--path names another place, --header gives it what it may want"
        )
    if status.isdecimal():
        return f"the server refuses a WebSocket at {target.path}: {detail}"
    return f"this is no HTTP server: it answered {detail!r}"


def _message(detail: str) -> str:
    """Return the message of a CONNECT_ERROR."""
    try:
        answer: Any = json.loads(detail)
        message = str(answer["message"])
    except (ValueError, LookupError, TypeError):
        return detail
    if message == "Invalid namespace":
        return f"{message}; the path of the URL names it"
    return f"{message} (--auth and --header give it what it may want)"


def _no_reply(workload: Workload, patience: float) -> str:
    if workload.reply:
        wanted = f'event "{workload.reply}"'
    else:
        wanted = "acknowledgement"
    return (
        f'the server has sent no {wanted} within {patience:g} s after event "{workload.event}": '
        f'it needs a handler for "{workload.event}", which roomcast bench --help shows'
    )
