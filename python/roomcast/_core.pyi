"""The Rust core. Public names are re-exported where they belong: `roomcast.codec`, `roomcast.server`."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from types import GenericAlias
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar, final

from typing_extensions import Buffer, disjoint_base

from roomcast.errors import PacketError
from roomcast.types import Limits, PacketType

_S = TypeVar("_S")

class _Carrier(Protocol):
    """A transport that takes packets from an outbox."""

    def flush(self) -> None:
        """Start to send what the outbox holds."""

class _Owner(Protocol):
    """The side of a connection that an outbox sees."""

    def on_overflow(self) -> None:
        """Close the connection: its client does not read."""

    def on_drop(self, dropped: int, /) -> None:
        """Learn that so many packets were dropped for the same reason."""

@final
class Packet:
    """One Socket.IO packet, immutable.

    Args:
        type: One of `PacketType`; ``BINARY_EVENT`` and ``BINARY_ACK`` are taken as ``EVENT`` and ``ACK``.
        data: EVENT: list or tuple, first the event name. ACK: list or tuple of arguments. CONNECT: a dict or ``None``.
            CONNECT_ERROR: a dict or a string. DISCONNECT: ``None``. Kept as it is, not copied.
        nsp: Namespace; starts with ``/``.
        id: Acknowledgement id, or ``None``.

    Raises:
        ValueError: If ``type`` is none of the seven, or ``id`` is negative or above 2^63 - 1.

    Source:
        socket.io-parser, ``Packet``.
    """

    __match_args__ = ("type", "data", "nsp", "id")
    def __new__(
        cls, type: int, data: Any = None, nsp: str = "/", id: int | None = None
    ) -> Packet: ...
    @property
    def type(self) -> PacketType: ...
    @property
    def data(self) -> Any: ...
    @property
    def nsp(self) -> str: ...
    @property
    def id(self) -> int | None: ...
    def __copy__(self) -> Packet: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RawJSON:
    """Serialised JSON that the encoder copies into the packet as it is.

    Args:
        json: One JSON value in UTF-8. Checked for being well-formed once, here.

    Raises:
        ValueError: If it is not exactly one well-formed JSON value.

    Source:
        roomcast.
    """

    def __new__(cls, json: bytes | str) -> RawJSON: ...
    def __bytes__(self) -> bytes: ...

@final
class EncodedPacket:
    """A packet in its wire form, immutable and shared by all its recipients.

    Args:
        messages: What a parser has made of it: a text or not, then binary messages or not, at least one message in all.
        is_event: Whether it is an event, which a full outbox may drop.
        compress: Whether transports may compress it.

    Raises:
        TypeError: If something else is among the messages.
        ValueError: If there are none.

    Attributes:
        text: The Engine.IO text message: its type digit ``4``, then the Socket.IO packet; ``None`` where a parser makes none.
        attachments: One Engine.IO binary message each, to follow the text without anything between.
        messages: The text, if there is one, and the attachments.
        size: Bytes of all messages together, the text counted in UTF-8.
        frames: All messages as WebSocket frames of a server, in one piece; made for the first recipient, then shared.
        compress: Whether transports may compress it.
    """

    @property
    def compress(self) -> bool: ...
    def deflated_frames(self, agreement: Agreement, /) -> bytes:
        """Return the frames for a client that has agreed on permessage-deflate: each message that is long enough compressed.

        Cost:
            Linear in the bytes, for the first client of each window. Other threads run while a long message is compressed.
        """

    @property
    def frames(self) -> bytes: ...
    def __new__(
        cls, messages: list[str | Buffer], is_event: bool, compress: bool, /
    ) -> EncodedPacket: ...
    @property
    def text(self) -> str | None: ...
    @property
    def attachments(self) -> tuple[bytes, ...]: ...
    @property
    def messages(self) -> tuple[str | bytes, ...]: ...
    @property
    def size(self) -> int: ...

@final
class Encoder:
    """Turns packets into their wire form, with the limits and the hook of one server or client.

    Args:
        limits: ``max_attachments``, ``max_depth`` and ``max_int_digits`` apply.
        default: Called for an object that JSON does not know, as in ``json.dumps(default=)``; returns what stands for it, or
            raises ``TypeError`` if it does not know the type either. It comes before the ready support for dates, UUIDs,
            decimals, enums, dataclasses, msgspec Structs and Pydantic models.
        traffic: Counts the events.
    """

    def __new__(
        cls,
        limits: Limits | None = None,
        default: Callable[[Any], Any] | None = None,
        *,
        traffic: Traffic | None = None,
    ) -> Encoder: ...
    def encode(self, packet: Packet, /) -> list[str | bytes]:
        """Return the wire form: the text of the packet, then its attachments.

        Raises:
            EncodeError: If a value has no JSON form, or a limit is passed; it names the path to the value.
            ReservedEventError: If the event belongs to the library.

        Cost:
            Linear in the data; one crossing, one walk.

        Source:
            socket.io-parser, ``Encoder.encode``.
        """

    def encode_event(
        self,
        nsp: str,
        event: str | float,
        args: tuple[Any, ...],
        id: int | None = None,
        compress: bool = True,
        /,
    ) -> EncodedPacket:
        """Encode an EVENT to be emitted; errors as in `encode`, paths as if event and arguments were one list."""

    def encode_packet(
        self, type: int, nsp: str, data: Any = None, id: int | None = None, /
    ) -> EncodedPacket:
        """Encode a packet of any type to be sent; errors as in `encode`."""

@final
class Decoder:
    """Turns what one connection receives into packets; at most one packet is unfinished at a time.

    Args:
        limits: What a packet may measure.
        max_attachments: Overrides the limit of that name.
        traffic: Counts what arrives.

    A decoder belongs to one connection and may be used from any thread, one call at a time.
    """

    def __new__(
        cls,
        limits: Limits | None = None,
        *,
        max_attachments: int | None = None,
        traffic: Traffic | None = None,
    ) -> Decoder: ...
    def feed(self, data: str | Buffer, start: int = 0, /) -> Packet | None:
        """Take the next message of the connection: text is a packet, anything else an attachment.

        Args:
            data: The message. Attachments of type ``bytes`` are kept, others are copied.
            start: Index of the packet's first character in a text, ASCII up to there (1 skips an Engine.IO type digit).

        Returns:
            The finished packet, or ``None`` while attachments are missing. Types 5 and 6 come out as ``EVENT`` and ``ACK``.

        Raises:
            PacketError: If the peer's message is no packet. From then on every call raises it, with the kind
                ``DECODER_CLOSED``: the connection can only be closed.

        Cost:
            Linear in the message; one crossing, one walk.

        Source:
            socket.io-parser, ``Decoder.add``.
        """

    def close(self) -> None:
        """Forget an unfinished packet and refuse further input."""

    @property
    def pending_size(self) -> int:
        """Bytes of the unfinished packet, 0 without one."""

@final
class Flusher:
    """One flush per iteration of the event loop for the outboxes of one server. It belongs to that loop.

    Args:
        loop: The loop.
        mark: Bytes above which an outbox is congested.
        size_limit: Bytes that an outbox holds at most; one larger packet may enter an empty one.
        policy: What happens to what does not fit: ``close``, ``drop_oldest`` or ``drop_newest``.
        slice_time: Seconds that a flush may hold the loop; what is left goes on in the next iteration.
        traffic: Counts what enters the outboxes.

    Raises:
        ValueError: If there is no such policy, or the time is negative.
    """

    def __new__(
        cls,
        loop: asyncio.AbstractEventLoop,
        mark: int,
        size_limit: int,
        policy: str,
        slice_time: float,
        /,
        *,
        traffic: Traffic | None = None,
    ) -> Flusher: ...
    @property
    def congested(self) -> int:
        """How many outboxes are above the mark."""

    def flush(self) -> None:
        """Flush every outbox that has something new; called by the loop."""

@final
class Outbox:
    """The packets that wait for one connection, in their order. It belongs to the loop of its flusher.

    A packet enters whole: nothing comes between its text and its attachments. Its size counts what the transport has not taken
    yet, the packet that it is taking included. What passes the limit is dropped or closes the connection, as the policy says;
    only events are dropped, packets of the protocol itself never.

    Args:
        flusher: Flushes it at the end of each iteration in which it got something.
    """

    def __new__(cls, flusher: Flusher, /) -> Outbox: ...
    def carry(self, carrier: _Carrier, /) -> None:
        """Hand what it holds to this transport from now on, whose ``flush`` takes it."""

    def write_to(
        self,
        transport: asyncio.Transport,
        fd: int,
        agreement: Agreement | None = None,
        /,
        *,
        masked: bool = False,
        base64: bool = False,
    ) -> None:
        """Write what it holds to this transport from now on, as frames of a WebSocket.

        Args:
            transport: Its mark for pausing must be 0: it pauses as soon as it holds anything, and the outbox is not `writable`
                until it is empty again.
            fd: The number of the socket below, which the outbox sends on by itself while the transport is empty; -1 where
                all bytes have to go through the transport. Call `carry` or `discard` before it is closed.
            agreement: What the other end has agreed to its messages being compressed by.
            masked: Whether this is the client's end, whose frames are masked.
            base64: Whether that sends attachments as text.
        """

    def attach(self, owner: _Owner, /) -> None:
        """Name who learns in a flush that the policy has struck: ``on_overflow()`` to close, ``on_drop(count)``."""

    def push(self, packet: EncodedPacket, volatile: bool = False, /) -> bool:
        """Queue a packet; closed or overflown, it takes nothing more, and says nothing.

        Args:
            packet: The packet; it is shared, not copied.
            volatile: Drop it if the outbox is not writable.

        Returns:
            Whether it was not dropped for that.
        """

    def push_text(self, text: str, /) -> bool:
        """Queue a packet of Engine.IO's own, in ASCII."""

    def schedule(self) -> None:
        """Have it flushed, if it holds anything: its transport has room again."""

    @property
    def size(self) -> int:
        """Bytes of what the transport has not taken yet."""

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""

    @property
    def packets(self) -> list[EncodedPacket | str]:
        """What waits; a new list."""

    @property
    def congested(self) -> bool:
        """Whether it is above the mark, so that awaiting an emit waits."""

    @property
    def writable(self) -> bool:
        """Whether what is pushed now leaves with the next flush; its transport says so."""

    @writable.setter
    def writable(self, writable: bool) -> None: ...
    def pop(self) -> tuple[EncodedPacket | str, int] | None:
        """Take the first packet, and how many of its messages went with a polling payload already; it counts until `sent`."""

    def sent(self, size: int, /) -> None:
        """Learn that the transport has taken so many bytes of what was popped."""

    def take_payload(self, limit: int, /) -> tuple[bytes, bool]:
        """Take the packets, or parts of packets, that fit into a polling payload; what is left stays in its order.

        Args:
            limit: Bytes of the payload; a single larger message goes alone.

        Returns:
            The payload, and whether any packet in it may be compressed, as those of Engine.IO's own may.
        """

    def take_frames(self) -> bytes:
        """Take everything, as WebSocket frames of a server."""

    def drained_to(self, left: int, /) -> None:
        """Learn how many bytes of what was taken the transport still holds."""

    def close(self) -> None:
        """Take nothing more; what is there may still be sent. Whoever waits for room goes on."""

    def discard(self) -> None:
        """Close, and drop everything."""

    def drained(self) -> asyncio.Future[None]:
        """Return the future that is done when it is no longer congested; shared by all who wait."""

@final
class Rooms(Generic[_S]):
    """Who is in which room; a socket is any Python object, known by its id.

    It belongs to one event loop; a lock makes it safe, not fast, to use from several threads. A socket's id is a room of its
    own in a separate key space: it holds exactly that socket, and nobody can join or leave it.

    Raises:
        TypeError: From every method, if an id or a room is not a `str`; also if one `str` stands where several are expected.
        UnicodeEncodeError: From every method, if an id or a room holds a lone surrogate.

    Source:
        socket.io-adapter, ``Adapter.rooms`` and ``Adapter.sids``. Differs from socket.io-adapter: own rooms cannot be joined
        by others, because a peer that chooses room names must not be able to read what is sent to an id.
    """

    def __new__(cls) -> Rooms[_S]: ...
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def add(self, id: str, socket: _S, outbox: Outbox | None = None, /) -> None:
        """Add a socket that is in no room yet but its own.

        Args:
            id: Its id.
            socket: The socket.
            outbox: Where `push` puts packets for it.

        Raises:
            ValueError: If the id is there already.
        """

    def remove(self, id: str, /) -> list[str]:
        """Remove a socket; return the rooms that ceased to exist, its own not included. An unknown id is ignored."""

    def join(self, id: str, rooms: Iterable[str], /) -> list[str]:
        """Put a socket into rooms; return those that are new to it. An unknown id is ignored."""

    def leave(self, id: str, room: str, /) -> bool:
        """Take a socket out of a room; return whether it was in it. An unknown id is ignored."""

    def rooms_of(self, id: str, /) -> set[str]:
        """Return a new set of the rooms of a socket, its own (its id) included; empty for an unknown id."""

    def get(self, id: str, /) -> _S | None:
        """Return the socket of an id."""

    def members(self, room: str, /) -> int:
        """Return the number of sockets in a room; 0 for a room that does not exist."""

    def select(
        self,
        to: Sequence[str] = (),
        all_of: Sequence[str] = (),
        except_: Sequence[str] = (),
    ) -> list[_S]:
        """Return the sockets that a broadcast reaches: (union of ``to``) ∩ (each of ``all_of``), without (union of ``except_``).

        Args:
            to: Rooms or socket ids, in any order; repeats are harmless. Empty means every socket.
            all_of: Rooms that a socket must all be in. Empty means no such condition.
            except_: Rooms or socket ids whose members are left out, even if a room above holds them.

        Returns:
            The sockets, each once. A new list; the order is not promised.

        Cost:
            Linear in the members of the rooms named; one crossing. Without ``to`` and ``all_of``: linear in the sockets.

        Source:
            socket.io-adapter, ``Adapter.apply`` and ``computeExceptSids``; ``all_of`` is roomcast's own.
        """

    def push(
        self,
        packet: EncodedPacket,
        to: Sequence[str],
        all_of: Sequence[str],
        except_: Sequence[str],
        volatile: bool,
        /,
    ) -> int:
        """Push a packet to the outboxes of those whom `select` would return for the same names.

        Args:
            packet: The packet.
            to: As for `select`.
            all_of: As for `select`.
            except_: As for `select`.
            volatile: Whether outboxes that are not writable are passed over.

        Returns:
            How many were passed over.

        Cost:
            That of `select`, and some 20 ns for each recipient; one crossing.
        """

    def room_names(self) -> list[str]:
        """Return the names of all rooms that have members, own rooms not included."""

    def __len__(self) -> int:
        """Return the number of sockets."""

@final
class Traffic:
    """What has gone through one server: its encoder, decoders and flusher share it. All numbers only grow."""

    def __new__(cls) -> Traffic: ...
    def note_encoded(self) -> None:
        """Count an event that an encoder in Python has encoded."""

    def note_received(self, size: int, packet: Packet | None, /) -> None:
        """Count a message that a decoder in Python has taken, and the packet that is complete with it, if one is."""

    @property
    def events_encoded(self) -> int:
        """Events that were encoded: a broadcast is one."""

    @property
    def events_queued(self) -> int:
        """Events that have entered outboxes: a broadcast is one for each of its recipients."""

    @property
    def bytes_queued(self) -> int:
        """Bytes of all packets that have entered outboxes, without frames and before compression."""

    @property
    def packets_received(self) -> int:
        """Packets that have arrived whole."""

    @property
    def events_received(self) -> int:
        """Those of them that are events."""

    @property
    def bytes_received(self) -> int:
        """Bytes of all messages that have arrived, without frames and after decompression."""

@final
class VisitReader:
    """Reads the heads of requests that belong to connections on polling, where they say no more than clients do.

    Args:
        max_url_size: Bytes that path and query may have.
        max_headers: How many headers there may be.
        max_head_size: Bytes that they may have.
        max_body: Bytes that a body may be announced with.
    """

    def __new__(
        cls, max_url_size: int, max_headers: int, max_head_size: int, max_body: int, /
    ) -> VisitReader: ...
    def read(self, scope: object, /) -> tuple[str, bool, str | None, str | None] | None:
        """Read a head.

        Args:
            scope: The scope of ASGI.

        Returns:
            The session id, whether it is a GET or else a POST, the ``Origin`` and, beside one, the ``Host``. ``None`` for
            everything that is not as usual, or that a check might refuse because of what stands in the head alone.

        Cost:
            Linear in query and headers; one crossing.
        """

def encode(
    packet: Packet,
    /,
    *,
    default: Callable[[Any], Any] | None = None,
    limits: Limits | None = None,
) -> list[str | bytes]:
    """Return the wire form of a packet: its text, then its attachments.

    Args:
        packet: The packet. Its data is not changed; buffers that can change are copied.
        default: Called for an object that JSON does not know, as in ``json.dumps(default=)``.
        limits: What a packet may measure.

    Raises:
        EncodeError: If a value has no JSON form, or a limit is passed; it names the path to the value.
        ReservedEventError: If the event belongs to the library.

    Cost:
        Linear in the data; one crossing, one walk.

    Source:
        socket.io-parser, ``Encoder.encode``.
    """

@final
class FrameReader:
    """Turns the bytes that the other end sends over its WebSocket into packets.

    Args:
        max_message: Bytes of the largest message, all its fragments together.
        max_fragments: Fragments of one message.
        agreement: What messages may be compressed by; their limit is that of what they become.
        client: Whether this is the client's end, and frames come without a mask.
    """

    def __new__(
        cls,
        max_message: int,
        max_fragments: int,
        agreement: Agreement | None = None,
        /,
        *,
        client: bool = False,
    ) -> FrameReader: ...
    def feed(
        self, data: bytes, decoder: Decoder | None = None, /
    ) -> list[
        Packet
        | str
        | bytes
        | PacketError
        | tuple[Literal["ping"], bytes]
        | tuple[Literal["pong"]]
        | tuple[Literal["close"], int]
        | tuple[Literal["error"], int, str]
        | None
    ]:
        """Return what is complete with these bytes, in order.

        Args:
            data: As it was read, cut anywhere.
            decoder: Makes packets of messages. Without one they are ``str`` and ``bytes``.

        Returns:
            A packet; ``None`` for a message that is part of one whose attachments are missing; a ``str`` for a packet of
            Engine.IO's own; a ``bytes`` for a binary message without a decoder; control frames as tuples, the close with
            its code or 1005. What ends the reading is the last item: an error of the decoder, a close, or ``("error",
            code, reason)`` with the close code to answer.

        Raises:
            RuntimeError: If it is called while it reads.

        Cost:
            Linear in the bytes; one crossing, and one copy of what is incomplete.

        Source:
            RFC 6455, sections 5 to 8; RFC 7692, section 7.2.2.
        """

@final
class Deflate:
    """permessage-deflate as one server wants it of all its clients, or a client offers it.

    Args:
        threshold: Bytes from which on a message is compressed.
        level: The level of zlib, 1 to 9.
        server_max_window_bits: The largest window for messages of the server, 9 to 15.
        client_no_context_takeover: Whether clients must compress each message alone.

    Attributes:
        OFFER: What a client offers, the header ``Sec-WebSocket-Extensions`` of its request: its messages stand alone.
    """

    OFFER: ClassVar[str]

    def __new__(
        cls,
        threshold: int,
        level: int,
        server_max_window_bits: int,
        client_no_context_takeover: bool,
        /,
    ) -> Deflate: ...
    def negotiate(self, offer: str, /) -> Agreement | None:
        """Choose from what a client offers; ``None`` to compress nothing.

        The server always compresses each message alone, so that a broadcast is compressed once for all clients that have agreed
        on the same window.

        Args:
            offer: The header ``Sec-WebSocket-Extensions``, repeated ones joined with commas.

        Raises:
            ValueError: If it is no list of extensions, or has more than 128 names in it.

        Cost:
            Linear in the offer.

        Source:
            RFC 7692, sections 5 and 7.1.
        """

    def accept(self, response: str, /) -> Agreement:
        """Read what a server has answered to `OFFER`.

        Args:
            response: The header ``Sec-WebSocket-Extensions``.

        Raises:
            ValueError: If it is no answer to that.
        """

@final
class Agreement:
    """What both ends have agreed on.

    Attributes:
        response: The header ``Sec-WebSocket-Extensions`` of a server's answer.
    """

    @property
    def response(self) -> str: ...

@final
class Load:
    """Many clients on one Socket.IO server, for ``roomcast bench``.

    Any thread may look at it or stop it while another one runs it.

    Args:
        workload: ``broadcast``, ``echo``, ``ack``, ``binary`` or ``idle``.
        amount: Events that are asked for at a time, or that each client has in flight.
        address: IP address and port of the server.
        sources: IP addresses to connect from, in turn; none leaves it to the system.
        request: The HTTP request for the WebSocket, whole.
        nsp: The namespace.
        auth: The payload of CONNECT as JSON, or nothing.
        event: The event that is sent.
        reply: The event that comes back; acknowledgements have none.
        size: Characters, or bytes, of the payload.
        connections: How many clients.
        connecting: Connections that are made at a time.
        patience: Seconds that the server may take for something that is waited for.
        warming: Seconds that it runs before it is measured.
        measuring: Seconds that it is measured.
        pid: The process of the server, if it is on this machine and known.

    Raises:
        ValueError: If a text is no address, or a time is none.
    """

    def __new__(
        cls,
        workload: str,
        amount: int,
        *,
        address: str,
        sources: Sequence[str],
        request: bytes,
        nsp: str,
        auth: str,
        event: str,
        reply: str,
        size: int,
        connections: int,
        connecting: int,
        patience: float,
        warming: float,
        measuring: float,
        pid: int | None,
    ) -> Load: ...
    def run(
        self,
    ) -> tuple[
        tuple[
            tuple[float, int, int, int, float | None, float | None, int | None] | None,
            tuple[float, int, int, int, float | None, float | None, int | None] | None,
            tuple[float, int, int, int, float | None, float | None, int | None] | None,
            tuple[float, int, int, int, float | None, float | None, int | None] | None,
        ],
        tuple[float, float, float, float] | None,
        tuple[float, float, float, float] | None,
        tuple[str, str] | None,
        tuple[str, str] | None,
    ]:
        """Run to the end, without the interpreter's lock.

        Returns:
            Four marks: before the first connection, with all connections, and at the begin and the end of what was measured;
            ``None`` for those that were not reached. Each is seconds since the start, messages received, bytes in, bytes out,
            own processor time, the server's, and the server's memory.

            Then what was measured, as the seconds that half, nine of ten, 99 of 100 and all do not exceed: from requests to
            replies, and from the request for a broadcast to its last delivery.

            Then kind and words of what ended it early, and of why the first lost connection was lost.

        Raises:
            RuntimeError: If it has run.
        """

    def snapshot(
        self,
    ) -> tuple[
        str,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        int,
        tuple[float, float, float, float] | None,
    ]:
        """Return how it goes.

        Returns:
            The phase, then numbers so far: connections made, messages received, bytes in, bytes out, connections lost, wrong
            replies, replies that nobody asked for, other packets, pings; and the latencies since the last snapshot.
        """

    def stop(self) -> None:
        """Ask it to end soon."""

def encode_payload(
    packets: Iterable[EncodedPacket | str], skip: int, limit: int, /
) -> tuple[bytes, int, int]:
    """Write packets into the body of a polling response, as many as there is room for.

    A `str` is one message, an `EncodedPacket` is its text and then each attachment. A message is never cut; a packet may be
    continued in the next payload, and its messages still follow one another.

    Args:
        packets: What waits to be sent, first one first. It is not changed, and not looked at beyond where the payload ends.
            Text is written as it is: U+001E in it would end the packet there.
        skip: Messages of the first packet that went out with an earlier payload.
        limit: Bytes that the payload may have, separators and base64 included. The first message is written whatever its
            size, or it would never leave.

    Returns:
        The payload, empty if there is nothing to send; the number of packets of which it brings the last message; and how
        many messages of the packet behind them are written, ``skip`` included where that is still the first one.

    Raises:
        TypeError: If a packet is neither of the two.
        UnicodeEncodeError: If a `str` holds a lone surrogate; an `EncodedPacket` never does.

    Cost:
        Linear in the payload; one crossing. Base64 of an attachment is made for the first payload it belongs to and kept in
        the `EncodedPacket`, as is the UTF-8 of a text that is not ASCII.

    Source:
        engine.io-parser, ``encodePayload``. The limit is that of engine.io-client, ``Socket._getWritablePackets``; the
        reference's server has none.
    """

def decode_payload(body: Buffer, /) -> list[str | bytes]:
    """Split the body of a polling request into its packets.

    Args:
        body: The whole body.

    Returns:
        The packets in order, at least one: text with the digit of its type in front, a binary message as `bytes`. What is no
        packet is the last item, since nothing behind it counts: ``""`` for nothing at all (an empty body, a separator at the
        end) and for what is not UTF-8, otherwise a text whose first character is none of ``0`` to ``6``.

    Raises:
        TypeError: If the body is not bytes-like.

    Cost:
        Linear in the body up to where it ends; one crossing. Only what is not ASCII is looked over more than once.

    Source:
        engine.io-parser, ``decodePayload``; base64 as in `decode_base64`. Differs from engine.io: what is not UTF-8 is no
        packet, where Node.js puts U+FFFD into it.
    """

def decode_base64(text: str, start: int = 0, /) -> bytes:
    """Return the bytes of a binary message that came as text.

    Every text stands for some bytes: both alphabets (``+/`` and ``-_``) are taken, characters outside of them are skipped, the
    first ``=`` ends the text, padding may be missing, and a character that is left alone at the end is dropped.

    Args:
        text: The text.
        start: Index of the first character of the base64 (1 skips the ``b`` in front of it).

    Cost:
        Linear in the text; one crossing.

    Source:
        Node.js, ``Buffer.from(text, "base64")``. Differs from Node.js: characters above U+00FF are skipped too, where it
        takes some of them for others.
    """

@disjoint_base
class CompatPacket:
    """A packet with the attributes of python-socketio's; `roomcast.compat.Packet` is what is made of it."""

    packet_type: Any
    data: Any
    namespace: Any
    id: Any
    attachment_count: Any
    attachments: Any
    def __new__(
        cls,
        packet_type: Any = None,
        data: Any = None,
        namespace: Any = None,
        id: Any = None,
        binary: Any = None,
        encoded_packet: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Self: ...
    def __init__(
        self,
        packet_type: Any = ...,
        data: Any = None,
        namespace: str | None = None,
        id: int | None = None,
        binary: bool | None = None,
        encoded_packet: Any = None,
    ) -> None:
        """Make a packet.

        Args:
            packet_type: The type's number, EVENT if it is left out; with binary data 2 becomes 5, and 3 becomes 6.
            data: The payload.
            namespace: The namespace; ``None`` is ``/``.
            id: The acknowledgement id.
            binary: Whether the data is binary; ``None`` looks.
            encoded_packet: A text to decode, which replaces what the others say.

        Raises:
            ValueError: If binary data is given to a type that has no binary form, or the text is no packet.

        Cost:
            Linear in the data, or the text; one crossing.
        """

    def encode(self) -> Any:
        """Return the text of the packet; of a packet of a binary type, a list of its text and its attachments.

        Cost:
            Linear in the data; one crossing, one walk.
        """

    def decode(self, encoded_packet: Any) -> Any:
        """Read a text into the packet; return how many attachments belong to it.

        Raises:
            ValueError: If it is none.

        Cost:
            Linear in the text; one crossing, one walk.
        """

    def add_attachment(self, attachment: Any) -> bool:
        """Take the next attachment; return whether it was the last one, and is in the data now.

        Raises:
            ValueError: If it is one too many.
        """

def data_is_binary(data: Any, /) -> bool:
    """Return whether ``bytes`` or a ``bytearray`` stand somewhere in the lists and dicts of data."""

def deconstruct_binary(data: Any, /) -> tuple[Any, list[Any]]:
    """Return a copy of data with placeholders for what is binary, and the list of that."""

def reconstruct_binary(data: Any, attachments: Any, /) -> Any:
    """Return a copy of data with attachments in the place of their placeholders."""

class CompatMsgPackPacket(CompatPacket):
    """A packet in MessagePack with the attributes of python-socketio's; `roomcast.compat.MsgPackPacket` is what is made of it."""

    def __new__(
        cls,
        packet_type: Any = None,
        data: Any = None,
        namespace: Any = None,
        id: Any = None,
        binary: Any = None,
        encoded_packet: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Self: ...
    def encode(self) -> Any:
        """Return the packet's bytes.

        Raises:
            TypeError: If a value has no form in MessagePack.
            OverflowError: If an integer has more than 64 bits.
        """

    def decode(self, encoded_packet: Any) -> Any:
        """Read bytes.

        Raises:
            ValueError: If they are no MessagePack.
            KeyError: If type or namespace are missing.
        """

@final
class MsgPackEncoder:
    """Turns packets into MessagePack, with the limits and the hook of one server or client.

    Dates are sent as JavaScript's ``Date``, ``bytes`` and their kin as binary, ``None`` as nil; keys that are no strings become
    such, as JavaScript spells them.

    Args:
        limits: ``max_depth`` applies.
        default: Called for an object that MessagePack does not know, as in ``json.dumps(default=)``; returns what stands for it,
            or raises ``TypeError`` if it does not know the type either. It comes before the ready support for UUIDs,
            decimals, enums, dataclasses, msgspec Structs and Pydantic models.
        traffic: Counts the events.
    """

    def __new__(
        cls,
        limits: Limits | None = None,
        default: Callable[[Any], Any] | None = None,
        *,
        traffic: Traffic | None = None,
    ) -> MsgPackEncoder: ...
    def encode(self, packet: Packet, /) -> list[bytes]:
        """Return the wire form: one binary message.

        Raises:
            EncodeError: If a value has no MessagePack form, or a limit is passed; it names the path to the value.
            ReservedEventError: If the event belongs to the library.

        Cost:
            Linear in the data; one crossing, one walk.

        Source:
            socket.io-msgpack-parser, ``Encoder.encode``.
        """

    def encode_event(
        self,
        nsp: str,
        event: str | float,
        args: tuple[Any, ...],
        id: int | None = None,
        compress: bool = True,
        /,
    ) -> EncodedPacket:
        """Encode an EVENT to be emitted; errors as in `encode`, paths as if event and arguments were one list."""

    def encode_packet(
        self, type: int, nsp: str, data: Any = None, id: int | None = None, /
    ) -> EncodedPacket:
        """Encode a packet of any type to be sent; errors as in `encode`."""

@final
class MsgPackValues:
    """Packs and unpacks values that are no packets, as those which the nodes of a cluster send each other.

    Values are as for `MsgPackEncoder` and `MsgPackDecoder`.

    Args:
        limits: ``max_depth`` and ``max_values`` apply.
        default: As for `MsgPackEncoder`.
    """

    def __new__(
        cls, limits: Limits | None = None, default: Callable[[Any], Any] | None = None
    ) -> MsgPackValues: ...
    def pack(self, value: Any, /) -> bytes:
        """Return the bytes of a value.

        Raises:
            EncodeError: If it, or something in it, has no MessagePack form, or a limit is passed.
        """

    def unpack(self, data: bytes, /) -> Any:
        """Return what bytes stand for.

        Raises:
            PacketError: If they are not exactly one value, or beyond the limits.
        """

    def unpack_item(self, data: bytes, index: int, /) -> Any:
        """Return an item of a list, and make nothing of the others; what stands behind it is not looked at.

        Raises:
            PacketError: If the bytes are no list, it is shorter, or the item is no value.
        """

@final
class MsgPackDecoder:
    """Turns the binary messages of one connection into packets.

    JavaScript's ``undefined`` arrives as ``None``, its dates and other timestamps as ``datetime`` in UTC, its buffers as ``bytes``;
    an extension that is none of these as `roomcast.msgpack.Ext`. Keys that are no strings become such, as in JavaScript.

    Args:
        limits: What a packet may measure.
        traffic: Counts what arrives.
    """

    def __new__(
        cls, limits: Limits | None = None, *, traffic: Traffic | None = None
    ) -> MsgPackDecoder: ...
    def feed(self, data: str | Buffer, start: int = 0, /) -> Packet:
        """Take the next message of the connection.

        Args:
            data: The message.
            start: Index of the packet's first byte.

        Returns:
            The packet.

        Raises:
            PacketError: If the peer's message is no packet. From then on every call raises it, with the kind
                ``DECODER_CLOSED``: the connection can only be closed.

        Cost:
            Linear in the message; one crossing, one walk.

        Source:
            socket.io-msgpack-parser, ``Decoder.add``.
        """

    def close(self) -> None:
        """Refuse further input."""
