"""The source-filter vocoder: its frames, its filters and its pulses against what they must be."""

import math

import pytest
import torch

from foresay.decoders.istft_vocoder import ISTFTVocoder, MinimumPhase, OverlappingFrames, pulses

RATE, HOP = 16_000, 160


def test_the_inverse_gives_the_waveform_back() -> None:
    frames = OverlappingFrames(HOP, 1024)
    waveforms = torch.randn(2, 40 * HOP)
    spectra = frames(waveforms)
    assert spectra.shape == (2, 40, 513)
    inner = slice(HOP, -HOP)
    torch.testing.assert_close(frames.joined(spectra)[:, inner], waveforms[:, inner], atol=1e-5, rtol=0)


def test_an_impulse_lies_in_the_frames_around_it() -> None:
    """Frame t is centered at sample (t + 1/2) hop, where its window is 1."""
    frames = OverlappingFrames(HOP, 1024)
    waveform = torch.zeros(1, 10 * HOP)
    waveform[0, 4 * HOP + HOP // 2] = 1.0
    loudness = frames(waveform).abs()[0, :, 0]
    torch.testing.assert_close(loudness, torch.eye(10)[4], atol=1e-6, rtol=0)


def test_filtering_frames_is_convolving() -> None:
    """A filter that is the same in all frames, and short enough, is a convolution."""
    frames = OverlappingFrames(HOP, 1024)
    waveform, taps = torch.randn(1, 30 * HOP), torch.randn(200)
    found = frames.joined(frames(waveform) * torch.fft.rfft(taps, 1024))[0]
    whole = torch.nn.functional.conv1d(torch.nn.functional.pad(waveform, (199, 0))[:, None], taps.flip(0)[None, None])[0, 0]
    inner = slice(2 * HOP, -HOP)
    torch.testing.assert_close(found[inner], whole[inner], atol=1e-3, rtol=0)


def test_a_filter_has_the_magnitude_of_its_cepstrum_and_begins_at_once() -> None:
    cepstrum = 0.3 * torch.randn(20) / (1 + torch.arange(20))
    found = MinimumPhase(20, 1024)(cepstrum)
    angles = 2 * math.pi * torch.arange(513) / 1024
    log_magnitude = sum(c * torch.cos(n * angles) for n, c in enumerate(cepstrum.tolist()))
    torch.testing.assert_close(found.abs().log(), log_magnitude, atol=1e-4, rtol=0)
    taps = torch.fft.irfft(found, 1024)
    assert taps[512:].abs().max() < 1e-5  # causal: nothing before it begins
    zeros = torch.linalg.eigvals(_companion(taps[:64]))
    assert zeros.abs().max() < 1.0  # and all its zeros lie within the unit circle


def _companion(taps: torch.Tensor) -> torch.Tensor:
    matrix = torch.diag(torch.ones(len(taps) - 2), -1)
    matrix[0] = -taps[1:] / taps[0]
    return matrix


@pytest.mark.parametrize("hertz", [80.0, 100.0, 123.4, 400.0])
def test_pulses_are_the_sum_of_all_harmonics_below_the_nyquist_frequency(hertz: float) -> None:
    found = pulses(torch.full((1, 3_000), hertz), RATE)[0]
    phase = 2 * math.pi * hertz / RATE * torch.arange(1, 3_001, dtype=torch.float64)
    count = int(RATE / 2 // hertz)
    slow = sum(torch.cos(k * phase) for k in range(1, count + 1)) * math.sqrt(2 / count)
    torch.testing.assert_close(found.double(), slow, atol=2e-3, rtol=0)
    assert float(found[:1_600].square().mean()) == pytest.approx(1.0, abs=0.1)


def test_nothing_sounds_where_nothing_is_voiced_and_the_phase_goes_on_from_there() -> None:
    hertz = torch.full((1, 2_000), 200.0)
    hertz[:, 500:1_000] = 0.0
    found = pulses(hertz, RATE)[0]
    assert not found[500:1_000].any()
    torch.testing.assert_close(found[1_000:1_500], pulses(torch.full((1, 1_000), 200.0), RATE)[0, 500:], atol=1e-4, rtol=0)


@pytest.mark.parametrize("hertz", [7_999.0, 8_000.0, 8_001.0, 30_000.0])
def test_a_pitch_that_nobody_means_is_finite(hertz: float) -> None:
    """An octave error of a monotonous speaker, in the range of a lively one."""
    found = pulses(torch.full((1, 1_000), hertz), RATE)
    assert found.isfinite().all()
    assert found.abs().max() <= math.sqrt(2) + 1e-3


def test_pulses_of_a_long_utterance_keep_their_period() -> None:
    found = pulses(torch.full((1, 60 * RATE), 123.5), RATE)[0]
    phase = 2 * math.pi * 123.5 / RATE * torch.arange(60 * RATE - 99, 60 * RATE + 1, dtype=torch.float64)
    count = int(RATE / 2 // 123.5)
    slow = sum(torch.cos(k * phase) for k in range(1, count + 1)) * math.sqrt(2 / count)
    torch.testing.assert_close(found[-100:].double(), slow, atol=2e-3, rtol=0)


def test_a_waveform_does_not_depend_on_its_batch() -> None:
    vocoder = ISTFTVocoder(6, RATE, size=8, blocks=2, inner=16, coefficients=12, fft=640).eval()
    frames, hertz, noise = torch.randn(2, 30, 6), torch.full((2, 30 * HOP), 120.0), torch.randn(2, 30 * HOP)
    real = torch.ones(2, 30, 1)
    real[1, 20:] = 0
    together = vocoder(frames, real, hertz, noise)
    alone = vocoder(frames[1:, :20], real[1:, :20], hertz[1:, : 20 * HOP], noise[1:, : 20 * HOP])
    torch.testing.assert_close(together[1, : 20 * HOP], alone[0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_pulses_and_noise_are_filtered_each_by_its_own_cepstrum() -> None:
    """Of c_0 alone a filter is exp c_0; c_1 e^-iw under the exponential makes taps c_1^n / n!. c_1 is half of what the network says."""
    vocoder = ISTFTVocoder(6, RATE, size=8, blocks=1, inner=16, coefficients=3)
    vocoder.cepstra.weight.zero_()
    vocoder.cepstra.bias.copy_(torch.tensor([math.log(2.0), 0.0, 0.0, math.log(0.5), 0.8, 0.0]))
    hertz, noise = torch.full((1, 30 * HOP), 120.0), torch.randn(1, 30 * HOP)
    found = vocoder(torch.randn(1, 30, 6), torch.ones(1, 30, 1), hertz, noise)[0]
    taps = torch.tensor([0.5 * 0.4**n / math.factorial(n) for n in range(20)])
    filtered = torch.nn.functional.conv1d(torch.nn.functional.pad(noise, (19, 0))[:, None], taps.flip(0)[None, None])[0, 0]
    inner = slice(2 * HOP, -HOP)
    torch.testing.assert_close(found[inner], (2.0 * pulses(hertz, RATE)[0] + filtered)[inner], atol=1e-4, rtol=0)


@pytest.mark.parametrize("coefficients, fft", [(12, 512), (512, 1024)])
def test_a_transform_that_holds_no_filter_is_refused(coefficients: int, fft: int) -> None:
    with pytest.raises(ValueError, match="holds no filter"):
        ISTFTVocoder(6, RATE, coefficients=coefficients, fft=fft)
