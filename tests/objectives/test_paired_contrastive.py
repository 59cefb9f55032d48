"""The symmetric contrast of pairs against loops over rows and columns."""

import pytest
import torch
import torch.nn.functional as F

from foresay.errors import UserError
from foresay.objectives.paired_contrastive import PairedContrast

GROUP = 4


def vectors(count: int = 2 * GROUP) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    one = torch.randn(count, 6, generator=random, dtype=torch.float64)
    return one, one + torch.randn(count, 6, generator=random, dtype=torch.float64)


def test_loss_and_accuracy_are_a_loop_over_pairs() -> None:
    one, other = vectors()
    total, won = torch.zeros((), dtype=torch.float64), 0
    for first in range(0, len(one), GROUP):
        members = range(first, first + GROUP)
        for i in members:
            there = torch.stack([F.cosine_similarity(one[i], other[j], dim=0) for j in members]) / 0.2
            back = torch.stack([F.cosine_similarity(one[j], other[i], dim=0) for j in members]) / 0.2
            total += -(there.log_softmax(0)[i - first] + back.log_softmax(0)[i - first]) / 2
            won += int(there.argmax() == i - first) + int(back.argmax() == i - first)
    found = PairedContrast(GROUP, 0.2)(one, other)
    torch.testing.assert_close(found.term.sum, total)
    assert found.term.count == len(one)
    assert found.accuracy.item() == pytest.approx(won / 2 / len(one))


def test_order_of_pairs_and_halves_makes_no_difference() -> None:
    one, other = vectors(GROUP)
    contrast, order = PairedContrast(GROUP), torch.tensor([2, 0, 3, 1])
    expected = contrast(one, other).term.sum
    torch.testing.assert_close(contrast(one[order], other[order]).term.sum, expected)
    torch.testing.assert_close(contrast(other, one).term.sum, expected)
    torch.testing.assert_close(contrast(5 * one, other).term.sum, expected)


def test_groups_do_not_meet_and_ties_are_errors() -> None:
    one, other = vectors()
    contrast = PairedContrast(GROUP)
    parts = [contrast(one[at], other[at]).term.sum for at in (slice(GROUP), slice(GROUP, None))]
    torch.testing.assert_close(contrast(one, other).term.sum, sum(parts))
    assert contrast(torch.ones(GROUP, 3), torch.ones(GROUP, 3)).accuracy == 0
    assert contrast(torch.eye(GROUP), torch.eye(GROUP)).accuracy == 1


def test_what_cannot_be_contrasted_is_explained() -> None:
    for wrong in ({"group": 1}, {"group": 4, "temperature": 0.0}):
        with pytest.raises(UserError, match="groups of two or more"):
            PairedContrast(**wrong)
    with pytest.raises(UserError, match="6 pairs do not fall into groups of 4"):
        PairedContrast(GROUP)(torch.randn(6, 3), torch.randn(6, 3))
