"""Rates by update: hand-computed, and against the formulas as papers and fairseq write them."""

import itertools
import math

import pytest
import torch

from foresay.training.optimizers import OptimizerSettings, build_optimizer, learning_rate


def test_warm_up_then_constant() -> None:
    settings = OptimizerSettings(lr=2.0, warmup=4)
    assert [learning_rate(settings, u, 10) for u in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_warm_up_as_a_share() -> None:
    assert learning_rate(OptimizerSettings(lr=1.0, warmup=0.2), 0, 50) == pytest.approx(0.1)
    assert learning_rate(OptimizerSettings(lr=1.0, warmup=0.2), 10, 50) == 1.0


@pytest.mark.parametrize("schedule, middle", [("linear", 0.5), ("cosine", 0.5), ("polynomial", 0.25)])
def test_decay_reaches_half_in_the_middle_and_nothing_at_the_end(schedule: str, middle: float) -> None:
    settings = OptimizerSettings(lr=1.0, schedule=schedule)  # type: ignore[arg-type]
    assert learning_rate(settings, 50, 100) == pytest.approx(middle)
    assert learning_rate(settings, 100, 100) == pytest.approx(0.0)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial", "exponential"])
def test_every_fall_begins_at_the_top_and_ends_where_it_is_reported(schedule: str) -> None:
    settings = OptimizerSettings(lr=3.0, warmup=10, hold=20, schedule=schedule, final=0.1, power=3.0)  # type: ignore[arg-type]
    rates = [learning_rate(settings, u, 100) for u in range(120)]
    assert rates[9:31] == pytest.approx([3.0] * 22)
    assert rates[100:] == pytest.approx([0.3] * 20)
    assert all(a > b for a, b in itertools.pairwise(rates[30:101]))


@pytest.mark.parametrize("schedule", ["exponential", "linear"])
def test_tri_stage(schedule: str) -> None:
    """10 % up from a hundredth, 40 % at the top, 50 % down to a twentieth: whatever the length of the training."""
    settings = OptimizerSettings(lr=2.0, warmup=0.1, hold=0.4, schedule=schedule, initial=0.01, final=0.05)  # type: ignore[arg-type]
    for updates in (200, 20_000):
        for update in range(0, updates, 7):
            done = update / updates
            if done < 0.1:
                expected = 2.0 * (0.01 + 0.99 * (update + 1) / (0.1 * updates))
            elif done < 0.5:
                expected = 2.0
            elif schedule == "linear":
                expected = 2.0 * (1 - 0.95 * (done - 0.5) / 0.5)
            else:
                expected = 2.0 * math.exp(math.log(0.05) * (done - 0.5) / 0.5)
            assert learning_rate(settings, update, updates) == pytest.approx(expected)


def test_polynomial_of_power_one_is_linear() -> None:
    one, other = (
        OptimizerSettings(schedule="polynomial", power=1.0, warmup=5, final=0.2),
        OptimizerSettings(schedule="linear", warmup=5, final=0.2),
    )
    assert [learning_rate(one, u, 40) for u in range(50)] == [learning_rate(other, u, 40) for u in range(50)]


def test_noam_is_the_papers_formula_but_for_its_scale() -> None:
    settings = OptimizerSettings(lr=0.5, warmup=0.25, schedule="noam")
    warmup = 25
    scale = 0.5 * math.sqrt(warmup)
    for step in range(1, 400):
        expected = scale * min(step**-0.5, step * warmup**-1.5)
        assert learning_rate(settings, step - 1, 100) == pytest.approx(expected)


def test_whether_the_rate_depends_on_the_length() -> None:
    assert not OptimizerSettings(warmup=9.0, hold=9.0, schedule="noam").depends_on_length
    assert OptimizerSettings(schedule="cosine").depends_on_length
    assert OptimizerSettings(hold=0.4).depends_on_length


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"betas": (0.9,)}, r"betas are two numbers, such as \[0.9, 0.98\], not \[0.9\]"),
        ({"warmup": -1.0}, "warmup must not be negative, but is -1.0"),
        ({"schedule": "exponential"}, "never reaches 0: state where it ends, for example final = 0.05"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OptimizerSettings(**wrong)  # type: ignore[arg-type]


def test_adam_equals_its_formula() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    optimizer = build_optimizer(OptimizerSettings(lr=0.1), [weight, frozen])
    weight.grad = torch.tensor([0.5, -0.25])
    optimizer.step()
    # After one step, Adam's corrected moments are g and g^2.
    torch.testing.assert_close(weight.detach(), torch.tensor([1.0, -2.0]) - 0.1 * torch.tensor([1.0, -1.0]), atol=1e-5, rtol=0)


def test_weights_decay_apart_from_the_gradient_in_adamw_and_with_it_in_adam() -> None:
    after = {}
    for name in ("adam", "adamw"):
        weight = torch.nn.Parameter(torch.tensor([2.0, -2.0]))
        settings = OptimizerSettings(name=name, lr=0.1, weight_decay=0.5, eps=1e-6, betas=(0.9, 0.98))  # type: ignore[arg-type]
        optimizer = build_optimizer(settings, [weight])
        weight.grad = torch.tensor([0.5, 0.5])
        optimizer.step()
        after[name] = weight.detach()
    # The first step of Adam is the sign: of 0.5 +- 1 with the decay in it, of 0.5 without.
    torch.testing.assert_close(after["adam"], torch.tensor([1.9, -1.9]), atol=1e-5, rtol=0)
    torch.testing.assert_close(after["adamw"], torch.tensor([2.0 * 0.95 - 0.1, -2.0 * 0.95 - 0.1]), atol=1e-5, rtol=0)
