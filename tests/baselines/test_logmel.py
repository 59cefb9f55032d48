"""Log-mel as a feature extractor: what the contract promises."""

import numpy as np
import torch

from foresay.baselines.logmel import LogMel
from reference import spectrogram_loops


def test_equals_loops() -> None:
    waveform = 0.1 * torch.randn(1000)
    frames = LogMel().features(waveform[None], torch.tensor([1000]))
    np.testing.assert_allclose(frames.values["logmel"][0], spectrogram_loops.log_mel(waveform.double().numpy()), atol=2e-4)
    assert frames.frame_rate == {"logmel": 100.0}


def test_neither_batch_mates_nor_padding_change_a_clip() -> None:
    extractor = LogMel()
    clips = [0.1 * torch.randn(samples) for samples in (1000, 3000)]
    together = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=9.0)
    lengths = torch.tensor([1000, 3000])
    frames = extractor.features(together, lengths)
    assert frames.lengths["logmel"].tolist() == extractor.frame_count(lengths, "logmel").tolist() == [6, 18]
    for row, clip in enumerate(clips):
        alone = extractor.features(clip[None], torch.tensor([len(clip)])).values["logmel"][0]
        torch.testing.assert_close(frames.values["logmel"][row, : len(alone)], alone, atol=1e-4, rtol=0)


def test_its_gradient_reaches_the_waveform_even_in_silence() -> None:
    waveform = torch.zeros(1, 1600, requires_grad=True)
    LogMel().features(waveform, torch.tensor([1600])).values["logmel"].sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()
