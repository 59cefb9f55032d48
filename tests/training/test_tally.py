"""The sum over terms of weight x sum / count, by hand."""

import pytest
import torch

from foresay.contracts import Losses, Term
from foresay.errors import UserError
from foresay.training.devices import Place
from foresay.training.tally import Tally

ALONE = Place(torch.device("cpu"))


def test_unequal_micro_batches_weigh_by_their_counts() -> None:
    weight = torch.tensor(1.0, requires_grad=True)
    tally = Tally(ALONE, 2)
    for total, count in ((6.0, 2.0), (30.0, 6.0)):
        tally.add(Losses({"a": Term(weight * total, count, weight=0.5)}, {"accuracy": torch.tensor(total)})).backward()
    assert weight.grad is not None
    # (6 + 30) / (2 + 6), half of it; (2 x 6 + 6 x 30) / (2 + 6)
    assert tally.scalars() == {"loss": pytest.approx(2.25), "accuracy": pytest.approx(24.0)}
    assert weight.grad.item() * tally.correction() == pytest.approx(2.25)


def test_one_batch_may_count_its_terms_differently() -> None:
    weight = torch.tensor(1.0, requires_grad=True)
    tally = Tally(ALONE, 1)
    tally.add(Losses({"a": Term(weight * 6, 2.0), "b": Term(weight * 5, torch.tensor(10.0), weight=3.0)}, {})).backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(3 + 1.5)
    assert tally.correction() == 1.0


def test_terms_that_cannot_be_weighed_are_refused() -> None:
    weight = torch.tensor(1.0, requires_grad=True)
    tally = Tally(ALONE, 2)
    tally.add(Losses({"a": Term(weight, 2.0), "b": Term(weight, 2.0)}, {}))
    tally.add(Losses({"a": Term(weight, 2.0), "b": Term(weight, 3.0)}, {}))
    with pytest.raises(UserError, match=r"count different things \(a, b\)"):
        tally.correction()
