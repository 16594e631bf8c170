from roomcast.logs import MAX_REMEMBERED, Once, printable


def test_peers_text_is_escaped_and_cut():
    assert printable("a\x1b[31m\r\né\0" + "b" * 100) == r"a\x1b[31m\r\n\xe9\x00" + "b" * 11
    assert len(printable("é" * 100_000)) == 32


def test_line_is_the_first_once_for_each_peer_and_cause():
    once = Once()
    assert [once.is_first("a", "x"), once.is_first("a", "x")] == [True, False]
    assert once.is_first("a", "y")
    assert once.is_first("b", "x")


def test_crowd_of_peers_costs_no_memory():
    once = Once()
    for number in range(3 * MAX_REMEMBERED):
        assert once.is_first(str(number), "x")
        assert len(once._seen) <= MAX_REMEMBERED
