"""The spectrogram against loops, and the places of its frames against gradients."""

import numpy as np
import pytest
import torch

from foresay.audio.spectrogram import LogMelSpectrogram, mel_filters
from reference import spectrogram_loops


@pytest.fixture
def waveform() -> torch.Tensor:
    times = torch.arange(3000) / 16000
    return 0.2 * torch.sin(2 * torch.pi * 440 * times) + 0.05 * torch.randn(3000)


def test_equals_loops(waveform: torch.Tensor) -> None:
    got = LogMelSpectrogram()(waveform[None], torch.tensor([3000]))[0]
    expected = spectrogram_loops.log_mel(waveform.double().numpy())
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_a_frame_depends_on_its_receptive_field_around_its_center_alone() -> None:
    spectrogram = LogMelSpectrogram()
    frame = 4
    waveform = (0.1 * torch.randn(1, 1600)).requires_grad_()
    spectrogram(waveform, torch.tensor([1600]))[0, frame].sum().backward()
    assert waveform.grad is not None
    seen = waveform.grad[0].nonzero().flatten()
    center = spectrogram.first_center + frame * spectrogram.hop
    reach = spectrogram.receptive_field // 2
    assert spectrogram.receptive_field % 2 == 1
    assert center - reach <= seen[0] <= center - reach + 2  # the outermost taps of the window are nearly zero
    assert center + reach - 2 <= seen[-1] <= center + reach


def test_a_tone_is_loudest_in_the_band_that_holds_it() -> None:
    filters = mel_filters(80, 1024, 16000)
    times = torch.arange(16000) / 16000
    for frequency in (200.0, 1000.0, 5000.0):
        bands = LogMelSpectrogram()(torch.sin(2 * torch.pi * frequency * times)[None], torch.tensor([16000]))[0, 50]
        assert abs(int(bands.argmax()) - int(filters[round(frequency / 16000 * 1024)].argmax())) <= 1


def test_silence_is_the_logarithm_of_the_floor() -> None:
    values = LogMelSpectrogram(floor=1e-6)(torch.zeros(1, 480), torch.tensor([480]))
    torch.testing.assert_close(values, torch.full((1, 3, 80), float(np.log(1e-6))))


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 319, 320, 1000])
def test_frame_count_is_what_comes_out(samples: int) -> None:
    spectrogram = LogMelSpectrogram()
    values = spectrogram(torch.randn(2, samples), torch.tensor([samples, samples]))
    assert values.shape == (2, int(spectrogram.frame_count(torch.tensor(samples))), 80)


def test_too_short_a_transform_is_refused() -> None:
    with pytest.raises(ValueError, match="need a transform longer than 256"):
        mel_filters(80, 256, 16000)


def test_a_transform_holds_its_window() -> None:
    with pytest.raises(ValueError, match="a transform of 1024 samples does not hold a window of 1200"):
        LogMelSpectrogram(48_000, 1200, 480)
