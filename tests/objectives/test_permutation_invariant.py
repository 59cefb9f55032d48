"""Permutation-invariant loss against all permutations, one by one."""

from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.objectives.permutation_invariant import permutation_invariant_loss

HEADS, BATCH, FRAMES = 3, 4, 9
LENGTHS = torch.tensor([9, 5, 1, 7])


def draw(speakers: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(speakers)
    logits = 3 * torch.randn(HEADS, BATCH, FRAMES, speakers, generator=random, dtype=torch.float64)
    return logits.requires_grad_(), (torch.rand(BATCH, FRAMES, speakers, generator=random) < 0.5).double()


def ordered(logits: Tensor, targets: Tensor, order: tuple[int, ...]) -> Tensor:
    """One utterance of one head, output s compared with speaker order[s]: (T, S) each -> ()."""
    return F.binary_cross_entropy_with_logits(logits, targets[:, list(order)], reduction="none").mean(dim=-1).sum()


@pytest.mark.parametrize("speakers", [1, 2, 3, 4])
def test_equals_the_least_of_all_orders_and_so_do_the_gradients(speakers: int) -> None:
    logits, targets = draw(speakers)
    found = permutation_invariant_loss(logits, targets, LENGTHS)
    assert found.sums.shape == (HEADS, BATCH)
    assert found.orders.shape == (HEADS, BATCH, speakers)
    (gradient,) = torch.autograd.grad(found.sums.sum(), logits)
    expected = torch.zeros_like(gradient)
    for head in range(HEADS):
        for row, length in enumerate(LENGTHS.tolist()):
            one = logits[head, row, :length].detach().requires_grad_()
            losses = {order: ordered(one, targets[row, :length], order) for order in permutations(range(speakers))}
            best = min(losses, key=lambda order: losses[order].item())
            torch.testing.assert_close(found.sums[head, row], losses[best])
            assert tuple(found.orders[head, row].tolist()) == best
            (expected[head, row, :length],) = torch.autograd.grad(losses[best], one)
    torch.testing.assert_close(gradient, expected)


def test_the_order_of_speakers_and_of_outputs_changes_nothing() -> None:
    logits, targets = draw(3)
    sums = permutation_invariant_loss(logits, targets, LENGTHS).sums
    torch.testing.assert_close(permutation_invariant_loss(logits[..., [2, 0, 1]], targets, LENGTHS).sums, sums)
    torch.testing.assert_close(permutation_invariant_loss(logits, targets[..., [1, 0, 2]], LENGTHS).sums, sums)


def test_what_stands_in_padding_changes_neither_loss_nor_gradient() -> None:
    logits, targets = draw(2)
    with torch.no_grad():
        padded = logits.clone()
        for row, length in enumerate(LENGTHS.tolist()):
            padded[:, row, length:] = torch.nan
    padded.requires_grad_()
    noisy = torch.where(torch.arange(FRAMES)[:, None] < LENGTHS[:, None, None], targets, 7.0)
    found, expected = permutation_invariant_loss(padded, noisy, LENGTHS), permutation_invariant_loss(logits, targets, LENGTHS)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(one.sums.sum(), given)[0] for one, given in ((found, padded), (expected, logits))]
    torch.testing.assert_close(*gradients)


def test_a_sure_and_right_answer_costs_nothing_in_any_order() -> None:
    targets = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]])
    logits = 200.0 * (targets.flip(-1) - 0.5)
    found = permutation_invariant_loss(logits, targets, torch.tensor([3]))
    assert found.sums.item() == pytest.approx(0.0, abs=1e-6)
    assert found.orders.tolist() == [[1, 0]]


def test_halves_are_computed_in_the_precision_of_the_targets() -> None:
    logits, targets = draw(2)
    half = logits.detach().half()
    found = permutation_invariant_loss(half, targets, LENGTHS).sums
    assert found.dtype == targets.dtype
    torch.testing.assert_close(found, permutation_invariant_loss(half.double(), targets, LENGTHS).sums)


def test_a_region_of_lower_precision_does_not_lower_it() -> None:
    logits, targets = (values.detach().float() for values in draw(2))
    with torch.autocast("cpu"):
        found = permutation_invariant_loss(logits, targets, LENGTHS).sums
    torch.testing.assert_close(found, permutation_invariant_loss(logits, targets, LENGTHS).sums, rtol=0.0, atol=0.0)
