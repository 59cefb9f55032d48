"""The loss scale moves as PyTorch's own, and distinguishes a scale that is too high from a loss that is broken."""

import pytest
import torch

from foresay.training import loss_scale
from foresay.training.loss_scale import LossScale


def test_it_moves_as_gradscaler_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    ours = LossScale(torch.device("cpu"), moves=True)
    theirs = torch.amp.GradScaler("cpu", init_scale=loss_scale.INITIAL, growth_interval=3)
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    for overflows in (1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1):
        optimizer.zero_grad()
        theirs.scale(weight * 1.0).backward()
        assert weight.grad is not None
        weight.grad += torch.inf if overflows else 0.0
        theirs.step(optimizer)
        theirs.update()
        ours.move(torch.tensor(bool(overflows)))
        assert float(ours.scale) == theirs.get_scale()
    again = LossScale(torch.device("cpu"), moves=True)
    again.load(ours.state())
    assert again.state() == ours.state() != LossScale(torch.device("cpu"), moves=True).state()


def test_a_broken_loss_is_no_overflow_nor_is_one_at_scale_one() -> None:
    one, inf, nan = torch.tensor(1.0), torch.tensor(torch.inf), torch.tensor(torch.nan)
    scale = LossScale(torch.device("cpu"), moves=True)
    assert [bool(scale.overflowed(*pair)) for pair in ((one, one), (one, inf), (one, nan), (nan, nan), (inf, nan))] == [
        False,
        True,
        True,
        False,
        False,
    ]
    fixed = LossScale(torch.device("cpu"), moves=False)
    assert not fixed.overflowed(one, inf)
    fixed.move(torch.ones((), dtype=torch.bool))
    assert float(fixed.scale) == 1
