import time

import pytest

from roomcast.client.offsets import DIGITS, is_offset


def yeast(seconds):
    number, text = int(seconds * 1_000), ""
    while number:
        number, digit = divmod(number, 64)
        text = DIGITS[digit] + text
    return text


@pytest.mark.parametrize("days", [0, -1, 1, -365, 365])
def test_time_of_now_is_an_offset(days):
    assert is_offset(yeast(time.time() + days * 86_400))


@pytest.mark.parametrize(
    "text",
    ["PXd3Ab1.0", "abcdefg.1f", "abcdefg._", "1700000000000-0", "65f0c0ffee65f0c0ffee65f0"],
)
def test_forms_of_adapters_are_offsets(text):
    assert is_offset(text)


@pytest.mark.parametrize(
    "text", ["", "goodbye", "letters", "1234567", "hello", "12345678", "abc.1", "17-0", "x" * 24]
)
def test_other_texts_are_none(text):
    assert not is_offset(text)


@pytest.mark.parametrize("days", [-800, 800])
def test_other_times_are_none(days):
    assert not is_offset(yeast(time.time() + days * 86_400))
