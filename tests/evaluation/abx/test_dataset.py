"""Which frames are a token's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foresay.errors import UserError
from foresay.evaluation.abx.dataset import TOLERATED, Dataset, frames_of, make_dataset, normalize
from foresay.evaluation.abx.items import Items, Token
from reference.abx_loops import slice_frames


def items(*times: tuple[float, float], file: str = "one") -> Items:
    return Items.of([Token(file, onset, offset, "a", "b", "c", "kim") for onset, offset in times])


def dataset(features: dict[str, np.ndarray], tokens: Items, rate: float = 100.0, **named: str) -> Dataset:
    chosen = {"slicing": "centers", "normalization": "none", "distance": "euclidean", **named}
    return make_dataset(features, tokens, rate, **chosen)


def ramp(frames: int) -> np.ndarray:
    """Frame t is (t, 1)."""
    return np.stack([np.arange(frames), np.ones(frames)], axis=1).astype(np.float32)


def frames(made: Dataset, token: int) -> list[float]:
    return made.frames[made.starts[token] :][: made.lengths[token], 0].tolist()


@given(st.integers(0, 4000), st.integers(1, 3000), st.sampled_from([50, 100]), st.booleans())
def test_frames_are_those_whose_centers_lie_in_the_token(start: int, length: int, rate: int, loses_last: bool) -> None:  # noqa: FBT001
    onset, offset = start / 10_000, (start + length) / 10_000
    (first,), (stop,) = frames_of(items((onset, offset)), rate, "librilight" if loses_last else "centers")
    expected = slice_frames(ramp(200), onset, offset, rate, loses_last=loses_last)[:, 0].tolist()
    assert list(range(first, stop)) == expected


@given(st.integers(0, 4000), st.integers(1, 3000), st.sampled_from([50, 100]), st.integers(0, 480))
def test_on_the_models_own_clock_frames_are_where_it_says(start: int, length: int, rate: int, first: int) -> None:
    onset, offset, center = start / 10_000, (start + length) / 10_000, first / 16_000
    (begin,), (stop,) = frames_of(items((onset, offset)), rate, "clock", center)
    assert list(range(begin, stop)) == [t for t in range(200) if onset - 1e-9 <= center + t / rate <= offset + 1e-9]


def test_a_convention_does_not_ask_for_the_clock() -> None:
    tokens = items((0.1, 0.2))
    for slicing, stop in (("centers", 20), ("librilight", 19)):
        assert [int(at[0]) for at in frames_of(tokens, 100, slicing, 0.0145)] == [10, stop]
    assert [int(at[0]) for at in frames_of(tokens, 100, "clock", 0.0145)] == [9, 19]
    assert [int(at[0]) for at in frames_of(tokens, 100, "clock")] == [10, 20]  # of plain features, half a frame


def test_rounding_of_times_does_not_lose_a_frame() -> None:
    """0.285 s is 28.499999999999996 frames, and yet the center of frame 28."""
    _, (stop,) = frames_of(items((0.0, 0.285)), 100, "centers")
    assert stop == 29


def test_each_frame_is_kept_once_and_only_if_it_is_in_a_token() -> None:
    made = dataset({"one": ramp(100), "two": ramp(50) + 1000.0}, items((0.1, 0.2), (0.15, 0.3), (0.6, 0.61)))
    assert len(made.frames) == 21
    assert [frames(made, i) for i in range(3)] == [list(range(10, 20)), list(range(15, 30)), [60]]


def test_recordings_may_come_in_any_order() -> None:
    tokens = Items.of([Token(f, 0.0, 0.02, "a", "b", "c", "kim") for f in ("two", "one", "two")])
    made = dataset({"one": ramp(5), "two": ramp(5) + 1000.0}, tokens)
    assert [frames(made, i)[0] for i in range(3)] == [1000.0, 0.0, 1000.0]


def test_tokens_without_a_frame_are_left_out_and_counted() -> None:
    made = dataset({"one": ramp(100)}, items((0.1, 0.2), (0.106, 0.109), (0.3, 0.31)))
    assert (made.without_frames, made.lengths.tolist(), len(made.items)) == (1, [10, 1], 2)
    lossy = dataset({"one": ramp(100)}, items((0.1, 0.2), (0.106, 0.109), (0.3, 0.31)), slicing="librilight")
    assert (lossy.without_frames, lossy.lengths.tolist()) == (2, [9])  # a token of one frame has none left


def test_a_frame_or_two_too_few_are_tolerated_and_counted() -> None:
    tokens = items((0.1, 0.2), (0.9, 1.0), (0.99, 1.0))
    made = dataset({"one": ramp(100 - TOLERATED)}, tokens)
    assert (made.cut_short, made.without_frames) == (2, 1)
    assert frames(made, 1) == list(range(90, 98))
    with pytest.raises(UserError, match=r"the phones of one go on to frame 100 \(1.00 s\), but it has 97 frames at 100 a second"):
        dataset({"one": ramp(100 - TOLERATED - 1)}, tokens)


@pytest.mark.parametrize(
    "features, tokens, message",
    [
        ({"other": ramp(9)}, items((0.0, 0.05)), r"1 of the 1 recordings of the items are missing: one\. There are 1 recordings: other\."),
        ({"one": ramp(9) * np.nan}, items((0.0, 0.05)), "features of one are not finite"),
        ({"one": ramp(9)[:, 0]}, items((0.0, 0.05)), r"must be \(T, D\), not \(9,\)"),
        ({"one": ramp(9)}, items((0.001, 0.004)), "no frame lies in any of the 1 tokens"),
        ({"one": ramp(9)}, items((0.0, 90.0)), "in seconds, not in samples"),
    ],
)
def test_what_does_not_fit_is_reported(features: dict[str, np.ndarray], tokens: Items, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataset(features, tokens)


@pytest.mark.parametrize("field", ["slicing", "normalization", "distance"])
def test_unknown_names_are_reported(field: str) -> None:
    with pytest.raises(UserError, match=f"there is no {field} 'nonsense'"):
        dataset({"one": ramp(9)}, items((0.0, 0.05)), **{field: "nonsense"})


def test_a_recording_is_normalized_over_its_time() -> None:
    features = torch.from_numpy(np.random.default_rng(0).normal(3.0, 5.0, size=(1000, 4)))
    whole = normalize(features, "recording", 100.0)
    torch.testing.assert_close(whole.mean(dim=0), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(whole.var(dim=0), torch.ones(4, dtype=torch.float64))
    assert normalize(features, "none", 100.0) is features


def test_libri_light_normalizes_four_seconds_and_at_last_the_last_four() -> None:
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(1000, 4)).cumsum(axis=0))
    pieces = normalize(features, "librilight", 100.0)
    for here, around in ((slice(0, 400), slice(0, 400)), (slice(400, 800), slice(400, 800)), (slice(800, 1000), slice(600, 1000))):
        expected = (features[here] - features[around].mean(dim=0)) / features[around].std(dim=0)
        torch.testing.assert_close(pieces[here], expected)
    torch.testing.assert_close(normalize(features[:300], "librilight", 100.0), normalize(features[:300], "recording", 100.0))
