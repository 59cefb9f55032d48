"""The sum over terms of weight x sum / count, by hand and for any way to cut a batch up."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foresay.contracts import Losses, Term
from foresay.training.devices import Process
from foresay.training.tally import Tally, weighed
from reference.toy_models import OneTerm, TwoTerms, cut, one_update, toy_batch

ALONE = Process(torch.device("cpu"))


def test_unequal_micro_batches_weigh_by_their_counts() -> None:
    tally = Tally(ALONE)
    for total, count in ((6.0, 2.0), (30.0, torch.tensor(6))):
        tally.add(Losses({"a": Term(torch.tensor(total), count, weight=0.5)}, {"accuracy": torch.tensor(total)}))
    found = tally.together()
    # (6 + 30) / (2 + 6), half of it; (2 x 6 + 6 x 30) / (2 + 6)
    assert (float(found.counts["a"]), float(found.loss), float(found.scalars["accuracy"])) == (8, 2.25, 24)


def test_terms_may_count_different_things_or_nothing() -> None:
    tally = Tally(ALONE)
    losses = Losses({"a": Term(torch.tensor(6.0), 2.0), "b": Term(torch.tensor(5.0), 10, weight=3.0), "c": Term(torch.tensor(0.0), 0)}, {})
    tally.add(losses)
    tally.add(losses, share=0.0)
    found = tally.together()
    assert {name: float(count) for name, count in found.counts.items()} == {"a": 2, "b": 10, "c": 0}
    assert float(found.loss) == float(weighed(losses, found.counts)) == float(losses.total()) == 4.5
    assert not found.nothing


def test_a_mean_over_nothing_counts_for_nothing() -> None:
    tally = Tally(ALONE)
    tally.add(Losses({"a": Term(torch.tensor(0.0), 0)}, {"accuracy": torch.tensor(torch.nan)}))
    assert tally.together().nothing
    tally.add(Losses({"a": Term(torch.tensor(3.0), 3)}, {"accuracy": torch.tensor(0.5)}))
    found = tally.together()
    assert not found.nothing
    assert float(found.scalars["accuracy"]) == 0.5


def test_a_mean_weighs_by_the_count_of_its_own_term() -> None:
    tally = Tally(ALONE)
    for right, of_frames, of_all in ((0.5, 2, 10), (0.0, 0, 100), (1.0, 6, 1)):
        terms = {"a": Term(torch.tensor(1.0), of_frames), "b": Term(torch.tensor(1.0), of_all)}
        tally.add(Losses(terms, {"accuracy": torch.tensor(right), "spread": torch.tensor(1.0)}, {"accuracy": "a"}))
    found = tally.together().scalars
    assert (float(found["accuracy"]), float(found["spread"])) == (7 / 8, 1.0)


@st.composite
def cut_batches(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    """(B, 4) labels, and sizes of micro-batches that add up to B."""
    labels = draw(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=6))
    ends = sorted(draw(st.sets(st.integers(1, len(labels) - 1), max_size=4))) if len(labels) > 1 else []
    return labels, [end - begin for begin, end in zip([0, *ends], [*ends, len(labels)], strict=True)]


@settings(deadline=None, max_examples=60)
@given(drawn=cut_batches(), several=st.booleans())
def test_any_cut_of_a_batch_gives_the_gradient_of_the_whole(drawn: tuple[list[list[int]], list[int]], several: bool) -> None:  # noqa: FBT001
    labels, sizes = drawn
    model = TwoTerms if several else OneTerm
    whole, expected = one_update(model().double(), [toy_batch(labels)], ALONE)
    parts, found = one_update(model().double(), cut(toy_batch(labels), sizes), ALONE)
    assert parts.flags == whole.flags
    assert whole.flags["nothing"] == (not any(1 in row or (several and row[0] == 2) for row in labels))
    if whole.flags["nothing"]:
        return
    assert parts.scalars["loss"] == pytest.approx(whole.scalars["loss"], abs=1e-12)
    assert ("accuracy" in whole.scalars) == any(1 in row for row in labels)
    assert parts.scalars.get("accuracy") == pytest.approx(whole.scalars.get("accuracy"), abs=1e-12)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-12, rtol=1e-12)
