"""MFCC: against loops, and what the contract promises."""

import numpy as np
import torch

from foresay.baselines.mfcc import MFCC, derivative
from reference import spectrogram_loops


def test_equals_loops() -> None:
    waveform = 0.1 * torch.randn(2000)
    frames = MFCC().features(waveform[None], torch.tensor([2000]))
    np.testing.assert_allclose(frames.values["mfcc"][0], spectrogram_loops.mfcc(waveform.double().numpy()), atol=1e-3)
    assert frames.frame_rate == {"mfcc": 100.0}


def test_the_derivative_of_a_ramp_is_its_slope() -> None:
    ramp = 3.0 * torch.arange(10.0)[None, :, None]
    torch.testing.assert_close(derivative(ramp, torch.tensor([10]))[0, 2:-2], torch.full((6, 1), 3.0))


def test_neither_batch_mates_nor_padding_change_a_clip() -> None:
    extractor = MFCC()
    clips = [0.1 * torch.randn(samples) for samples in (1000, 3000)]
    together = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=9.0)
    lengths = torch.tensor([1000, 3000])
    frames = extractor.features(together, lengths)
    assert frames.lengths["mfcc"].tolist() == extractor.frame_count(lengths, "mfcc").tolist() == [6, 18]
    for row, clip in enumerate(clips):
        alone = extractor.features(clip[None], torch.tensor([len(clip)])).values["mfcc"][0]
        torch.testing.assert_close(frames.values["mfcc"][row, : len(alone)], alone, atol=1e-4, rtol=0)


def test_a_frame_depends_on_its_receptive_field_around_its_center_alone() -> None:
    extractor = MFCC()
    waveform = (0.1 * torch.randn(1, 6400)).requires_grad_()
    frame = 20
    extractor.features(waveform, torch.tensor([6400])).values["mfcc"][0, frame].sum().backward()
    assert waveform.grad is not None
    seen = waveform.grad[0].nonzero().flatten()
    center, reach = extractor.first_center + frame * 160, extractor.receptive_field // 2
    assert center - reach <= seen[0] <= center - reach + 2
    assert center + reach - 2 <= seen[-1] <= center + reach
