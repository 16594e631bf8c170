import asyncio
import gc
import socket
import weakref
from contextlib import ExitStack

import pytest

from roomcast._core import Encoder, Flusher, Outbox, Rooms
from roomcast.engine.deflate import PerMessageDeflate
from roomcast.engine.outbox import DONE, Drain, new_flusher
from roomcast.types import Limits, PacketType
from support.deflate import frames_of, inflated_frames

LIMITS = Limits(send_buffer_mark=100, send_buffer_size=1000)


class Carrier:
    def __init__(self):
        self.flushes = 0

    def flush(self):
        self.flushes += 1


class Owner:
    def __init__(self):
        self.overflows = 0
        self.drops = []

    def on_overflow(self):
        self.overflows += 1

    def on_drop(self, dropped):
        self.drops.append(dropped)


class Line:
    """A transport above a real socket, as asyncio's: it keeps what the socket does not take."""

    def __init__(self, pair, fd=None):
        self.ours, self.theirs = pair
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.fd = self.ours.fileno() if fd is None else fd
        self.written = []

    def write(self, data):
        self.written.append(data)

    def get_write_buffer_size(self):
        return sum(map(len, self.written)) if self.fd >= 0 else 0

    def received(self):
        try:
            return self.theirs.recv(1 << 20)
        except BlockingIOError:
            return b""


def packet(size, event="x"):
    made = Encoder().encode_event("/", event, ("a" * (size - 9 - len(event)),))
    assert made.size == size
    return made


def acknowledgement(size):
    made = Encoder().encode_packet(PacketType.ACK, "/", ["a" * (size - 7)], 1)
    assert made.size == size
    return made


@pytest.fixture
async def flusher(new_line):
    return new_flusher(asyncio.get_running_loop(), LIMITS)


@pytest.fixture
def carrier():
    return Carrier()


@pytest.fixture
def new_line():
    with ExitStack() as stack:

        def make(fd=None):
            pair = socket.socketpair()
            for end in pair:
                stack.enter_context(end)
            return Line(pair, fd)

        yield make


@pytest.fixture
def owner():
    return Owner()


def new_outbox(flusher, carrier, owner):
    made = Outbox(flusher)
    made.carry(carrier)
    made.attach(owner)
    return made


@pytest.fixture
async def outbox(flusher, carrier, owner):
    return new_outbox(flusher, carrier, owner)


async def test_packets_of_one_iteration_are_flushed_together(outbox, carrier):
    outbox.push(packet(20))
    outbox.push_text("2")
    assert carrier.flushes == 0
    await asyncio.sleep(0)
    assert carrier.flushes == 1
    assert outbox.size == 21
    outbox.push_text("2")
    await asyncio.sleep(0)
    assert carrier.flushes == 2


async def test_all_dirty_outboxes_share_one_callback():
    called = []

    class Loop:
        create_future = None

        def call_soon(self, callback):
            called.append(callback)

    flusher = Flusher(Loop(), 100, 1000, "close", 1.0)
    carriers = [Carrier() for _ in range(1000)]
    outboxes = [new_outbox(flusher, carrier, Owner()) for carrier in carriers]
    shared = packet(20)
    for outbox in outboxes:
        outbox.push(shared)
        outbox.push(shared)
    assert len(called) == 1
    called[0]()
    assert [carrier.flushes for carrier in carriers] == [1] * 1000
    assert all(outbox.packets[0] is shared for outbox in outboxes)


async def test_long_flush_is_cut_into_slices():
    flusher = Flusher(asyncio.get_running_loop(), 100, 1000, "close", 0.0)
    carriers = [Carrier() for _ in range(600)]
    outboxes = [new_outbox(flusher, carrier, Owner()) for carrier in carriers]
    for outbox in outboxes:
        outbox.push_text("2")
    flushed = []
    for _ in range(3):
        await asyncio.sleep(0)
        flushed.append(sum(carrier.flushes for carrier in carriers))
    assert flushed == [256, 512, 600]


async def test_a_failing_flush_does_not_keep_the_others_from_theirs(flusher, carrier):
    class Failing:
        def flush(self):
            raise RuntimeError("cannot")

    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    first, second = Outbox(flusher), Outbox(flusher)
    first.carry(Failing())
    second.carry(carrier)
    first.push_text("2")
    second.push_text("2")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert carrier.flushes == 1
    assert [str(error) for error in reported] == ["cannot"]


async def test_size_at_the_limit_passes_and_beyond_closes(outbox, owner, carrier):
    outbox.push(packet(500))
    outbox.push(packet(500))
    assert outbox.size == 1000
    assert outbox.push_text("2")
    outbox.push_text("2")
    assert outbox.size == 1000
    assert len(outbox.packets) == 2
    assert owner.overflows == 0  # not in the middle of the sender's call
    await asyncio.sleep(0)
    assert owner.overflows == 1
    assert carrier.flushes == 0


async def test_one_larger_packet_may_enter_an_empty_outbox(outbox, owner):
    large = packet(5000)
    outbox.push(large)
    assert outbox.size == 5000
    await asyncio.sleep(0)
    assert owner.overflows == 0
    assert outbox.pop() == (large, 0)
    outbox.sent(5000)
    assert outbox.size == 0
    outbox.push(large)
    outbox.push(packet(20))
    await asyncio.sleep(0)
    assert owner.overflows == 1


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_policy_drops_events_and_tells_once_a_tick(policy, carrier, owner):
    flusher = new_flusher(asyncio.get_running_loop(), LIMITS, policy)
    outbox = new_outbox(flusher, carrier, owner)
    sent = [packet(400, f"e{number}") for number in range(5)]
    for item in sent:
        outbox.push(item)
    await asyncio.sleep(0)
    assert owner.drops == [3]
    assert owner.overflows == 0
    assert outbox.packets == (sent[:2] if policy == "drop_newest" else sent[3:])
    assert outbox.size == 800
    await asyncio.sleep(0)
    assert owner.drops == [3]
    assert carrier.flushes == 1


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_policy_never_drops_what_belongs_to_the_protocol(policy, carrier, owner):
    flusher = new_flusher(asyncio.get_running_loop(), LIMITS, policy)
    outbox = new_outbox(flusher, carrier, owner)
    first, event, second = acknowledgement(400), packet(400), acknowledgement(400)
    outbox.push_text("2")
    outbox.push(first)
    outbox.push(event)
    outbox.push(second)
    if policy == "drop_oldest":
        assert outbox.packets == ["2", first, second]
        outbox.push(packet(400))  # nothing older may make room for it
        assert outbox.packets == ["2", first, second]
        outbox.push(acknowledgement(400))
    await asyncio.sleep(0)
    assert owner.overflows == 1


async def test_policy_keeps_the_packet_that_has_partly_left(carrier, owner):
    flusher = new_flusher(asyncio.get_running_loop(), LIMITS, "drop_oldest")
    outbox = new_outbox(flusher, carrier, owner)
    first = Encoder().encode_event("/", "x", (b"a" * 150, b"b" * 150))
    outbox.push(first)
    assert outbox.take_payload(first.size - 300)[0].startswith(b"452-")
    outbox.push(packet(400))
    last = packet(500)
    outbox.push(last)
    assert outbox.packets == [first, last]


async def test_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="no such policy"):
        new_flusher(asyncio.get_running_loop(), LIMITS, "hope")
    with pytest.raises(ValueError, match="negative"):
        Flusher(asyncio.get_running_loop(), 1, 1, "close", -1.0)


async def test_volatile_packets_are_dropped_exactly_while_it_is_not_writable(outbox):
    kept = packet(20)
    assert outbox.push(kept, True)
    outbox.writable = False
    assert not outbox.push(packet(20), True)
    assert outbox.push(kept)
    outbox.writable = True
    assert outbox.push(kept, True)
    assert outbox.packets == [kept, kept, kept]
    outbox.close()
    outbox.writable = False
    assert outbox.push(kept, True)  # a closed one drops everything, which is not news


async def test_congestion_begins_above_the_mark_and_ends_at_it(outbox, flusher):
    outbox.push(packet(100))
    assert not outbox.congested
    outbox.push_text("2")
    assert outbox.congested
    assert flusher.congested == 1
    waiting = asyncio.ensure_future(Drain([outbox]))
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.pop()
    outbox.sent(100)
    assert flusher.congested == 0
    await waiting


async def test_close_lets_everybody_go_on_and_refuses_packets(outbox, flusher):
    outbox.push(packet(200))
    waiting = [asyncio.ensure_future(Drain([outbox])) for _ in range(3)]
    await asyncio.sleep(0)
    outbox.close()
    await asyncio.gather(*waiting)
    assert flusher.congested == 0
    outbox.push(packet(20))
    assert len(outbox.packets) == 1
    outbox.discard()
    assert (outbox.size, outbox.packets, outbox.empty) == (0, [], True)


async def test_overflow_without_an_owner_is_silent(flusher, carrier):
    outbox = Outbox(flusher)
    outbox.carry(carrier)
    outbox.push(packet(900))
    outbox.push(packet(900))
    await asyncio.sleep(0)
    assert carrier.flushes == 1


async def test_line_gets_the_frames_of_a_tick_in_one_piece(flusher, owner, new_line):
    line = new_line()
    outbox = Outbox(flusher)
    outbox.write_to(line, line.fd)
    first, second = packet(20), packet(30)
    outbox.push(first)
    outbox.push_text("2")
    outbox.push(second)
    assert line.received() == b""
    await asyncio.sleep(0)
    assert line.received() == first.frames + b"\x81\x012" + second.frames
    assert line.written == []
    assert outbox.size == 0


async def test_lines_that_hold_the_same_packets_get_the_same_frames(flusher, new_line):
    lines = [new_line() for _ in range(4)]
    outboxes = [Outbox(flusher) for _ in lines]
    for outbox, line in zip(outboxes, lines, strict=True):
        outbox.write_to(line, line.fd)
    first, second, third = packet(20), packet(30), packet(40)
    for index, outbox in enumerate(outboxes):
        outbox.push(first)
        outbox.push(third if index == 2 else second)
    await asyncio.sleep(0)
    received = [line.received() for line in lines]
    assert received[0] == received[1] == received[3] == first.frames + second.frames
    assert received[2] == first.frames + third.frames


async def test_line_hands_what_the_socket_does_not_take_to_the_transport(owner, new_line):
    flusher = new_flusher(asyncio.get_running_loop(), Limits(), "close")
    line = new_line()
    outbox = Outbox(flusher)
    outbox.write_to(line, line.fd)
    outbox.attach(owner)
    large = packet(900_000)
    outbox.push(large)
    await asyncio.sleep(0)
    left = line.get_write_buffer_size()
    assert 0 < left < 900_000
    assert outbox.size == left
    assert line.received() + b"".join(line.written) == large.frames
    outbox.writable = False  # as the transport's pause does
    outbox.push(packet(20))
    await asyncio.sleep(0)
    assert outbox.size == left + 20
    line.written.clear()
    outbox.drained_to(0)
    assert outbox.size == 20
    outbox.writable = True
    outbox.schedule()
    await asyncio.sleep(0)
    assert line.received() == packet(20).frames


async def test_line_without_a_socket_of_its_own_is_written_through_the_transport(flusher, new_line):
    line = new_line(fd=-1)
    outbox = Outbox(flusher)
    outbox.write_to(line, line.fd)
    outbox.push(packet(20))
    await asyncio.sleep(0)
    assert line.written == [packet(20).frames]


async def test_line_that_is_lost_leaves_the_error_to_the_transport(flusher, new_line):
    line = new_line()
    line.theirs.close()
    outbox = Outbox(flusher)
    outbox.write_to(line, line.fd)
    outbox.push(packet(20))
    await asyncio.sleep(0)
    assert line.written == [packet(20).frames]


async def test_line_continues_a_packet_that_a_payload_has_begun(flusher, new_line):
    line = new_line()
    outbox = Outbox(flusher)
    begun = Encoder().encode_event("/", "x", (b"a", b"b"))
    outbox.push(begun)
    outbox.take_payload(len(begun.text) + 1)
    outbox.push_text("2")
    outbox.write_to(line, line.fd)
    await asyncio.sleep(0)
    assert line.received() == b"\x82\x01a\x82\x01b\x81\x012"


async def test_rooms_push_reaches_those_whom_select_names():
    flusher = new_flusher(asyncio.get_running_loop(), LIMITS)
    rooms = Rooms()
    outboxes = {}
    for number in range(50):
        outboxes[str(number)] = Outbox(flusher)
        rooms.add(str(number), number, outboxes[str(number)])
        rooms.join(str(number), [f"mod {number % 3}", f"mod5 {number % 5}"])
    rooms.add("without", "without")
    for names in [
        ((), (), ()),
        (("mod 0", "mod5 1"), (), ("3", "mod5 2")),
        ((), ("mod 1", "mod5 4"), ()),
        (("none",), (), ()),
    ]:
        sent = packet(20)
        assert rooms.push(sent, *names, False) == 0
        reached = {id for id, outbox in outboxes.items() if outbox.packets == [sent]}
        selected = {str(number) for number in rooms.select(*names) if number != "without"}
        assert reached == selected
        for outbox in outboxes.values():
            while outbox.pop() is not None:
                outbox.sent(20)


async def test_rooms_push_counts_the_volatile_packets_that_were_dropped(flusher, carrier):
    rooms = Rooms()
    outboxes = [Outbox(flusher) for _ in range(10)]
    for number, outbox in enumerate(outboxes):
        outbox.carry(carrier)
        outbox.writable = bool(number % 2)
        rooms.add(str(number), number, outbox)
    assert rooms.push(packet(20), (), (), (), True) == 5
    assert [outbox.empty for outbox in outboxes] == [True, False] * 5
    assert rooms.push(packet(20), (), (), (), False) == 0
    await asyncio.sleep(0)
    assert carrier.flushes == 10


async def test_outboxes_in_a_cycle_are_collected(flusher):
    class Transport:
        def flush(self):
            pass

    transport = Transport()
    transport.outbox = Outbox(flusher)
    transport.outbox.carry(transport)
    transport.outbox.attach(transport)
    gone = weakref.ref(transport)
    del transport
    gc.collect()
    assert gone() is None


async def test_done_is_done():
    await DONE
    assert list(DONE.__await__()) == []


def agreement(**parameters):
    offer = "; ".join(
        ["permessage-deflate", *(f"{key}={value}" for key, value in parameters.items())]
    )
    agreed = PerMessageDeflate(threshold=100).deflate().negotiate(offer)
    assert agreed is not None
    return agreed


async def test_line_gets_the_frames_that_its_client_has_agreed_on(new_line):
    flusher = new_flusher(asyncio.get_running_loop(), Limits())
    windows = [None, 9, 15, 9, None]
    lines = [new_line() for _ in windows]
    outboxes = [Outbox(flusher) for _ in windows]
    agreed = [bits and agreement(server_max_window_bits=bits) for bits in windows]
    for outbox, line, one in zip(outboxes, lines, agreed, strict=True):
        outbox.write_to(line, line.fd, one)
    large, small = packet(500), packet(50)
    for sent in ([large], [small], [large, small, packet(600)]):
        for outbox in outboxes:
            for each in sent:
                outbox.push(each)
            outbox.push_text("2")
        await asyncio.sleep(0)
        received = [line.received() for line in lines]
        assert received[0] == received[4] == b"".join(each.frames for each in sent) + b"\x81\x012"
        assert received[1] == received[3]
        for data, bits in zip(received, windows, strict=True):
            frames = frames_of(data)
            assert inflated_frames(frames, bits or 15) == [*(each.text for each in sent), "2"]
            compressed = [first & 0x40 > 0 for first, _ in frames]
            assert compressed == [bits is not None and each is not small for each in sent] + [False]


async def test_what_a_closing_line_takes_is_compressed_too(new_line):
    flusher = new_flusher(asyncio.get_running_loop(), Limits())
    line = new_line()
    outbox = Outbox(flusher)
    outbox.write_to(line, line.fd, agreement())
    outbox.push(packet(500))
    ((first, _),) = frames_of(outbox.take_frames())
    assert first == 0xC1


async def test_flush_that_compresses_much_looks_at_the_clock(new_line):
    flusher = Flusher(asyncio.get_running_loop(), 1 << 20, 1 << 20, "close", 0)
    lines = [new_line() for _ in range(20)]
    one = agreement()
    for number, line in enumerate(lines):
        outbox = Outbox(flusher)
        outbox.write_to(line, line.fd, one)
        outbox.push(packet(40_000, f"event {number}"))
    turns = 0
    arrived = []
    while len(arrived) < len(lines):
        await asyncio.sleep(0)
        turns += 1
        arrived += [line for line in lines if line.received()]
    assert turns == 10


async def test_payload_says_whether_it_may_be_compressed(flusher):
    def no(size):
        return Encoder().encode_event("/", "x", ("a" * (size - 10),), None, False)

    for packets, expected in (
        ([packet(20)], True),
        ([no(20)], False),
        ([no(20), no(20)], False),
        ([no(20), packet(20)], True),
        ([no(20), "2"], True),
        ([no(20), packet(500)], False),  # which has no room any more
    ):
        outbox = Outbox(flusher)
        for each in packets:
            if isinstance(each, str):
                outbox.push_text(each)
            else:
                outbox.push(each)
        payload, compress = outbox.take_payload(200)
        assert payload
        assert compress is expected
    outbox = Outbox(flusher)
    outbox.push(no(20))
    outbox.push(Encoder().encode_event("/", "x", (b"a" * 200,)))
    assert outbox.take_payload(100)[1] is True  # its text had room
    assert outbox.take_payload(100)[1] is True
