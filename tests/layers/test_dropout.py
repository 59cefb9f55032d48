"""Dropout's law: how many are dropped, what is left, and the gradient."""

import pytest
import torch

from foresay.layers.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_drops_p_of_the_elements_and_keeps_the_mean(p: float) -> None:
    ones = torch.ones(1003, 1001)  # not a multiple of four
    dropped = Dropout(p)(ones)
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / ones.numel()) ** 0.5)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)])
    neighbors = (dropped == 0).double().flatten()
    # Elements that share a draw are independent all the same.
    together = (neighbors[:-1] * neighbors[1:]).mean().item()
    assert together == pytest.approx(p * p, abs=0.002)


def test_the_gradient_has_the_mask_of_the_value() -> None:
    values = torch.randn(40, 7, requires_grad=True)
    dropped = Dropout(0.3)(values)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values, dropped)


def test_the_seed_decides() -> None:
    torch.manual_seed(1)
    first = Dropout(0.5)(torch.ones(100))
    torch.manual_seed(1)
    assert torch.equal(first, Dropout(0.5)(torch.ones(100)))


def test_nothing_is_dropped_in_eval() -> None:
    values = torch.randn(10)
    assert Dropout(0.5).eval()(values) is values
