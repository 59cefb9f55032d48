"""SpecAugment by its laws: how much is hidden, what stays, and what a warp does to a ramp."""

import pytest
import torch
from torch import Tensor

from foresay.evaluation.superb.heads import RecurrentHead
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.spec_augment import FeatureAugmentation, augmented, warp

LENGTHS = torch.tensor([80, 60, 8])


def ramp(size: int = 1) -> Tensor:
    """Frames whose features are their places: (3, 80, D)."""
    return torch.arange(80.0)[None, :, None].repeat(3, 1, size)


def hidden(policy: FeatureAugmentation, seed: int, size: int = 400) -> tuple[Tensor, Tensor]:
    """Which frames (3, 80) and which channels (3, D) are 0 throughout."""
    torch.manual_seed(seed)
    zero = augmented(torch.ones(3, 80, size), LENGTHS, policy).eq(0)
    return zero.all(2), zero.all(1)


def test_a_warp_keeps_order_ends_and_padding_and_leaves_short_utterances() -> None:
    moved = []
    for seed in range(50):
        torch.manual_seed(seed)
        found = warp(ramp(), LENGTHS, 5)[..., 0]
        for row, length in zip(found, LENGTHS.tolist(), strict=True):
            assert row[:length].diff().ge(0).all()
            assert row[0] == pytest.approx(0, abs=2)  # where five frames become one
            assert row[length - 1] == pytest.approx(length - 1, abs=2)
            assert torch.equal(row[length:], torch.arange(float(length), 80))
        assert torch.equal(found[2], torch.arange(80.0))
        moved.append((found - torch.arange(80.0)).abs().amax(1))
    assert 3 < torch.stack(moved)[:, :2].max() <= 5.5
    assert torch.stack(moved)[:, :2].std() > 0.5


def test_spans_are_as_many_and_as_wide_as_stated() -> None:
    policy = FeatureAugmentation(channels=30, channel_spans=3, frames=10, frame_spans=2)
    frames, channels = (torch.stack(rows).float() for rows in zip(*(hidden(policy, seed) for seed in range(200)), strict=True))
    assert not frames[:, 1, 60:].any()
    assert frames.sum(2).max() <= 18
    assert frames[:, 0].sum(1).mean() == pytest.approx(9, rel=0.15)  # two of 0 to 9, which may overlap
    assert channels.sum(2).max() <= 87
    assert channels.sum(2).mean() == pytest.approx(43.5, rel=0.1)
    assert channels.mean((0, 1)).gt(0).float().mean() > 0.95
    assert not torch.equal(channels[:, 0], channels[:, 1])


def test_adaptive_spans_grow_with_the_utterance() -> None:
    policy = FeatureAugmentation(channel_spans=0, adaptive=0.05)  # 4 spans of 0 to 3 frames, 3 of 0 to 2, none
    frames = torch.stack([hidden(policy, seed)[0] for seed in range(100)]).sum(2)
    assert frames.amax(0).tolist() <= [12, 6, 0]
    assert frames.float().mean(0)[:2].tolist() == pytest.approx([6, 3], rel=0.2)


def test_a_head_is_given_all_of_it_when_it_does_not_learn() -> None:
    head = RecurrentHead(LayerSum(1), (4, 3, 2), 3, normed=False, augment=FeatureAugmentation(channels=3))
    frames, lengths = torch.randn(2, 30, 1, 4), torch.tensor([30, 20])
    first, second = head(frames, lengths), head(frames, lengths)
    assert not torch.equal(first, second)
    head.eval()
    assert torch.equal(head(frames, lengths), head(frames, lengths))
