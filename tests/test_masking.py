"""Span masks: the paper's statistics, exact counts, masks that belong to an utterance alone, arrangements that are equally likely."""

from collections import Counter
from itertools import combinations, groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from foresay.errors import UserError
from foresay.masking import SpanLengths, SpanMask, masked_places, near_edges

FIFTEEN_SECONDS = 749


def pieces(masks: Tensor) -> list[int]:
    return [len(list(run)) for mask in masks.tolist() for hidden, run in groupby(mask) if hidden]


def test_statistics_of_the_appendix() -> None:
    """Appendix A: of 15 s, 49 % are masked in pieces of 14.7 frames on average, 10 in the median, about 100 at most."""
    masks = SpanMask(0.065, 10)([FIFTEEN_SECONDS] * 500, torch.arange(500))
    lengths = pieces(masks)
    assert masks.float().mean().item() == pytest.approx(0.49, abs=0.002)
    assert np.mean(lengths) == pytest.approx(14.7, abs=0.3)
    assert np.median(lengths) == 10
    assert 75 <= max(lengths) <= 125


def test_frames_are_hidden_alike_but_at_the_edges() -> None:
    chances = SpanMask(0.065, 10)([200] * 3000, torch.arange(3000)).float().mean(0)
    inner = chances[10:-10]
    assert (inner - inner.mean()).abs().max() < 4.5 * 0.5 / 3000**0.5
    assert chances[0] < chances[5] < inner.mean()  # fewer spans reach them
    assert chances[-1] < chances[-6] < inner.mean()


@given(st.floats(0.01, 0.12), st.integers(1, 12), st.integers(40, 400), st.integers(0, 2**40))
def test_equally_long_utterances_have_equally_many(probability: float, length: int, frames: int, key: int) -> None:
    mask = SpanMask(probability, length)
    expected = round((1 - (1 - probability) ** length) * frames)
    if expected < 2:
        return
    masks = mask([frames] * 3, torch.tensor([key, key + 1, key + 2]))
    assert masks.sum(1).tolist() == [expected] * 3


@pytest.mark.parametrize("overlap", [True, False])
def test_a_mask_belongs_to_its_utterance_alone(overlap: bool) -> None:  # noqa: FBT001
    mask = SpanMask(0.03, 10, overlap=overlap)
    lengths, keys = [50, 120, 77], torch.tensor([5, 2**62, 7])
    together = mask(lengths, keys)
    assert together.shape == (3, 120)
    for row, length, key in zip(together, lengths, keys, strict=True):
        torch.testing.assert_close(mask([length], key[None])[0], row[:length])
        assert not row[length:].any()
    assert not torch.equal(mask([120], torch.tensor([1])), mask([120], torch.tensor([2])))


@pytest.mark.parametrize(
    "spans, length, spread, mean, deviation",
    [("fixed", 10, 0, 10, 0), ("uniform", 16, 15, 16, 80**0.5), ("poisson", 15, 0, 15, 15**0.5), ("normal", 15, 3, 15, 3)],
)
def test_lengths_of_spans(spans: SpanLengths, length: int, spread: float, mean: float, deviation: float) -> None:
    mask = SpanMask(0.02, length, spans=spans, spread=spread, overlap=False)
    assert mask.share == pytest.approx(0.02 * mean, rel=1e-3)
    drawn = mask._draw(20_000, torch.Generator().manual_seed(0)).double()
    assert drawn.mean() == pytest.approx(mean, abs=0.03 * mean)
    assert drawn.std() == pytest.approx(deviation, abs=0.03 * mean)
    lengths = pieces(mask([4000] * 4, torch.arange(4)))
    assert np.mean(lengths) == pytest.approx(mean, rel=0.1)  # the last of each utterance is cut short


def test_overlapping_spans_of_mixed_lengths_hide_what_is_expected() -> None:
    """The share is that of independent starts, simulated here span by span."""
    mask = SpanMask(0.03, 12, spans="uniform", spread=9)
    random = np.random.default_rng(0)
    hidden = np.zeros(200_000, dtype=bool)
    for start in np.flatnonzero(random.random(len(hidden)) < 0.03):
        hidden[start : start + random.integers(3, 22)] = True
    assert mask.share == pytest.approx(hidden.mean(), abs=0.005)


def test_arrangements_without_overlap_are_equally_likely() -> None:
    """Two spans of 2 in 10 frames, apart: 21 ways."""
    draws = 4200
    masks = SpanMask(0.2, 2, overlap=False)([10] * draws, torch.arange(draws))
    found = Counter(tuple(mask) for mask in masks.tolist())
    ways = [(a, b) for a, b in combinations(range(9), 2) if b > a + 2]
    assert len(found) == len(ways) == 21
    assert max(abs(count - draws / 21) for count in found.values()) < 4 * (draws / 21) ** 0.5


def test_what_cannot_be_masked_is_said() -> None:
    with pytest.raises(UserError, match="too short for masked spans of 10"):
        SpanMask(0.065, 10)([10], torch.tensor([0]))
    with pytest.raises(UserError, match="too short"):
        SpanMask(0.0001, 10)([100], torch.tensor([0]))
    with pytest.raises(UserError, match="no keys"):
        SpanMask(0.065, 10)([100], None)
    with pytest.raises(UserError, match="mask_prob"):
        SpanMask(1.65, 10)
    with pytest.raises(UserError, match="would mask 1.20"):
        SpanMask(0.08, 15, overlap=False)
    with pytest.raises(UserError, match="do not stand apart"):
        SpanMask(0.6, 1, overlap=False)([30], torch.tensor([0]))


def test_places() -> None:
    mask = torch.tensor([[False, True, True, False, True], [True, False, False, False, False]])
    places = masked_places(mask)
    assert places.frames.tolist() == [[1, 2, 4], [0, 0, 0]]
    assert places.real.tolist() == [[True] * 3, [True, False, False]]
    assert places.counts == [3, 1]
    values = torch.arange(20.0).view(2, 5, 2)
    torch.testing.assert_close(places.of(values)[0], values[0, [1, 2, 4]])


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_near_edges_against_a_loop(steps: int) -> None:
    lengths = [60, 45]
    mask = SpanMask(0.04, 10)(lengths, torch.tensor([3, 4]))
    expected = torch.zeros_like(mask)
    for row, length in enumerate(lengths):
        unmasked = [t for t in range(length) if not mask[row, t]]
        for t in range(length):
            expected[row, t] = bool(mask[row, t]) and min(abs(t - h) for h in unmasked) <= steps
    assert torch.equal(near_edges(mask, lengths, steps), expected)
