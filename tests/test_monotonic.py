"""The alignment program against the enumeration of all paths, against CTC, and its laws."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foresay.errors import UserError
from foresay.monotonic import monotonic_alignment
from reference.alignments import align_by_ctc, align_by_enumeration, align_with_blank_by_enumeration, all_paths, paths_with_blank

SHAPES = [(1, 1), (2, 1), (2, 2), (4, 2), (5, 3), (6, 6), (7, 4), (8, 1)]


def test_the_oracle_lists_every_path_once() -> None:
    assert len(all_paths(12, 8)) == math.comb(11, 7)
    assert all_paths(3, 2) == [[0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("frames, predictions", SHAPES)
def test_equals_enumeration(frames: int, predictions: int) -> None:
    scores = 3 * torch.randn(2, 5, frames, predictions, dtype=torch.float64, generator=torch.Generator().manual_seed(frames))
    soft, hard = monotonic_alignment(scores, "soft"), monotonic_alignment(scores, "hard")
    for i in range(2):
        for j in range(5):
            loss, posterior, best, path = align_by_enumeration(scores[i, j])
            assert soft.loss[i, j].item() == pytest.approx(loss, abs=1e-9)
            assert hard.loss[i, j].item() == pytest.approx(best, abs=1e-9)
            torch.testing.assert_close(soft.posterior[i, j], posterior, atol=1e-9, rtol=0)
            assert soft.path[i, j].tolist() == hard.path[i, j].tolist() == path
            assert hard.posterior[i, j].argmax(-1).tolist() == path
            assert hard.posterior[i, j].sum().item() == frames


@pytest.mark.parametrize("frames, predictions", [(12, 12), (12, 8), (16, 10), (12, 1)])
def test_equals_the_papers_ctc(frames: int, predictions: int) -> None:
    scores = -torch.rand(20, frames, predictions, generator=torch.Generator().manual_seed(1)) * 5
    torch.testing.assert_close(monotonic_alignment(scores).loss, align_by_ctc(scores), atol=2e-4, rtol=0)


@pytest.mark.parametrize("mode", ["soft", "hard"])
@pytest.mark.parametrize("frames, predictions", [(5, 3), (4, 4), (6, 1)])
def test_gradient_is_minus_the_posterior(mode: str, frames: int, predictions: int) -> None:
    scores = torch.randn(3, frames, predictions, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(lambda s: monotonic_alignment(s, mode).loss, scores)  # type: ignore[arg-type]
    found = monotonic_alignment(scores, mode)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(found.loss.sum(), scores)
    torch.testing.assert_close(gradient, -found.posterior)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(0, 8), st.integers(0, 10_000))
def test_laws(predictions: int, extra: int, seed: int) -> None:
    frames = predictions + extra
    scores = 4 * torch.randn(3, frames, predictions, generator=torch.Generator().manual_seed(seed))
    soft, hard = monotonic_alignment(scores, "soft"), monotonic_alignment(scores, "hard")
    # Each frame has one prediction, and the path is monotone from the first to the last.
    torch.testing.assert_close(soft.posterior.sum(-1), torch.ones(3, frames), atol=1e-4, rtol=0)
    steps = hard.path.diff(dim=-1)
    assert ((steps == 0) | (steps == 1)).all()
    assert (hard.path[:, 0] == 0).all()
    assert (hard.path[:, -1] == predictions - 1).all()
    # The best path costs at least as much as all of them together, and at most the count of paths more.
    assert (hard.loss >= soft.loss - 1e-4).all()
    assert (hard.loss <= soft.loss + math.log(math.comb(frames - 1, predictions - 1)) + 1e-3).all()
    # Raising one cell's score never raises the cost; adding a constant to a frame lowers it by that constant.
    better = scores.clone()
    better[:, frames // 2, predictions // 2] += 1.0
    assert (monotonic_alignment(better).loss <= soft.loss + 1e-4).all()
    shifted = scores.clone()
    shifted[:, 0] += 2.0
    torch.testing.assert_close(monotonic_alignment(shifted).loss, soft.loss - 2.0, atol=1e-3, rtol=1e-5)


def test_a_forbidden_cell_is_avoided() -> None:
    scores = torch.zeros(1, 3, 2)
    scores[0, 1, 1] = -torch.inf  # only 0 0 1 is left
    found = monotonic_alignment(scores)
    assert found.loss.item() == pytest.approx(0.0)
    assert found.path.tolist() == [[0, 0, 1]]
    torch.testing.assert_close(found.posterior[0], torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))


def test_is_computed_in_float32_under_autocast_and_from_half_precision() -> None:
    scores = torch.randn(4, 12, 8, generator=torch.Generator().manual_seed(3)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = monotonic_alignment(scores)
    assert found.loss.dtype == torch.float32
    torch.testing.assert_close(found.loss, monotonic_alignment(scores.float()).loss)


def test_more_predictions_than_frames_is_explained() -> None:
    with pytest.raises(UserError, match="5 predictions cannot be aligned to 4 frames"):
        monotonic_alignment(torch.zeros(4, 5))


@pytest.mark.parametrize("frames, predictions", [(1, 1), (3, 1), (3, 3), (5, 2), (6, 3), (6, 4)])
def test_with_a_blank_equals_enumeration(frames: int, predictions: int) -> None:
    generator = torch.Generator().manual_seed(frames + 10 * predictions)
    scores = 3 * torch.randn(2, 5, frames, predictions, dtype=torch.float64, generator=generator)
    blank = 3 * torch.randn(2, 5, frames, dtype=torch.float64, generator=generator)
    soft, hard = monotonic_alignment(scores, "soft", blank), monotonic_alignment(scores, "hard", blank)
    for i in range(2):
        for j in range(5):
            loss, posterior, best, path = align_with_blank_by_enumeration(scores[i, j], blank[i, j])
            assert soft.loss[i, j].item() == pytest.approx(loss, abs=1e-9)
            assert hard.loss[i, j].item() == pytest.approx(best, abs=1e-9)
            torch.testing.assert_close(soft.posterior[i, j], posterior, atol=1e-9, rtol=0)
            assert soft.path[i, j].tolist() == hard.path[i, j].tolist() == path
            assert hard.posterior[i, j].argmax(-1).tolist() == path


def test_the_oracle_with_a_blank_lists_what_ctc_counts() -> None:
    assert paths_with_blank(2, 1) == [[0, 0], [0, 1], [1, 0]]
    zeros = torch.zeros(1, 6, 3, dtype=torch.float64)
    assert math.exp(-monotonic_alignment(zeros, "soft", zeros[..., 0]).loss.item()) == pytest.approx(len(paths_with_blank(6, 3)))


@pytest.mark.parametrize("frames, predictions", [(12, 8), (16, 10), (12, 12), (12, 1)])
def test_with_a_blank_equals_ctc(frames: int, predictions: int) -> None:
    generator = torch.Generator().manual_seed(frames)
    scores, blank = -5 * torch.rand(20, frames, predictions, generator=generator), -5 * torch.rand(20, frames, generator=generator)
    torch.testing.assert_close(monotonic_alignment(scores, "soft", blank).loss, align_by_ctc(scores, blank), atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_gradient_with_a_blank(mode: str) -> None:
    scores = torch.randn(3, 6, 3, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(2))
    blank = torch.randn(3, 6, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(3))
    assert torch.autograd.gradcheck(lambda s, b: monotonic_alignment(s, mode, b).loss, (scores, blank))  # type: ignore[arg-type]
    found = monotonic_alignment(scores, mode, blank)  # type: ignore[arg-type]
    for gradient, posterior in zip(
        torch.autograd.grad(found.loss.sum(), (scores, blank)), (found.posterior[..., :-1], found.posterior[..., -1]), strict=True
    ):
        torch.testing.assert_close(gradient, -posterior)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 10_000))
def test_laws_with_a_blank(predictions: int, extra: int, seed: int) -> None:
    frames = predictions + extra
    generator = torch.Generator().manual_seed(seed)
    scores, blank = 4 * torch.randn(3, frames, predictions, generator=generator), 4 * torch.randn(3, frames, generator=generator)
    without, never = monotonic_alignment(scores), monotonic_alignment(scores, "soft", torch.full_like(blank, -torch.inf))
    torch.testing.assert_close(never.loss, without.loss, atol=1e-4, rtol=1e-5)  # a forbidden blank is none
    torch.testing.assert_close(never.posterior[..., :-1], without.posterior, atol=1e-4, rtol=0)
    assert torch.equal(never.path, without.path)
    soft = monotonic_alignment(scores, "soft", blank)
    assert (soft.loss <= without.loss + 1e-4).all()  # more paths never cost more
    torch.testing.assert_close(soft.posterior.sum(-1), torch.ones(3, frames), atol=1e-4, rtol=0)


@pytest.mark.parametrize("frames, predictions", [(4, 2), (6, 3), (5, 5), (5, 1)])
def test_among_equal_paths_the_one_that_climbs_latest_is_the_best(frames: int, predictions: int) -> None:
    path = monotonic_alignment(torch.zeros(frames, predictions), "hard").path
    assert path.tolist() == [0] * (frames - predictions) + list(range(predictions))
