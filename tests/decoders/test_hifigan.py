"""HiFi-GAN's generator: its clock, its sizes, and that padding is not looked at."""

import numpy as np
import pytest
import torch

from foresay.decoders.hifigan import DILATIONS, HiFiGAN, ResidualBlock


def _generator(inputs: int, channels: int, rates: tuple[int, ...], kernels: tuple[int, ...]) -> HiFiGAN:
    return HiFiGAN(inputs, 16_000, channels=channels, rates=rates, kernels=kernels).eval()


def _speak(generator: HiFiGAN, frames: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """It leaves pitch and noise alone."""
    nothing = torch.full((len(frames), frames.shape[1] * generator.hop), torch.nan)
    return generator(frames, real, nothing, nothing)


def test_each_frame_becomes_a_hop() -> None:
    generator = _generator(6, 32, (5, 4, 2), (11, 8, 4))
    assert generator.hop == 40
    assert _speak(generator, torch.randn(2, 7, 6), torch.ones(2, 7, 1)).shape == (2, 280)


def test_the_papers_generator_has_its_size() -> None:
    """HiFi-GAN V1 (Table 1: 13.92 M), which reads 80 mel bands; weights and biases, without the norms' scales."""
    generator = _generator(80, 512, (8, 8, 2, 2), (16, 16, 4, 4))
    scales = sum(p.numel() for name, p in generator.named_parameters() if name.endswith("original0"))
    assert sum(p.numel() for p in generator.parameters()) - scales == 13_926_017
    assert HiFiGAN(384, 16_000).hop == 320


@pytest.mark.parametrize("sign, slope", [(1.0, 1.0), (-1.0, 0.1)])
@torch.no_grad()
def test_a_residual_block_against_convolutions(sign: float, slope: float) -> None:
    """Of positive weights and an impulse, leaky ReLUs are a factor: each pair is 1 + slope^2 dilated x plain."""
    block, random = ResidualBlock(1, 3), np.random.default_rng(0)
    expected = np.ones(1)
    for dilated, plain, step in zip(block.dilated, block.plain, DILATIONS, strict=True):
        taps, other = random.uniform(0.1, 1, size=(2, 3))
        for convolution, own in ((dilated, taps), (plain, other)):
            convolution.weight = torch.tensor(own, dtype=torch.float32)[None, None]
            convolution.bias.zero_()
        apart = np.zeros(2 * step + 1)
        apart[::step] = taps
        pair = slope**2 * np.convolve(apart, other)
        pair[len(pair) // 2] += 1
        expected = np.convolve(expected, pair)
    reach = len(expected) // 2
    states = torch.zeros(1, 1, 2 * reach + 1)
    states[..., reach] = sign
    found = block(states, torch.ones_like(states))[0, 0]
    torch.testing.assert_close(found.flip(0), torch.tensor(sign * expected, dtype=torch.float32))  # networks correlate


@torch.no_grad()
def test_padding_is_not_looked_at() -> None:
    generator = _generator(6, 16, (4, 2), (8, 4))
    for parameter in generator.parameters():
        parameter.normal_(std=0.3)
    frames, real = torch.randn(2, 20, 6), torch.ones(2, 20, 1)
    real[1, 12:] = 0
    together, alone = _speak(generator, frames, real), _speak(generator, frames[1:, :12], real[1:, :12])
    assert float(alone.abs().max()) > 0.01
    torch.testing.assert_close(together[1, : 12 * 8], alone[0], atol=1e-5, rtol=0)


def test_a_shift_by_a_frame_shifts_by_a_hop() -> None:
    generator = _generator(3, 8, (4, 2), (8, 4))
    frames = torch.randn(1, 80, 3)
    one, other = _speak(generator, frames[:, :-1], torch.ones(1, 79, 1)), _speak(generator, frames[:, 1:], torch.ones(1, 79, 1))
    inner = slice(300, 320)
    torch.testing.assert_close(one[:, 308:328], other[:, 300:320], atol=1e-6, rtol=0)
    assert not torch.equal(one[:, inner], other[:, inner])


def test_rates_and_kernels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="even number"):
        _generator(3, 8, (4, 2), (9, 4))
    with pytest.raises(ValueError, match="even number"):
        _generator(3, 8, (4, 2), (8,))
    with pytest.raises(ValueError, match="cannot be halved"):
        _generator(3, 10, (4, 2), (8, 4))
