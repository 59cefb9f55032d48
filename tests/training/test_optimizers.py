"""Rates by update: hand-computed."""

import pytest
import torch

from foresay.training.optimizers import OptimizerSettings, build_optimizer, learning_rate


def test_warm_up_then_constant() -> None:
    settings = OptimizerSettings(lr=2.0, warmup=4)
    assert [learning_rate(settings, u, 10) for u in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_warm_up_as_a_share() -> None:
    assert learning_rate(OptimizerSettings(lr=1.0, warmup=0.2), 0, 50) == pytest.approx(0.1)
    assert learning_rate(OptimizerSettings(lr=1.0, warmup=0.2), 10, 50) == 1.0


@pytest.mark.parametrize("schedule, middle", [("linear", 0.5), ("cosine", 0.5)])
def test_decay_reaches_half_in_the_middle_and_nothing_at_the_end(schedule: str, middle: float) -> None:
    settings = OptimizerSettings(lr=1.0, schedule=schedule)  # type: ignore[arg-type]
    assert learning_rate(settings, 50, 100) == pytest.approx(middle)
    assert learning_rate(settings, 100, 100) == pytest.approx(0.0)


def test_adam_equals_its_formula() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    optimizer = build_optimizer(OptimizerSettings(lr=0.1), [weight, frozen])
    weight.grad = torch.tensor([0.5, -0.25])
    optimizer.step()
    # After one step, Adam's corrected moments are g and g^2.
    torch.testing.assert_close(weight.detach(), torch.tensor([1.0, -2.0]) - 0.1 * torch.tensor([1.0, -1.0]), atol=1e-5, rtol=0)
