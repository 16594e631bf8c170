import pytest

from roomcast.client.buffer import SendBuffer
from roomcast.codec import Encoder
from roomcast.errors import SendBufferError


def packet(size=10):
    made = Encoder().encode_event("/", "x" * (size - len('42[""]')), ())
    assert made.size == size
    return made


def test_packets_come_in_their_order_and_once():
    buffer = SendBuffer(10, 1_000, "raise")
    packets = [packet() for _ in range(5)]
    for id, each in enumerate(packets):
        assert buffer.push(id, each) == []
    assert (len(buffer), buffer.ids) == (5, set(range(5)))
    assert buffer.take_all() == packets
    assert (len(buffer), buffer.ids, buffer.take_all()) == (0, set(), [])


@pytest.mark.parametrize(("count", "fits"), [(2, True), (3, True), (4, False)])
def test_number_of_packets(count, fits):
    buffer = SendBuffer(3, 1_000, "raise")
    for _ in range(count - 1):
        buffer.push(None, packet())
    if fits:
        buffer.push(None, packet())
    else:
        with pytest.raises(SendBufferError, match="3 events of 30 bytes"):
            buffer.push(None, packet())
    assert len(buffer) == min(count, 3)


@pytest.mark.parametrize(("size", "fits"), [(19, True), (20, True), (21, False)])
def test_bytes_of_packets(size, fits):
    buffer = SendBuffer(10, 30, "raise")
    buffer.push(None, packet(10))
    assert buffer.has_room(packet(size)) == fits


def test_one_larger_packet_enters_an_empty_one():
    buffer = SendBuffer(10, 30, "raise")
    buffer.push(None, packet(100))
    with pytest.raises(SendBufferError):
        buffer.push(None, packet())


def test_oldest_ones_are_dropped():
    buffer = SendBuffer(10, 30, "drop_oldest")
    small = [packet() for _ in range(3)]
    for id, each in enumerate(small):
        buffer.push(id, each)
    middle = packet(15)
    assert buffer.push(3, middle) == [0, 1]
    assert buffer.take_all() == [small[2], middle]
    buffer.push(4, packet())
    large = packet(100)
    assert buffer.push(5, large) == [4]
    assert buffer.take_all() == [large]


def test_newest_one_is_dropped():
    buffer = SendBuffer(1, 30, "drop_newest")
    first = packet()
    buffer.push(0, first)
    assert buffer.push(1, packet()) == [1]
    assert buffer.take_all() == [first]


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_no_room_at_all(policy):
    buffer = SendBuffer(0, 30, policy)
    assert buffer.push(7, packet()) == [7]
    assert len(buffer) == 0


def test_forgotten_packet_gives_its_room_back():
    buffer = SendBuffer(2, 20, "raise")
    buffer.push(0, packet())
    buffer.push(1, packet())
    buffer.forget(0)
    buffer.forget(0)
    buffer.push(2, packet())
    assert buffer.ids == {1, 2}
