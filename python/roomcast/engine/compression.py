"""Which encoding an answer to a poll may have, and the compressing itself.

Pure. Whether an answer is worth compressing (its size, the flag of its packets) is decided where answers are made.
"""

import zlib
from operator import itemgetter
from typing import Final, Literal, TypeAlias

__all__ = ["Encoding", "compress", "negotiate"]

Encoding: TypeAlias = Literal["gzip", "deflate"]
"""A content coding that answers can have; ``deflate`` is the zlib format, as HTTP has it."""

MAX_HEADER: Final = 1_000
"""Characters of ``Accept-Encoding`` that are looked at; an entry that reaches beyond is ignored with all behind it. Browsers send 30."""

ENCODINGS: Final[tuple[Encoding, ...]] = ("gzip", "deflate")
"""What we can do, the preferred one first."""

_NAMES: Final = frozenset({*ENCODINGS, "*"})
_NUMBER: Final = frozenset("0123456789.")


def negotiate(accept_encoding: str) -> Encoding | None:
    """Choose the encoding that a client likes best.

    The highest weight wins; of equal weights a name wins over ``*``, then the earlier in the header, and ``gzip`` where one
    ``*`` stands for both. What is said about ``identity`` changes nothing: a body is sent plain only if neither encoding is
    acceptable. Of an encoding that is named twice the higher weight counts.

    Differs from negotiator: a weight that is not made of digits and at most one point is 0, because ``1e3``, ``0.5x`` and
    ``Infinity`` are numbers by coercion only; and ``Q=0`` is read as ``q=0``, because RFC 9110 does not tell them apart.

    Args:
        accept_encoding: The header; empty if there is none, which accepts nothing.

    Returns:
        The encoding, or ``None`` to send the body plain.

    Cost:
        Linear in the header, of which at most 1 000 characters are looked at.

    Source:
        npm accepts 1.3.8, ``encodings(["gzip", "deflate"])``; negotiator 0.6.3, ``preferredEncodings``.
    """
    if len(accept_encoding) > MAX_HEADER:
        # The entry at the cut may have lost its weight, and with it a "q=0".
        accept_encoding = accept_encoding[:MAX_HEADER].rpartition(",")[0]
    weights: dict[str, tuple[float, int]] = {}
    for place, entry in enumerate(accept_encoding.split(",")):
        name, _, parameters = entry.partition(";")
        name = name.strip(" \t").lower()
        if name in _NAMES:
            weights[name] = max(weights.get(name, (-1.0, 0)), (_weight(parameters), place))
    candidates: list[tuple[float, bool, int, Encoding]] = []
    for encoding in ENCODINGS:
        weight, place = weights.get(encoding) or weights.get("*", (0.0, 0))
        if weight > 0:
            candidates.append((weight, encoding in weights, -place, encoding))
    if not candidates:
        return None
    # Of equals this is the first, and gzip stands first.
    return max(candidates, key=itemgetter(0, 1, 2))[3]


def compress(data: bytes, encoding: Encoding) -> bytes:
    """Compress a body.

    Args:
        data: The body.
        encoding: What `negotiate` chose.

    Returns:
        The compressed body; the same bytes for the same body, because gzip's time is left at zero.

    Cost:
        Linear in the data, some 20 ms for a megabyte of text.

    Source:
        engine.io, ``Polling.doWrite``: zlib's default level, as Node.js has it.
    """
    # 15 is the window of 32 kB; 16 on top asks zlib for gzip's header and trailer.
    return zlib.compress(data, wbits=31 if encoding == "gzip" else 15)


def _weight(parameters: str) -> float:
    """Read the weight of an entry: 1 if none is given, 0 if what is given is no number."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip(" \t").partition("=")
        if name not in ("q", "Q"):
            continue
        value = value.strip(" \t")
        if not _NUMBER.issuperset(value) or value.count(".") > 1:
            return 0.0
        return float(value) if value.strip(".") else 0.0
    return 1.0
