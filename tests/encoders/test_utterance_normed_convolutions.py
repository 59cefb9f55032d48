"""wav2vec's stacks against torch's own group norm, padding, and what they may not depend on."""

import math

import pytest
import torch
import torch.nn.functional as F

from foresay.encoders.utterance_normed_convolutions import CausalAggregator, UtteranceNorm, UtteranceNormedEncoder
from foresay.errors import UserError

KERNELS, STRIDES = (10, 8, 4, 4, 4, 1, 1), (5, 4, 2, 2, 2, 1, 1)


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_the_norm_is_a_group_norm(groups: int) -> None:
    torch.manual_seed(0)
    norm, frames = UtteranceNorm(6, groups).double(), torch.randn(3, 11, 6, dtype=torch.float64)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    expected = F.group_norm(frames.transpose(1, 2), groups, norm.weight, norm.bias).transpose(1, 2)
    torch.testing.assert_close(norm(frames), expected)
    torch.testing.assert_close(norm(frames, torch.tensor([11, 11, 11])), expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_padding_is_not_counted(groups: int) -> None:
    torch.manual_seed(0)
    norm, frames, lengths = UtteranceNorm(4, groups), 5.0 * torch.randn(3, 9, 4), torch.tensor([9, 4, 0])
    normed = norm(frames, lengths)
    torch.testing.assert_close(normed[1, :4], norm(frames[1:2, :4])[0])
    assert normed.isfinite().all()  # an utterance without frames too


def test_channels_fall_into_groups() -> None:
    with pytest.raises(UserError, match="6 channels do not fall into 4 groups"):
        UtteranceNorm(6, 4)


def test_the_encoder_is_convolution_norm_relu_and_a_logarithm() -> None:
    torch.manual_seed(0)
    encoder, waveforms = UtteranceNormedEncoder(8, KERNELS, STRIDES).double(), torch.randn(2, 4000, dtype=torch.float64)
    frames = waveforms[:, None]
    for convolution, norm, stride in zip(encoder.convolutions, encoder.norms, STRIDES, strict=True):
        frames = F.conv1d(frames, convolution.weight, stride=stride)
        frames = F.relu(F.group_norm(frames, 1, norm.weight, norm.bias))
    expected = torch.log(frames.abs() + 1).transpose(1, 2)
    torch.testing.assert_close(encoder(waveforms), expected)
    assert encoder.frame_count(torch.tensor([4000])).item() == expected.shape[1]
    assert (encoder.downsampling, encoder.receptive_field) == (160, 465)


def test_loudness_is_not_encoded() -> None:
    torch.manual_seed(0)
    encoder, waveforms = UtteranceNormedEncoder(8, KERNELS, STRIDES).double(), torch.randn(1, 3000, dtype=torch.float64)
    torch.testing.assert_close(encoder(waveforms), encoder(7.0 * waveforms), rtol=1e-3, atol=1e-3)  # but for eps


def test_the_aggregator_is_a_loop_over_frames() -> None:
    torch.manual_seed(0)
    aggregator, frames = CausalAggregator(3, 5, (2, 4)).double(), torch.randn(2, 7, 3, dtype=torch.float64)
    expected = frames
    for convolution, shortcut, norm, kernel in zip(aggregator.convolutions, aggregator.shortcuts, aggregator.norms, (2, 4), strict=True):
        rows = []
        for t in range(expected.shape[1]):
            window = torch.stack([expected[:, max(0, t - kernel + 1 + i)] for i in range(kernel)], dim=-1)  # before frame 0 stands frame 0
            rows.append(torch.einsum("bck,dck->bd", window, convolution.weight) + convolution.bias)
        output = torch.stack(rows, dim=1)
        output = F.relu(F.group_norm(output.transpose(1, 2), 1, norm.weight, norm.bias)).transpose(1, 2)
        expected = (output + shortcut(expected)) * math.sqrt(0.5)
    torch.testing.assert_close(aggregator(frames), expected)


def test_the_released_aggregator_reaches_back_eight_tenths_of_a_second() -> None:
    aggregator = CausalAggregator(4, 4, tuple(range(2, 14)))
    assert aggregator.receptive_field == 79  # frames of 10 ms, beside the encoder's own 20 ms


def test_the_aggregator_is_causal_but_for_its_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UtteranceNorm, "forward", lambda self, frames, lengths=None: frames)  # noqa: ARG005
    torch.manual_seed(0)
    aggregator, frames = CausalAggregator(4, 4, (2, 3, 4)), torch.randn(1, 20, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(aggregator(frames)[0, 12].sum(), frames)
    reached = gradient[0].abs().sum(dim=-1).nonzero().flatten().tolist()
    assert reached == list(range(12 - aggregator.receptive_field + 1, 13))
