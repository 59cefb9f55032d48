"""What a model holds worth drawing: known by its shape, and read rightly."""

from html.parser import HTMLParser

import numpy as np
import pytest
from numpy.typing import NDArray

from foresay.reports.example import read_example
from foresay.reports.tensors import ahead, change_rate, draw_tensor, expected_index
from reference.example_run import FRAMES, FUTURE, POSITIONS, PREDICTIONS, example_arrays, staircase


def drawn(array: NDArray[np.generic]) -> str:
    example = read_example(example_arrays())
    assert example is not None
    html = draw_tensor("some_name", array, example, "here")
    HTMLParser().feed(html)
    return html


@pytest.mark.parametrize(
    "shape, pictures",
    [
        ((FRAMES,), 1),
        ((FRAMES, 5), 1),
        ((POSITIONS, 4, 5), 6 + 1),
        ((7,), 1),
        ((7, 5), 1),
        ((3, 7, 5), 3),
        ((9, 7, 5), 6),
    ],
)
def test_any_shape_is_drawn(shape: tuple[int, ...], pictures: int) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    assert drawn(values).count("<svg") == pictures


def test_a_number_is_written() -> None:
    assert "3.142" in drawn(np.array(3.14159))


def test_what_is_not_drawn_is_said() -> None:
    assert "4 dimensions (2 x 3 x 4 x 5)" in drawn(np.zeros((2, 3, 4, 5)))
    assert "not drawn" in drawn(np.array(["a", "b"]))
    assert "not drawn" in drawn(np.zeros((0, 3)))


def test_counts_and_switches_are_drawn_as_numbers() -> None:
    assert "<svg" in drawn(np.arange(FRAMES))
    assert "<svg" in drawn(np.arange(FRAMES) % 2 == 0)


def test_a_monotonic_alignment_shows_where_it_changes() -> None:
    html = drawn(staircase())
    assert html.count("<svg") == 6 + 1
    assert "takes over at a frame" in html


def test_where_only_one_alignment_is_possible_there_is_nothing_to_follow() -> None:
    html = drawn(np.broadcast_to(np.eye(FUTURE), (POSITIONS, FUTURE, FUTURE)).copy())
    assert html.count("<svg") == 6
    assert "each has its own" in html
    assert "takes over" not in html


def test_probabilities_of_a_single_frame_are_drawn() -> None:
    assert "where the weight" in drawn(staircase()[:, :1])


def test_probabilities_in_no_order_show_where_their_weight_lies() -> None:
    html = drawn(staircase()[:, ::-1])
    assert "where the weight" in html


def test_the_expected_index_is_the_mean_of_the_posterior() -> None:
    posterior = np.random.default_rng(0).dirichlet(np.ones(PREDICTIONS), size=(POSITIONS, FUTURE))
    index = expected_index(posterior)
    assert index is not None
    for t in range(POSITIONS):
        for m in range(FUTURE):
            assert index[t, m] == pytest.approx(sum((k + 1) * posterior[t, m, k] for k in range(PREDICTIONS)))
    assert expected_index(posterior * 2) is None


def test_what_is_said_of_a_later_frame_stands_at_that_frame() -> None:
    said = np.arange(12.0).reshape(4, 3)  # said[t, m - 1] is about frame t + m
    placed = ahead(said, 5)
    for m in range(1, 4):
        for frame in range(5):
            t = frame - m
            expected = said[t, m - 1] if 0 <= t < 4 else np.nan
            np.testing.assert_equal(placed[m - 1, frame], expected)


def test_changes_are_counted_at_the_frame_where_they_happen() -> None:
    # Whenever it is predicted, the code changes at frame 5 and only there.
    frames, future = 9, 3
    index = np.array([[1.0 + (t < 5 <= t + m) for m in range(1, future + 1)] for t in range(frames - future)])
    rate = change_rate(index, frames)
    # Changes before frame 3 are not predicted from all distances, nor is one at the last frame.
    np.testing.assert_equal(rate, [np.nan, np.nan, np.nan, 0, 0, 1, 0, 0, np.nan])
