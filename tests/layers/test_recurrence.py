"""Recurrent networks on any CPU: under autocast they are what they are without, and outside they are PyTorch's own."""

import pytest
import torch
from torch import nn

from foresay.layers.recurrence import recur


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_under_autocast_all_is_computed_in_float32(kind: type[nn.LSTM], precision: torch.dtype) -> None:
    torch.manual_seed(0)
    network, frames = kind(6, 5, 2, batch_first=True), torch.randn(3, 11, 6).to(precision).requires_grad_()
    expected, after = network(frames.float())
    going_on, _ = network(frames.float(), after)
    (whole,) = torch.autograd.grad(expected.square().sum(), frames)
    with torch.autocast("cpu", precision):
        found, state = recur(network, frames)
        further, _ = recur(network, frames, state)
        assert torch.is_autocast_enabled("cpu")
    assert found.dtype == further.dtype == torch.float32
    assert torch.equal(found, expected)
    assert torch.equal(further, going_on)
    (gradient,) = torch.autograd.grad(found.square().sum(), frames)
    assert gradient.abs().sum() > 0
    torch.testing.assert_close(gradient, whole)


def test_without_autocast_the_precision_of_the_frames_stays() -> None:
    network = nn.GRU(6, 5, batch_first=True).double()
    frames = torch.randn(3, 11, 6, dtype=torch.float64)
    found, _ = recur(network, frames)
    assert found.dtype == torch.float64
    assert torch.equal(found, network(frames)[0])
