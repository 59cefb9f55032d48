"""HuBERT's loss against the reference's way of computing it, and its limits."""

import math

import pytest
import torch
import torch.nn.functional as F

from foresay.objectives.masked_prediction import masked_prediction_loss


def reference(projected: torch.Tensor, classes: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    """Each frame against its own class and against all, where its own is struck out: as HuBERT's code has it."""
    total = torch.zeros((), dtype=projected.dtype)
    for state, label in zip(projected, labels.tolist(), strict=True):
        if label < 0:
            continue
        own = F.cosine_similarity(state, classes[label], dim=0) / temperature
        others = [F.cosine_similarity(state, vector, dim=0) / temperature for c, vector in enumerate(classes) if c != label]
        total = total - own + torch.logsumexp(torch.stack([own, *others]), dim=0)
    return total


def test_it_is_the_references_loss_and_gradient() -> None:
    torch.manual_seed(0)
    projected = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    classes = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, -1, 2, 2, 1, -1])
    found = masked_prediction_loss(projected, classes, labels, 0.1, weight=0.5)
    expected = reference(projected, classes, labels, 0.1)
    torch.testing.assert_close(found.term.sum, expected)
    assert (int(found.term.count), found.term.weight) == (5, 0.5)
    for ours, theirs in zip(
        torch.autograd.grad(found.term.sum, (projected, classes)), torch.autograd.grad(expected, (projected, classes)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_model_that_knows_nothing_pays_the_logarithm_of_the_classes() -> None:
    found = masked_prediction_loss(torch.ones(6, 4), torch.ones(50, 4), torch.arange(6), 0.1)
    assert float(found.term.sum / found.term.count) == pytest.approx(math.log(50))


def test_who_is_right_is_counted_among_the_known() -> None:
    classes = torch.eye(3)
    found = masked_prediction_loss(classes[[0, 1, 2, 2]], classes, torch.tensor([0, 1, 1, -1]), 0.1)
    assert float(found.accuracy) == pytest.approx(2 / 3)


def test_nothing_known_is_nothing_lost() -> None:
    found = masked_prediction_loss(torch.randn(2, 3), torch.randn(4, 3), torch.tensor([-1, -1]), 0.1)
    assert float(found.term.sum) == 0.0
    assert float(found.accuracy) == 0.0
