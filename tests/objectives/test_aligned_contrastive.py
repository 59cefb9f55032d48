"""Every lattice against the enumeration of its own alignments."""

import itertools

import pytest
import torch
from torch import Tensor

from foresay.errors import UserError
from foresay.objectives.aligned_contrastive import Lattice

FRAMES, PREDICTIONS = 5, 3


def _cells(columns: int = PREDICTIONS) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return -3 * torch.rand(4, FRAMES, columns, dtype=torch.float64, generator=generator)


def _all_alignments(lattice: Lattice) -> list[tuple[int, ...]]:
    """Every labeling of begin + M + end frames with 0 … K - 1 (and K, the blank) that reads 0, 1, …, K - 1."""
    frames = lattice.skip_begin + FRAMES + lattice.skip_end
    found = []
    for path in itertools.product(range(PREDICTIONS + lattice.blank), repeat=frames):
        read = [label for label, _ in itertools.groupby(path)]
        if [label for label in read if label < PREDICTIONS] == list(range(PREDICTIONS)):
            found.append(path)
    return found


def _enumerated(cells: Tensor, lattice: Lattice) -> tuple[float, Tensor]:
    """Loss and posterior (M, K) of one (M, K) matrix, path by path."""
    paths = _all_alignments(lattice)
    begin, tau = lattice.skip_begin, lattice.temperature
    cut = [path[begin : begin + FRAMES] for path in paths]
    totals = torch.stack([sum((cells[m, k] for m, k in enumerate(path)), torch.zeros(())) for path in cut]).double() / tau
    if lattice.mode == "hard":
        weights = torch.nn.functional.one_hot(totals.argmax(), len(totals)).double()
        loss = -tau * totals.max()
    else:
        weights, loss = totals.softmax(0), -tau * totals.logsumexp(0)
    posterior = torch.zeros_like(cells)
    for path, weight in zip(cut, weights, strict=True):
        for m, k in enumerate(path):
            posterior[m, k] += weight
    return float(loss), posterior


LATTICES = [
    Lattice(),
    Lattice("hard"),
    Lattice(skip_begin=1),
    Lattice(skip_end=2),
    Lattice("hard", skip_begin=1, skip_end=1),
    Lattice(temperature=0.3),
    Lattice("hard", temperature=2.0),
    Lattice(blank=True),
    Lattice("hard", blank=True, skip_begin=1),
    Lattice(blank=True, skip_begin=1, skip_end=1, temperature=2.0),
]


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_loss_and_posterior_equal_enumeration(lattice: Lattice) -> None:
    cells = _cells(PREDICTIONS + lattice.blank)
    found = lattice.align_cells(cells)
    for position in range(len(cells)):
        loss, posterior = _enumerated(cells[position], lattice)
        assert found.loss[position].item() == pytest.approx(loss, abs=1e-9)
        if lattice.mode == "soft" or not (lattice.skip_begin or lattice.skip_end):  # free frames make ties: several best paths
            torch.testing.assert_close(found.posterior[position], posterior, atol=1e-9, rtol=0)


@pytest.mark.parametrize("lattice", LATTICES, ids=str)
def test_the_gradient_is_right(lattice: Lattice) -> None:
    cells = _cells(PREDICTIONS + lattice.blank).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: lattice.align_cells(c).loss, cells)
    found = lattice.align_cells(cells)
    (gradient,) = torch.autograd.grad(found.loss.sum(), cells)
    torch.testing.assert_close(gradient, -found.posterior)


def test_masked_cells_are_slices_of_frames_and_predictions() -> None:
    cells = Lattice(masked=("0:2, 1:", "4:,:2")).forbidden(FRAMES, PREDICTIONS)
    assert cells is not None
    assert cells.nonzero().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2], [4, 0], [4, 1]]
    assert Lattice().forbidden(FRAMES, PREDICTIONS) is None
    found = Lattice().align_cells(_cells().masked_fill(cells, -torch.inf))
    assert (found.posterior[:, cells] == 0).all()
    torch.testing.assert_close(found.posterior.sum(-1), torch.ones(4, FRAMES, dtype=torch.float64))


@pytest.mark.parametrize("rules, message", [(("0:2",), "not two slices"), (("a:b,c:d",), "not two slices"), (("2:3,:",), "no alignment")])
def test_masks_that_make_no_sense_are_explained(rules: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Lattice(masked=rules).forbidden(FRAMES, PREDICTIONS)


def test_more_freedom_never_costs_more() -> None:
    cells = _cells()
    plain = Lattice().align_cells(cells).loss
    for freer in (Lattice(skip_begin=1), Lattice(skip_end=1), Lattice(skip_begin=2, skip_end=2)):
        assert (freer.align_cells(cells).loss <= plain + 1e-9).all()
    # A cold alignment is the best one, a hot one the mean of all.
    hard = Lattice("hard").align_cells(cells).loss
    torch.testing.assert_close(Lattice(temperature=1e-3).align_cells(cells).loss, hard, atol=1e-2, rtol=0)
