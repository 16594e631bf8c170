"""Segments on the broker: as they were written, and bytes that are none."""

import pytest

from roomcast.adapters.segments import Segment, pack_segment, read_segment
from roomcast.engine.streams import SEGMENT_SIZE, Flag

NAME = b"AAAAbbb-"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00",
        pack_segment(Flag.OPEN, NAME)[:-1],
        pack_segment(Flag.OPEN, b"AAAA/../"),
        b"\x40" + pack_segment(Flag.OPEN, NAME)[1:],
        pack_segment(Flag.OPEN, NAME, data=b"x" * (SEGMENT_SIZE + 1)),
    ],
)
def test_what_is_no_segment_is_refused(message):
    with pytest.raises(ValueError, match="segment"):
        read_segment(message)


@pytest.mark.parametrize("size", [0, 1, SEGMENT_SIZE - 1, SEGMENT_SIZE])
def test_segments_are_read_as_they_were_written(size):
    segment = Segment(Flag.OPEN | Flag.CLOSE, NAME.decode(), 2**64 - 1, 2**32 - 1, b"x" * size)
    assert read_segment(pack_segment(segment.flags, NAME, *segment[2:])) == segment
