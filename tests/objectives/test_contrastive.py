"""Scores, losses and accuracy against plain loops; CPC is ACPC at K = M; the start values of the reference."""

import math

import pytest
import torch
import torch.nn.functional as F

from foresay.negatives import Negatives
from foresay.negatives.within_group import Reference
from foresay.objectives.aligned_contrastive import Lattice, align, aligned_contrastive_loss
from foresay.objectives.contrastive import Scores, accuracy, contrastive_loss, contrastive_scores
from reference.plain_cpc import plain_accuracy, plain_acpc_loss, plain_cpc_loss, plain_scores

BATCH, FRAMES, SIZE, GROUP, COUNT = 4, 12, 6, 2, 9


def _negatives(latents: torch.Tensor, matched: int) -> Negatives:
    sampler = Reference(COUNT, GROUP, SIZE)
    return sampler(latents, sampler.drawn(FRAMES, torch.arange(BATCH), FRAMES - matched, matched))


def _case(predictions: int, matched: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, Negatives]:
    generator = torch.Generator().manual_seed(predictions)
    latents = torch.randn(BATCH, FRAMES, SIZE, generator=generator, dtype=dtype, requires_grad=True)
    heads = torch.randn(BATCH, predictions, FRAMES - matched, SIZE, generator=generator, dtype=dtype, requires_grad=True)
    negatives = _negatives(latents, matched)
    return heads, latents, negatives


def test_scores_equal_loops() -> None:
    heads, latents, negatives = _case(3, 4)
    found = contrastive_scores(heads, latents, negatives, 4, "mean")
    positives, rivals = plain_scores(heads, latents, negatives.rows, GROUP, 4)
    torch.testing.assert_close(found.positives, positives, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.negatives, rivals, atol=1e-12, rtol=0)


def test_similarities() -> None:
    heads, latents, negatives = _case(3, 4)
    mean = contrastive_scores(heads, latents, negatives, 4, "mean")
    dot = contrastive_scores(heads, latents, negatives, 4, "dot")
    cosine = contrastive_scores(heads, latents, negatives, 4, "cosine")
    torch.testing.assert_close(dot.positives, SIZE * mean.positives)
    expected = F.cosine_similarity(heads[1, 2, 5], latents[1, 5 + 1 + 3], dim=0)
    assert cosine.positives[1, 2, 5, 3].item() == pytest.approx(expected.item(), abs=1e-6)
    assert cosine.negatives.abs().max() <= 1 + 1e-6


def test_losses_and_gradients_equal_the_plain_path() -> None:
    for predictions, matched, loss, plain in ((4, 4, contrastive_loss, plain_cpc_loss), (3, 5, aligned_contrastive_loss, plain_acpc_loss)):
        heads, latents, negatives = _case(predictions, matched)
        scores = contrastive_scores(heads, latents, negatives, matched, "mean")
        term = loss(scores).term if loss is contrastive_loss else aligned_contrastive_loss(scores, Lattice()).term  # type: ignore[call-arg]
        mine = term.sum / term.count
        theirs = plain(*plain_scores(heads, latents, negatives.rows, GROUP, matched))
        assert mine.item() == pytest.approx(theirs.item(), abs=1e-5)
        for a, b in zip(torch.autograd.grad(mine, (heads, latents)), torch.autograd.grad(theirs, (heads, latents)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_cpc_is_acpc_at_k_equal_m_in_value_and_gradient() -> None:
    heads, latents, negatives = _case(5, 5)
    scores = contrastive_scores(heads, latents, negatives, 5, "mean")
    one, other = contrastive_loss(scores), aligned_contrastive_loss(scores, Lattice())
    assert one.term.sum.item() == pytest.approx(other.term.sum.item(), abs=1e-10)
    assert one.accuracy == other.accuracy
    first, second = (torch.autograd.grad(loss.term.sum, (heads, latents), retain_graph=True) for loss in (one, other))
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


def test_accuracy_equals_loops() -> None:
    heads, latents, negatives = _case(3, 5)
    scores = contrastive_scores(heads, latents, negatives, 5, "mean")
    path = align(scores, Lattice()).path
    assert scores.same.any()  # the case holds negatives that are their own positive
    assert accuracy(scores, path).item() == pytest.approx(plain_accuracy(*scores, path), abs=1e-6)


def test_ties_are_errors_and_a_negative_that_is_the_positive_is_left_out() -> None:
    path = torch.zeros(1, 1, 1, dtype=torch.int64)
    tie = Scores(torch.ones(1, 1, 1, 1), torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[False, False]]]]))
    itself = Scores(torch.ones(1, 1, 1, 1), torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[True, False]]]]))
    assert accuracy(tie, path) == 0
    assert accuracy(itself, path) == 1


@pytest.mark.parametrize("predictions, matched", [(12, 12), (10, 12), (8, 12), (6, 12), (4, 12)])
def test_a_blind_model_starts_at_the_known_value(predictions: int, matched: int) -> None:
    """All scores equal: M ln(N + 1) less the logarithm of the count of alignments."""
    scores = Scores(torch.zeros(2, predictions, 7, matched), torch.zeros(2, predictions, 7, 128), torch.zeros(2, 7, matched, 128).bool())
    term = aligned_contrastive_loss(scores, Lattice()).term
    expected = matched * math.log(129) - math.log(math.comb(matched - 1, predictions - 1))
    assert float(term.sum / term.count) == pytest.approx(expected, abs=1e-3)
