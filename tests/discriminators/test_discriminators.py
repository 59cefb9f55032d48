"""Discriminators: what each looks at, how large they are, and finite gradients into what they judge."""

import math

import pytest
import torch
from torch import nn

from foresay.discriminators import share_of
from foresay.discriminators.multi_period import PERIODS, MultiPeriod
from foresay.discriminators.multi_scale import MultiScale
from foresay.discriminators.multi_scale_stft import WINDOWS, MultiScaleSTFT
from foresay.errors import UserError

KINDS = {"multi-period": (MultiPeriod, 1 / 16), "multi-scale": (MultiScale, 1 / 8), "multi-scale-stft": (MultiScaleSTFT, 1 / 8)}


@pytest.fixture(params=KINDS)
def discriminator(request: pytest.FixtureRequest) -> nn.Module:
    kind, width = KINDS[request.param]
    return kind(width)


def test_scores_give_finite_gradients_to_what_is_judged_and_to_all_weights(discriminator: nn.Module) -> None:
    waveforms = (0.1 * torch.randn(2, 2_500)).requires_grad_()
    given = discriminator(waveforms)
    sum(value.square().mean() for layers in given for value in layers).backward()
    assert waveforms.grad is not None
    assert waveforms.grad.isfinite().all()
    assert (waveforms.grad != 0).double().mean() > 0.9
    assert [name for name, p in discriminator.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@torch.no_grad()
def test_an_utterance_is_judged_alone(discriminator: nn.Module) -> None:
    discriminator.eval()
    waveforms = torch.randn(2, 2_500)
    together, alone = discriminator(waveforms), discriminator(waveforms[1:])
    for mine, own in zip(together, alone, strict=True):
        for here, there in zip(mine, own, strict=True):
            torch.testing.assert_close(here[1:], there, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_period_looks_at_every_pth_sample() -> None:
    """What changes one sample changes the scores of its own column alone."""
    discriminator = MultiPeriod(1 / 16).eval()
    samples = 2 * math.prod(PERIODS)
    waveform = torch.randn(1, samples)
    changed = waveform.clone()
    changed[0, 100] += 1.0
    for period, before, after in zip(PERIODS, discriminator(waveform), discriminator(changed), strict=True):
        length = samples // period
        for _ in range(4):  # strides of 3; the last two layers have none
            length = -(-length // 3)
        assert before[-1].shape == (1, 1, length, period)
        columns = (before[-1] != after[-1]).any(dim=2)[0, 0]
        assert columns.nonzero().flatten().tolist() == [100 % period]


@torch.no_grad()
def test_each_scale_judges_the_mean_of_four_samples_of_the_one_before_at_every_second() -> None:
    discriminator, waveform = MultiScale(1 / 8).eval(), torch.randn(1, 4_000)
    for scale, given in zip(discriminator.of_scales, discriminator(waveform), strict=True):
        for here, there in zip(given, scale(waveform[:, None]), strict=True):
            torch.testing.assert_close(here, there)
        waveform = torch.nn.functional.pad(waveform, (2, 2)).unfold(1, 4, 2).mean(-1)
    assert given[-1].shape[2] == 16  # of 1,001, strides of 2, 2, 4 and 4


def test_what_lies_below_0_is_lessened() -> None:
    """Leaky ReLU: of a layer whose weights are 0, what is given is its bias."""
    for kind, slope in ((MultiPeriod, 0.1), (MultiScale, 0.1), (MultiScaleSTFT, 0.2)):
        discriminator = kind(1 / 8)
        for name, parameter in discriminator.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(parameter, -1.0)
            elif name.endswith("original0"):
                nn.init.zeros_(parameter)
        *layers, scores = discriminator(torch.randn(1, 4_000))[-1]
        assert all(torch.equal(layer, torch.full_like(layer, -slope)) for layer in layers)
        assert torch.equal(scores, torch.full_like(scores, -1.0))


@torch.no_grad()
def test_spectrograms_have_a_hop_of_a_quarter_and_half_the_window_in_frequencies() -> None:
    """Time keeps its steps, and three layers halve the frequencies."""
    for window, layers in zip(WINDOWS, MultiScaleSTFT(1 / 8)(torch.randn(1, 4_096)), strict=True):
        frames = 4 * 4_096 // window + 1
        assert layers[0].shape == (1, 4, frames, window // 2 + 1)
        assert layers[-1].shape == (1, 1, frames, window // 16 + 1)


@torch.no_grad()
def test_a_spectrogram_is_of_hann_windows_and_as_loud_whatever_their_length() -> None:
    discriminator, waveform = MultiScaleSTFT(1 / 8).eval(), torch.randn(1, 4_096)
    for window, network, layers in zip(WINDOWS, discriminator.of_windows, discriminator(waveform), strict=True):
        padded = torch.nn.functional.pad(waveform[None], (window // 2, window // 2), mode="reflect")[0]
        hann = 0.5 - 0.5 * torch.cos(2 * torch.pi * torch.arange(window) / window)
        spectrum = torch.fft.rfft(padded.unfold(1, window, window // 4) * hann) / math.sqrt(window)  # (1, T, F)
        given = torch.stack([spectrum.real, spectrum.imag], dim=1)
        torch.testing.assert_close(layers[0], torch.nn.functional.leaky_relu(network.convolutions[0](given), 0.2), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_score_of_spectrograms_reads_ten_frames_before_and_after_it() -> None:
    """Kernels of three frames, 1, 1, 2, 4, 1 and 1 apart. Sample 2,010 lies in the windows of 128 around samples 32 x 61 to 32 x 64."""
    discriminator, waveform = MultiScaleSTFT(1 / 8).eval(), torch.randn(1, 4_096)
    changed = waveform.clone()
    changed[0, 2_010] += 1.0
    differ = (discriminator(waveform)[0][-1] != discriminator(changed)[0][-1]).any(dim=3)[0, 0]
    assert differ.nonzero().flatten().tolist() == list(range(61 - 10, 64 + 10 + 1))


def test_those_of_hifi_gan_are_as_large_as_published() -> None:
    """Weights and biases of the released configuration, as its layers are described in the paper's appendix A.2."""
    period = sum(a * b * 5 + b for a, b in ((1, 32), (32, 128), (128, 512), (512, 1024), (1024, 1024))) + 1024 * 3 + 1
    scales = [p.numel() for name, p in MultiPeriod().named_parameters() if "original0" in name]
    assert sum(p.numel() for p in MultiPeriod().parameters()) - sum(scales) == len(PERIODS) * period


def test_that_of_several_rates_is_as_large_as_published() -> None:
    """MelGAN's layers, as HiFi-GAN has them; the second and the third have a scale for each channel that is made, by weight norm."""
    made = [(1, 128, 15, 1), (128, 128, 41, 4), (128, 256, 41, 16), (256, 512, 41, 16), (512, 1024, 41, 16), (1024, 1024, 41, 16)]
    made += [(1024, 1024, 5, 1), (1024, 1, 3, 1)]
    weights = sum(before // groups * after * kernel + after for before, after, kernel, groups in made)
    assert sum(p.numel() for p in MultiScale().parameters()) == 3 * weights + 2 * sum(after for _, after, _, _ in made)


def test_that_of_spectrograms_is_as_large_as_published() -> None:
    """EnCodec's: 32 channels, kernels of 3 by 9, the last ones of 3 by 3."""
    made = [(2, 32, 27), *[(32, 32, 27)] * 3, (32, 32, 9), (32, 1, 9)]
    weights = sum(before * after * kernel + 2 * after for before, after, kernel in made)
    assert sum(p.numel() for p in MultiScaleSTFT().parameters()) == len(WINDOWS) * weights


@pytest.mark.parametrize("kind", KINDS)
def test_widths_are_whole_channels_in_whole_groups(kind: str) -> None:
    build = KINDS[kind][0]
    needed = "a multiple of 16: set model.discriminator_width to 0.125" if kind == "multi-scale" else "at least one: set model"
    with pytest.raises(UserError, match=f"makes 0 of the .* channels of a {kind} discriminator, and they must be {needed}"):
        build(0.001)
    for fits in (0.125, 0.375, 1.0):
        assert share_of(128, fits, kind, 16) == 128 * fits
    with pytest.raises(UserError, match=r"makes 51 of the 128 channels .* to 0.375 or 0.5$"):
        share_of(128, 0.4, kind, 16)
