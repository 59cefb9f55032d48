"""Every feature of an utterance has mean 0 and variance 1, whatever the padding holds."""

import torch

from foresay.layers.cmvn import cmvn

COUNTS = torch.tensor([50, 20, 1, 0])


def test_each_utterance_is_normalized_by_its_own_frames() -> None:
    frames = 3.0 + 2.0 * torch.randn(4, 50, 6)
    found = cmvn(frames, COUNTS)
    for row, count in enumerate(COUNTS.tolist()[:2]):
        own = frames[row, :count]
        torch.testing.assert_close(found[row, :count], (own - own.mean(0)) / own.std(0, correction=0), rtol=1e-3, atol=1e-4)
    assert not found[torch.arange(50) >= COUNTS[:, None]].any()
    assert not found[2].any()  # one frame is its own mean


def test_padding_and_offsets_change_nothing_and_what_is_constant_becomes_zero() -> None:
    frames = torch.randn(4, 50, 6)
    frames[..., 2] = 7.0
    other = torch.where((torch.arange(50) < COUNTS[:, None])[..., None], frames, 1e6)
    torch.testing.assert_close(cmvn(other, COUNTS), cmvn(frames, COUNTS))
    torch.testing.assert_close(cmvn(frames[:2] + 5.0, COUNTS[:2]), cmvn(frames[:2], COUNTS[:2]), rtol=1e-3, atol=1e-4)
    assert not cmvn(frames, COUNTS)[..., 2].any()
