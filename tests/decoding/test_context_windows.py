"""Context windows: each place is predicted once, the first window by all before it, the others by half a window or more."""

import pytest

from foresay.decoding.context_windows import context_windows, in_window, window_of


@pytest.mark.parametrize("window", [2, 3, 4, 5, 8, 100])
@pytest.mark.parametrize("places", [0, 1, 2, 3, 4, 5, 7, 8, 9, 23, 64])
def test_each_place_is_predicted_once_by_enough_before_it(places: int, window: int) -> None:
    found = list(context_windows(places, window))
    predicted = [place for some in found for place in range(some.first, some.stop)]
    assert predicted == list(range(places))
    assert found[0] == (0, 0, min(places, window))
    for some in found:
        assert some.stop - some.begin <= window
        assert all(window_of(place, window) == some.begin for place in range(some.first, some.stop))
    for some in found[1:]:
        read = [place - some.begin for place in range(some.first, some.stop)]  # symbols, for what stands at the begin is not one
        assert min(read) >= window / 2
    assert len(found) <= max(1, 2 * places / (window - 1))  # as many as the text is long


def test_a_symbol_is_drawn_by_the_window_in_which_it_would_be_scored() -> None:
    text = list(range(30))
    for count in range(30):
        (own,) = [some for some in context_windows(count + 1, 8) if some.first <= count < some.stop]
        assert in_window(text[:count], 8) == text[own.begin : count]
        assert in_window(text[:count], None) == text[:count]
