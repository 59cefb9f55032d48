"""YIN as a feature extractor: what the contract promises."""

import torch

from foresay import load
from foresay.baselines.logmel import LogMel
from reference.chirps import chirp


def test_its_frames_are_those_of_logmel() -> None:
    extractor = load("yin")
    waveform, hertz = chirp(120, 240, 1.0, 5)
    frames = extractor.features(waveform[None], torch.tensor([len(waveform)]))
    assert frames.values["f0"].shape == (1, 100, 1)
    assert (extractor.first_center, frames.frame_rate["f0"], extractor.hop("f0")) == (LogMel().first_center, 100.0, 160)
    assert frames.lengths["f0"].tolist() == extractor.frame_count(torch.tensor([16_000]), "f0").tolist() == [100]
    torch.testing.assert_close(frames.values["f0"][0, 50, 0], hertz[extractor.first_center + 50 * 160], rtol=0.01, atol=0)
