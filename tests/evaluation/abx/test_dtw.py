"""Time warping is right against loops, cell by cell."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foresay.evaluation.abx.dtw import dtw
from reference.abx_loops import warp


def warped(matrices: list[np.ndarray]) -> np.ndarray:
    """Warp matrices of any sizes as one batch."""
    rows, columns = (torch.tensor([m.shape[axis] for m in matrices]) for axis in (0, 1))
    batch = torch.full((int(rows.max()), int(columns.max()), len(matrices)), 7.0)  # what lies beyond the ends must not matter
    for lane, matrix in enumerate(matrices):
        batch[: matrix.shape[0], : matrix.shape[1], lane] = torch.from_numpy(matrix)
    return dtw(batch, rows, columns).numpy()


def test_like_loops() -> None:
    random = np.random.default_rng(0)
    matrices = [random.random(random.integers(1, 12, size=2)).astype(np.float32) for _ in range(200)]
    there, back = warped(matrices)
    np.testing.assert_allclose(there, [warp(m) for m in matrices], rtol=1e-6)
    np.testing.assert_allclose(back, [warp(m.T) for m in matrices], rtol=1e-6)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_ties_go_back_diagonally_else_left_else_up(levels: int) -> None:
    """With few levels paths tie everywhere, and their lengths differ by direction."""
    random = np.random.default_rng(levels)
    matrices = [random.integers(levels, size=random.integers(1, 9, size=2)).astype(np.float32) for _ in range(300)]
    there, back = warped(matrices)
    np.testing.assert_allclose(there, [warp(m) for m in matrices], rtol=1e-6)
    np.testing.assert_allclose(back, [warp(m.T) for m in matrices], rtol=1e-6)
    assert (there != back).any() == (levels > 1)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.0, 0.1, 1 / 3, 2.5]))
def test_a_constant_distance_is_what_is_found(rows: int, columns: int, distance: float) -> None:
    """Exactly, whatever the lengths: or equal sounds would not tie."""
    found = warped([np.full((rows, columns), distance, dtype=np.float32)])
    assert (found == np.float32(distance)).all()


def test_a_sequence_is_at_no_distance_from_itself_stretched() -> None:
    sequence = np.array([0.0, 3.0, 1.0, 4.0], dtype=np.float32)
    stretched = np.repeat(sequence, [3, 1, 2, 5])
    assert (warped([np.abs(sequence[:, None] - stretched)]) == 0.0).all()


def test_a_path_is_divided_by_its_length_not_the_best_ratio_taken() -> None:
    """The cheapest path is diagonal, of two cells; a longer one would have a smaller mean."""
    matrix = np.array([[1.0, 0.1], [0.1, 1.0]], dtype=np.float32)
    assert warped([matrix])[0, 0] == pytest.approx(2.0 / 2)
    dearer = np.array([[1.0, 0.0], [0.5, 1.0]], dtype=np.float32)
    assert warped([dearer])[0, 0] == pytest.approx(2.0 / 2)  # diagonal ties with left, and goes first
