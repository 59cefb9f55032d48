"""Distances from matrix products equal those from differences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foresay.errors import UserError
from foresay.evaluation.abx.frame_distances import DISTANCES
from golden.abx.speech import as_distributions
from reference import abx_loops

ORACLES = {"angular": abx_loops.angular, "cosine": abx_loops.cosine, "euclidean": abx_loops.euclidean, "kl": abx_loops.kl}


def between(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    distance = DISTANCES[name]
    return distance.between(*(distance.prepare(torch.from_numpy(f)).double() for f in (x, y))).numpy()


@pytest.mark.parametrize("name", DISTANCES)
def test_like_loops(name: str) -> None:
    x, y = (np.random.default_rng(n).normal(size=(n, 6)).astype(np.float32) for n in (7, 11))
    if name == "kl":
        x, y = as_distributions(x), as_distributions(y)
    expected = ORACLES[name](x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(between(name, x, y), expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", DISTANCES)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 300))
def test_equal_frames_tie_wherever_they_stand(name: str, rows: int, columns: int, features: int) -> None:
    """A product must not depend on the shape of the matrix it is computed in."""
    frame = np.random.default_rng(features).random((1, features), dtype=np.float32)
    other = np.random.default_rng(features + 1).random((1, features), dtype=np.float32)
    if name == "kl":
        frame, other = as_distributions(frame), as_distributions(other)
    alone = between(name, frame, other)
    assert (between(name, frame.repeat(rows, axis=0), other.repeat(columns, axis=0)) == alone).all()


@pytest.mark.parametrize("name", ["euclidean", "kl"])
def test_a_frame_is_at_no_distance_from_itself(name: str) -> None:
    x = as_distributions(np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32))
    assert (np.diag(between(name, x, x)) == 0.0).all()


@pytest.mark.parametrize("name, farthest", [("angular", 1.0), ("cosine", 2.0)])
def test_a_frame_of_zeros_is_far_from_all_but_its_like(name: str, farthest: float) -> None:
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    found = between(name, x, x)
    assert found[0, 0] == 0.0
    assert (found[0, 1:] == farthest).all()
    assert (found[1:, 0] == farthest).all()
    assert found[1, 2] == pytest.approx(farthest / 2)


def test_length_does_not_matter_to_an_angle() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(between("angular", x, 100.0 * y), between("angular", 0.1 * x, y), atol=1e-6)


@pytest.mark.parametrize("frames", [[[0.5, 0.6]], [[1.5, -0.5]]])
def test_only_distributions_have_a_divergence(frames: list[list[float]]) -> None:
    with pytest.raises(UserError, match="softmax"):
        DISTANCES["kl"].prepare(torch.tensor(frames))
