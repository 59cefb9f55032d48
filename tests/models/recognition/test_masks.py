"""Masks of fine-tuning are as many and as wide as they are said to be."""

import itertools

import pytest
import torch

from foresay.contracts import Masks
from foresay.models.recognition._masks import SPEC_AUGMENT, draw_spans, draw_spec_augment, leveled


def test_spans_begin_as_often_as_they_should() -> None:
    masks = draw_spans([400] * 300, torch.arange(300), 0.05, 10, "masked spans")
    expected = 1 - (1 - 0.05) ** 10
    assert abs(masks.double().mean().item() - expected) < 0.02
    assert not draw_spans([10], torch.arange(1), 0.9, 10, "masked spans").any()  # no longer than a span
    lengths = [len(list(run)) for row in masks.tolist() for masked, run in itertools.groupby(row) if masked]
    assert min(lengths) >= 10


@pytest.mark.parametrize("name, most", [("LB", 100), ("LD", 200), ("SM", 140), ("SS", 140), ("adaptive", 20 * 64)])
def test_a_policy_masks_no_more_than_it_says(name: str, most: int) -> None:
    policy = SPEC_AUGMENT[name]
    frames, channels = draw_spec_augment(policy, [1600] * 400 + [50] * 400, 80, torch.arange(800))
    assert int(frames.sum(1).max()) <= most
    assert int(channels.sum(1).max()) <= policy.bands * policy.band_masks
    assert not frames[400:, 50:].any()
    widest = min(policy.frames, int(policy.share * 1600))
    masks = min(int(policy.per_frame * 1600), policy.frame_masks) if policy.per_frame else policy.frame_masks
    spread = [widest / 2 * masks, policy.bands / 2 * policy.band_masks]  # on average, but for what two masks have in common
    for found, expected in zip((frames[:400], channels), spread, strict=True):
        assert 0.75 * expected < float(found.double().sum(1).mean()) < 1.05 * expected


def test_of_a_short_utterance_the_adaptive_policy_leaves_most() -> None:
    frames, _ = draw_spec_augment(SPEC_AUGMENT["adaptive"], [50] * 200, 80, torch.arange(200))
    assert int(frames.sum(1).max()) <= 4
    assert frames.any()
    whole, _ = draw_spec_augment(SPEC_AUGMENT["LD"], [50] * 200, 80, torch.arange(200))
    assert float(whole.double().mean()) > 0.5


def test_of_fewer_channels_a_policy_masks_the_same_share() -> None:
    _, channels = draw_spec_augment(SPEC_AUGMENT["LB"], [100] * 200, 40, torch.arange(200))
    assert int(channels.sum(1).max()) in {13, 14}


def test_masked_channels_are_their_mean_too() -> None:
    frames = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]]])  # the last one is padding
    masks = Masks(torch.tensor([[False, False, False]]), torch.tensor([[False, True]]))
    assert leveled(frames, masks, torch.tensor([2])).tolist() == [[[1.0, 4.0], [3.0, 4.0], [9.0, 4.0]]]
