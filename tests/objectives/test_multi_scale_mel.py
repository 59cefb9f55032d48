"""Multi-scale mel loss: laws of a distance, and what is counted."""

import torch

from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.objectives.multi_scale_mel import FLOOR, MultiScaleMel

MEL = MultiScaleMel(16_000, (256, 1024), (20, 80), 45.0)


def test_a_waveform_is_at_no_distance_from_itself() -> None:
    waveforms = torch.randn(2, 8_000)
    assert all(float(term.sum) == 0 for term in MEL(waveforms, waveforms, torch.tensor([8_000, 8_000])).values())


def test_each_scale_is_a_mean_of_its_own() -> None:
    one, other, lengths = torch.randn(2, 8_000), torch.randn(2, 8_000), torch.tensor([8_000, 4_000])
    found = MEL(one, other, lengths)
    assert list(found) == ["mel 256", "mel 1024"]
    for name, window, bands in (("mel 256", 256, 20), ("mel 1024", 1024, 80)):
        spectrogram = LogMelSpectrogram(16_000, window, window // 4, window, bands, FLOOR)
        slow, count = 0.0, 0
        for row, length in enumerate(lengths.tolist()):
            pair = [spectrogram(wave[row : row + 1, :length], torch.tensor([length]))[0] for wave in (one, other)]
            slow += float((pair[0] - pair[1]).abs().mean(1).sum())
            count += len(pair[0])
        assert found[name].count == count
        assert found[name].weight == 45.0 / 2
        torch.testing.assert_close(float(found[name].sum), slow, rtol=1e-4, atol=0)


def test_silence_has_a_finite_gradient() -> None:
    silent = torch.zeros(1, 4_000, requires_grad=True)
    sum(term.sum for term in MEL(silent, torch.randn(1, 4_000), torch.tensor([4_000])).values()).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_half_precision_around_it_changes_nothing() -> None:
    """Energies of loud speech are beyond the range of fp16."""
    loud, other, lengths = torch.randn(1, 4_000).clamp(-1, 1), torch.randn(1, 4_000), torch.tensor([4_000])
    exact = MEL(loud, other, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        rough = MEL(loud, other, lengths)
    assert all(rough[name].sum == term.sum for name, term in exact.items())
    halves = loud.bfloat16(), other.bfloat16()
    for name, term in MEL(*halves, lengths).items():
        assert term.sum == MEL(halves[0].float(), halves[1].float(), lengths)[name].sum
