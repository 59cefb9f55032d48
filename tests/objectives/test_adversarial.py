"""Adversarial losses against loops, and who is moved by which."""

import torch

from foresay.objectives.adversarial import discriminator_loss, feature_matching, generator_loss


def _given() -> tuple[list[list[torch.Tensor]], list[list[torch.Tensor]]]:
    """Two discriminators of two layers and scores, of three utterances each."""
    shapes = [[(3, 2, 4), (3, 5), (3, 1, 4)], [(3, 6), (3, 2, 2), (3, 7)]]
    made = [[[torch.randn(shape, requires_grad=True) for shape in layers] for layers in shapes] for _ in range(2)]
    return made[0], made[1]


def test_least_squares_against_loops() -> None:
    real, made = _given()
    slow_discriminator = slow_generator = 0.0
    for reals, mades in zip(real, made, strict=True):
        for row in range(3):
            slow_discriminator += ((reals[-1][row] - 1).square().mean() + mades[-1][row].square().mean()).item()
            slow_generator += (mades[-1][row] - 1).square().mean().item()
    found, moved = discriminator_loss(real, made), generator_loss(made)
    torch.testing.assert_close(found.sum.item(), slow_discriminator, rtol=1e-5, atol=0)
    torch.testing.assert_close(moved.sum.item(), slow_generator, rtol=1e-5, atol=0)
    assert found.count == moved.count == 3


def test_feature_matching_against_loops() -> None:
    real, made = _given()
    slow = sum(
        (a[row] - b[row]).abs().mean().item()
        for reals, mades in zip(real, made, strict=True)
        for a, b in zip(reals[:-1], mades[:-1], strict=True)
        for row in range(3)
    )
    found = feature_matching(real, made, 2.0)
    torch.testing.assert_close(found.sum.item(), slow, rtol=1e-5, atol=0)
    assert (found.count, found.weight) == (3, 2.0)


def test_what_was_recorded_is_not_moved_by_feature_matching() -> None:
    real, made = _given()
    feature_matching(real, made, 2.0).sum.backward()
    assert all(value.grad is None for layers in real for value in layers)
    assert all(value.grad is not None for layers in made for value in layers[:-1])


def test_a_perfect_discriminator_has_no_loss() -> None:
    ones, zeros = [[torch.ones(2, 1, 5)]], [[torch.zeros(2, 1, 5)]]
    assert discriminator_loss(ones, zeros).sum == 0
    assert generator_loss(ones).sum == 0
    assert generator_loss(zeros).sum == 2
