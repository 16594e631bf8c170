import pytest

from roomcast.client.backoff import Backoff


def test_delays_double_up_to_the_longest():
    backoff = Backoff(1, 5, 0)
    assert [backoff.next_delay() for _ in range(6)] == [1, 2, 4, 5, 5, 5]
    assert backoff.attempts == 6


def test_it_begins_anew():
    backoff = Backoff(1, 5, 0)
    backoff.next_delay()
    backoff.next_delay()
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.next_delay() == 1


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(0, 0.5, 1.5), (1, 1, 3), (2, 2, 5), (3, 2.5, 5), (200, 2.5, 5)]
)
def test_chance_is_a_share_of_every_delay(attempt, least, most):
    delays = []
    for _ in range(300):
        backoff = Backoff(1, 5, 0.5)
        backoff.attempts = attempt
        delays.append(backoff.next_delay())
    assert least <= min(delays) < least + 0.2 * (most - least)
    assert most >= max(delays) > most - 0.2 * (most - least)
    assert len(set(delays)) > 290  # also where the longest delay is reached


@pytest.mark.parametrize(("shortest", "longest"), [(10, 5), (0, 0), (0, 5)])
def test_no_delay_exceeds_the_longest(shortest, longest):
    backoff = Backoff(shortest, longest, 1)
    assert all(0 <= backoff.next_delay() <= longest for _ in range(2_000))
