"""Counting durations."""

import pytest

from roomcast.engine.histogram import SECONDS, Histogram


def test_each_duration_falls_into_the_first_bucket_that_holds_it():
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.0, 0.1, 0.2, 1.0, 1.5):
        histogram.observe(seconds)
    assert histogram.counts == [2, 2, 1]
    assert histogram.count == 5
    assert histogram.total == pytest.approx(2.8)


def test_a_copy_stays():
    histogram = Histogram()
    copy = histogram.copy()
    histogram.observe(1.0)
    assert (copy.bounds, copy.count, copy.total) == (SECONDS, 0, 0.0)
