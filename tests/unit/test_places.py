import pytest

from roomcast.engine.places import Place, Places
from roomcast.types import Limits


def test_place_is_given_back_unless_it_is_kept():
    places = Places(Limits(max_connections=1))
    with Place(places, "a"):
        assert places.full("b") == "max_connections"
        assert (places.handshakes, places.taken) == (1, 1)
    assert places.full("b") is None
    with Place(places, "a") as place:
        place.keep()
    assert (places.handshakes, places.taken) == (0, 1)
    assert places.full("b") == "max_connections"
    places.leave("a")
    assert places.taken == 0


def test_place_is_given_back_whatever_happens():
    places = Places(Limits())
    with pytest.raises(KeyboardInterrupt), Place(places, "a"):
        raise KeyboardInterrupt
    assert (places.handshakes, places.taken) == (0, 0)


def test_places_of_an_address_are_its_own():
    places = Places(Limits(max_connections_per_address=2))
    with Place(places, "a") as place:
        place.keep()
    with Place(places, "a"):
        assert places.full("a") == "max_connections_per_address"
        assert places.full("b") is None
    assert places.full("a") is None


def test_handshakes_are_limited_by_themselves():
    places = Places(Limits(max_handshakes=1))
    with Place(places, "a") as place:
        assert places.full("b") == "max_handshakes"
        place.keep()
    assert places.full("b") is None
