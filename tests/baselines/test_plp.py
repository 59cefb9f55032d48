"""PLP: against loops, the normal equations and the spectrum of its model, and what the contract promises."""

import numpy as np
import torch

from foresay import load
from foresay.baselines.plp import PLP, cepstra, linear_prediction
from reference import spectrogram_loops


def test_equals_loops() -> None:
    waveform = 0.1 * torch.randn(1600)
    frames = PLP().features(waveform[None], torch.tensor([1600]))
    np.testing.assert_allclose(frames.values["plp"][0], spectrogram_loops.plp(waveform.double().numpy()), atol=1e-3)
    assert frames.frame_rate == {"plp": 100.0}
    assert load("plp").layer_names == ("plp",)


def test_the_filter_of_a_known_process_is_found() -> None:
    """x(t) = 1.2 x(t - 1) - 0.72 x(t - 2) + noise of power 1: a pair of poles, of which the autocorrelations follow."""
    first, second = 1.2, -0.72
    power = (1 - second) / ((1 + second) * ((1 - second) ** 2 - first**2))
    rho = [1.0, first / (1 - second)]
    for _ in range(3):
        rho.append(first * rho[-1] + second * rho[-2])
    coefficients, error = linear_prediction(power * torch.tensor(rho, dtype=torch.float64))
    torch.testing.assert_close(coefficients, torch.tensor([-first, -second, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(error, torch.tensor(1.0, dtype=torch.float64))
    poles = np.roots([1.0, -first, -second])
    powers = [float((poles**n).sum().real) / n for n in range(1, 5)]  # the cepstrum of poles
    torch.testing.assert_close(cepstra(coefficients, error), torch.tensor([0.0, *powers], dtype=torch.float64))


def test_silence_is_flat_and_finite() -> None:
    values = PLP().features(torch.zeros(1, 1600), torch.tensor([1600])).values["plp"]
    expected = torch.zeros(39)
    expected[0] = np.log(1e-6) / 3
    torch.testing.assert_close(values[0], expected.expand(10, -1), atol=1e-4, rtol=0)


def test_neither_batch_mates_nor_padding_change_a_clip() -> None:
    extractor = PLP()
    clips = [0.1 * torch.randn(samples) for samples in (1000, 3000)]
    together = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=9.0)
    lengths = torch.tensor([1000, 3000])
    frames = extractor.features(together, lengths)
    assert frames.lengths["plp"].tolist() == extractor.frame_count(lengths, "plp").tolist() == [6, 18]
    for row, clip in enumerate(clips):
        alone = extractor.features(clip[None], torch.tensor([len(clip)])).values["plp"][0]
        torch.testing.assert_close(frames.values["plp"][row, : len(alone)], alone, atol=1e-4, rtol=0)


def test_a_frame_depends_on_its_receptive_field_around_its_center_alone() -> None:
    extractor = PLP()
    waveform = (0.1 * torch.randn(1, 6400)).requires_grad_()
    frame = 20
    extractor.features(waveform, torch.tensor([6400])).values["plp"][0, frame].sum().backward()
    assert waveform.grad is not None
    seen = waveform.grad[0].nonzero().flatten()
    center, reach = extractor.first_center + frame * 160, extractor.receptive_field // 2
    assert center - reach <= seen[0] <= center - reach + 2
    assert center + reach - 2 <= seen[-1] <= center + reach
