"""The Fourier transform gives a grouped convolution's values and gradients; the weight norm is PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foresay.layers.transformer import PositionalConvolution, slide


@given(kernel=st.integers(1, 20), time=st.integers(1, 70), groups=st.sampled_from([1, 2, 4]), batch=st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_slide_is_a_grouped_convolution(kernel: int, time: int, groups: int, batch: int) -> None:
    frames = torch.randn(batch, time, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(8, 8 // groups, kernel, dtype=torch.float64, requires_grad=True)
    plain = F.conv1d(frames.transpose(1, 2), weight, padding=kernel // 2, groups=groups)[..., :time].transpose(1, 2)
    found = slide(frames, weight, groups)
    torch.testing.assert_close(found, plain, atol=1e-10, rtol=0)
    asked = torch.randn_like(plain)
    gradients = (torch.autograd.grad((values * asked).sum(), [frames, weight]) for values in (found, plain))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


def test_as_published_it_is_a_weight_normed_convolution() -> None:
    torch.manual_seed(0)
    ours = PositionalConvolution(64)
    plain = nn.Conv1d(64, 64, 128, padding=64, groups=16)
    with torch.no_grad():
        ours.gain.mul_(torch.rand(1, 1, 128) + 0.5)
        plain.weight.copy_(ours.direction * ours.gain / ours.direction.norm(dim=(0, 1), keepdim=True))
        plain.bias.copy_(ours.bias.normal_())
    normed = nn.utils.parametrizations.weight_norm(plain, dim=2)
    torch.testing.assert_close(normed.parametrizations.weight.original0, ours.gain)
    frames = torch.randn(2, 300, 64)
    theirs = F.gelu(normed(frames.transpose(1, 2))[..., :-1]).transpose(1, 2)
    torch.testing.assert_close(ours(frames), theirs, atol=1e-5, rtol=0)


def test_padding_is_silence() -> None:
    torch.manual_seed(0)
    position = PositionalConvolution(8, kernel=6, groups=2)
    frames, lengths = torch.randn(3, 11, 8), torch.tensor([11, 4, 0])
    found = position(frames, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :length], position(frames[row : row + 1, :length])[0], atol=1e-5, rtol=0)
    assert position(frames[:, :0]).shape == (3, 0, 8)


def test_it_begins_with_the_published_spread() -> None:
    torch.manual_seed(0)
    position = PositionalConvolution(128)
    assert float(position.direction.detach().std()) == pytest.approx((4 / (128 * 128)) ** 0.5, rel=0.02)
    torch.testing.assert_close(position.gain, position.direction.norm(dim=(0, 1), keepdim=True))
    assert position.bias.eq(0).all()


def test_bf16_is_near() -> None:
    torch.manual_seed(0)
    position = PositionalConvolution(64)
    frames = torch.randn(2, 50, 64)
    with torch.autocast("cpu", torch.bfloat16):
        found = position(frames.bfloat16())
    torch.testing.assert_close(found.float(), position(frames), atol=0.03, rtol=0.03)
