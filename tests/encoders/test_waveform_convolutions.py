"""The front end equals plain convolutions, norms and GELU, whatever stands beside or behind a clip."""

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from foresay.encoders.waveform_convolutions import WaveformConvolutions

PUBLISHED = {"kernels": (10, 3, 3, 3, 3, 2, 2), "strides": (5, 2, 2, 2, 2, 2, 2)}
Norm = Literal["group", "layer"]


def _front_end(norm: Norm, *, bias: bool, padded: bool = False) -> WaveformConvolutions:
    return _shaken(WaveformConvolutions(8, **PUBLISHED, norm=norm, bias=bias, padded=padded))


def _shaken(front_end: WaveformConvolutions) -> WaveformConvolutions:
    """Give every parameter another value than it begins with, in double precision."""
    with torch.no_grad():
        for parameter in front_end.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return front_end.double()


def _plainly(front_end: WaveformConvolutions, waveforms: Tensor) -> Tensor:
    """Encode (B, S) -> (B, T, C) as the paper says it, layer by layer."""
    frames = waveforms[:, None]
    for number, (convolution, norm) in enumerate(zip(front_end.convolutions, front_end.norms, strict=True)):
        frames = F.conv1d(frames, convolution.weight, convolution.bias, stride=convolution.stride)
        if isinstance(norm, torch.nn.LayerNorm):
            frames = norm(frames.transpose(1, 2)).transpose(1, 2)
        elif number == 0:
            frames = F.group_norm(frames, frames.shape[1], norm.weight, norm.bias)
        frames = F.gelu(frames)
    return frames.transpose(1, 2)


def _gradients(front_end: WaveformConvolutions, encoded: Tensor, waveforms: Tensor) -> list[Tensor]:
    asked = torch.randn(encoded.shape, generator=torch.Generator().manual_seed(1), dtype=encoded.dtype)
    return list(torch.autograd.grad((encoded * asked).sum(), [waveforms, *front_end.parameters()]))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("samples", [400, 1_999, 3_200])
def test_values_and_gradients_are_those_of_plain_convolutions(norm: Norm, samples: int, *, bias: bool) -> None:
    front_end = _front_end(norm, bias=bias)
    # With an offset: the norm takes it away.
    waveforms = (torch.randn(3, samples, dtype=torch.float64) + 5).requires_grad_()
    ours, plain = front_end(waveforms), _plainly(front_end, waveforms)
    torch.testing.assert_close(ours, plain, atol=1e-9, rtol=0)
    for ours_of, plain_of in zip(_gradients(front_end, ours, waveforms), _gradients(front_end, plain, waveforms), strict=True):
        torch.testing.assert_close(ours_of, plain_of, atol=1e-8, rtol=1e-6)


@given(
    layers=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=3),
    samples=st.integers(1, 300),
    batch=st.integers(1, 3),
    norm=st.sampled_from(["group", "layer"]),
)
@settings(deadline=None, max_examples=60)
def test_any_kernels_and_strides(layers: list[tuple[int, int]], samples: int, batch: int, norm: Norm) -> None:
    strides = [stride for stride, _ in layers]
    kernels = [stride + more for stride, more in layers]
    front_end = _shaken(WaveformConvolutions(5, kernels, strides, norm, bias=True))
    waveforms = torch.randn(batch, samples, dtype=torch.float64)
    encoded = front_end(waveforms)
    count = int(front_end.frame_count(torch.tensor(samples)))
    assert encoded.shape == (batch, count, 5)
    assert (count > 0) == (samples >= front_end.receptive_field)
    if count > 1 or (norm == "layer" and count):  # PyTorch refuses to normalize a single value
        torch.testing.assert_close(encoded, _plainly(front_end, waveforms), atol=1e-9, rtol=0)


@pytest.mark.parametrize("norm", ["group", "layer"])
@torch.no_grad()
def test_a_clip_is_encoded_as_if_alone(norm: Norm) -> None:
    front_end = _front_end(norm, bias=True)
    lengths = torch.tensor([3_200, 401, 2_000, 399])
    waveforms = torch.randn(4, 3_200, dtype=torch.float64)
    encoded = front_end(waveforms, lengths)
    counts = front_end.frame_count(lengths)
    assert counts.tolist() == [9, 1, 6, 0]
    for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
        torch.testing.assert_close(encoded[row, :count], front_end(waveforms[row : row + 1, :length])[0], atol=1e-9, rtol=0)


@torch.no_grad()
def test_padded_the_norm_takes_in_the_padding() -> None:
    lengths = torch.tensor([3_200, 2_000])
    waveforms = torch.randn(2, 3_200, dtype=torch.float64) * (torch.arange(3_200) < lengths[:, None])
    front_end = _front_end("group", bias=False, padded=True)
    torch.testing.assert_close(front_end(waveforms, lengths), _plainly(front_end, waveforms), atol=1e-9, rtol=0)


@torch.no_grad()
def test_a_quiet_detail_of_loud_low_speech_is_normalized_exactly() -> None:
    front_end = WaveformConvolutions(4, **PUBLISHED, norm="group", bias=False)
    # The fourth difference of a low tone: a millionth of what it is made of.
    front_end.convolutions[0].weight.copy_(F.pad(torch.tensor([1.0, -4.0, 6.0, -4.0, 1.0]), (0, 5)).expand(4, 1, 10))
    waveforms = torch.sin(torch.arange(16_000) * (2 * torch.pi * 100 / 16_000))[None].repeat(2, 1) + 1e-4 * torch.randn(2, 16_000)
    exact = _plainly(front_end.double(), waveforms.double())
    torch.testing.assert_close(front_end.float()(waveforms), exact.float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_bf16_is_near(norm: Norm) -> None:
    front_end = _front_end(norm, bias=norm == "layer").float()
    waveforms = torch.randn(2, 3_200)
    with torch.autocast("cpu", torch.bfloat16):
        encoded = front_end(waveforms)
    exact = front_end(waveforms)
    assert encoded.dtype == torch.bfloat16
    assert (encoded - exact).norm() < 0.03 * exact.norm()
    encoded.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in front_end.parameters())


def test_the_receptive_field_of_a_frame() -> None:
    front_end = _front_end("layer", bias=False)
    assert (front_end.downsampling, front_end.receptive_field, front_end.first_center) == (320, 400, 200)
    assert front_end.frame_count(torch.tensor([399, 400, 719, 720, 16_000, 0])).tolist() == [0, 1, 1, 2, 49, 0]
    waveforms = torch.randn(1, 16_000, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(front_end(waveforms)[0, 7].sum(), waveforms)
    seen = gradient[0].nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (7 * 320, 7 * 320 + 399)
    with pytest.raises(ValueError, match="are ignored"):
        WaveformConvolutions(4, (2, 3), (3, 2), "layer", bias=False)


def test_weights_begin_as_he_says() -> None:
    front_end = WaveformConvolutions(64, **PUBLISHED, norm="layer", bias=True)
    for convolution in front_end.convolutions:
        fan_in = convolution.in_channels * convolution.kernel_size[0]
        assert float(convolution.weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
