"""Alignment, uniformity, anisotropy and effective rank, where they are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import hyp0f1

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.geometry.geometry import RANK_DRAWS, effective_rank, geometry, redrawn_ranks
from foresay.evaluation.measure import Corpora, find_measure
from foresay.statistics.intervals import draw_utterances
from reference.levels import trained, write_corpus

UTTERANCES = np.repeat(np.arange(40), 100)
LABELS = np.random.default_rng(0).integers(5, size=4000)


def found(features: torch.Tensor, labels: np.ndarray = LABELS, pairs: int = 100_000) -> dict[str, float]:
    return {finding.metric: finding.value for finding in geometry(features, labels, UTTERANCES, pairs)}


@pytest.mark.parametrize("size", [2, 3, 16, 64])
def test_what_fills_the_sphere_is_as_uniform_as_can_be(size: int) -> None:
    """For u = x . y of uniform unit vectors, the mean of exp(4 u) is 0F1(; D / 2; 4), so that of exp(-2 |x - y|^2) is known."""
    values = found(torch.randn(4000, size))
    assert values["uniformity"] == pytest.approx(-4 + np.log(hyp0f1(size / 2, 4.0)), abs=0.02)
    assert values["anisotropy"] == pytest.approx(0.0, abs=0.01)
    assert values["alignment"] == pytest.approx(2.0, abs=0.02)
    assert values["relative alignment"] == pytest.approx(1.0, abs=0.01)


def test_phones_that_are_points_are_aligned() -> None:
    values = found(torch.eye(5)[torch.from_numpy(LABELS)] * 3.0)
    assert values["alignment"] == pytest.approx(0.0, abs=1e-6)
    assert values["relative alignment"] == pytest.approx(0.0, abs=1e-6)
    assert values["anisotropy"] == pytest.approx(0.2, abs=0.01)  # one in five is of the same phone
    assert values["effective rank"] == pytest.approx(4.0, abs=0.01)  # five points less their mean


def test_alignment_is_relative_to_frames_that_have_a_phone() -> None:
    """Silence that nobody labelled lies apart from all speech: phones are no more aligned for that."""
    speech, silence = torch.randn(4000, 16) + 3.0, torch.randn(4000, 16) - 3.0
    labels = np.where(np.arange(4000) % 2, LABELS, -1)
    values = found(torch.where(torch.from_numpy(labels)[:, None] >= 0, speech, silence), labels)
    assert values["relative alignment"] == pytest.approx(1.0, abs=0.02)
    assert values["anisotropy"] == pytest.approx(0.0, abs=0.05)  # of any frames


def test_what_collapsed_is_reported() -> None:
    values = found(torch.ones(4000, 7))
    assert (values["uniformity"], values["anisotropy"], values["effective rank"]) == pytest.approx((0.0, 1.0, 0.0), abs=1e-6)
    assert values["alignment"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("rank", [1, 4, 20])
def test_a_gaussian_of_few_directions_has_their_rank(rank: int) -> None:
    directions, _ = torch.linalg.qr(torch.randn(64, rank, dtype=torch.float64))
    features = torch.randn(4000, rank, dtype=torch.float64) @ directions.T + 5.0
    assert rank * 0.99 < effective_rank(features) <= rank + 1e-6
    assert effective_rank(-3.0 * features - 1.0) == pytest.approx(effective_rank(features))


def test_effective_rank_is_the_entropy_of_singular_values() -> None:
    features = np.random.default_rng(1).normal(size=(300, 12)) * np.linspace(0.1, 3, 12)
    values = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)
    shares = values / values.sum()
    assert effective_rank(torch.from_numpy(features)) == pytest.approx(np.exp(-sum(p * np.log(p) for p in shares)))


def test_ranks_are_redrawn_by_utterance() -> None:
    random = np.random.default_rng(2)
    utterances = random.permutation(np.repeat([3, 5, 9, 11], [10, 20, 30, 40]))
    features = torch.from_numpy(random.normal(size=(100, 6)) + utterances[:, None])
    redrawn = redrawn_ranks(features, utterances, seed=4)
    for rank, times in zip(redrawn[:10], draw_utterances(4, 4, RANK_DRAWS)[:10], strict=True):
        parts = [features[utterances == name] for name, count in zip((3, 5, 9, 11), times, strict=True) for _ in range(int(count))]
        assert rank == pytest.approx(effective_rank(torch.cat(parts)))


def test_golden_numbers() -> None:
    """Computed once, with this code; the laws and oracles above say that it is right."""
    random = np.random.default_rng(7)
    features = torch.from_numpy(random.normal(size=(4000, 6)) + np.eye(6)[LABELS])
    assert found(features, pairs=5000) == pytest.approx(GOLDEN, abs=1e-5)


GOLDEN = {
    "alignment": 1.719592335,
    "relative alignment": 0.887277574,
    "uniformity": -2.732682715,
    "anisotropy": 0.030972727,
    "effective rank": 5.992371853,
}


def test_intervals_hold_the_values(tmp_path: Path) -> None:
    corpora = Corpora(write_corpus(tmp_path / "test.jsonl", 12))
    results = find_measure("geometry:frames")([Subject("levels", trained(), ("level",), 7)], corpora, seed=1)
    assert [r.metric for r in results] == ["alignment", "relative alignment", "uniformity", "anisotropy", "effective rank"]
    for result in results:
        assert result.low is not None
        assert result.low <= result.value <= result.high
    assert results[0].value == 0.0
    assert results[0].details == {"frames": results[0].details["frames"], "pairs": 100_000, "dimensions": 8}
    assert (results[0].step, results[0].layer, results[0].seed) == (7, "level", 1)


def test_without_phones_only_alignment_is_missing(tmp_path: Path) -> None:
    bare = Corpora(write_corpus(tmp_path / "bare.jsonl", 3, labelled=False))
    results = find_measure("geometry")([Subject("levels", trained(), ("level",))], bare)
    assert [r.metric for r in results] == ["uniformity", "anisotropy", "effective rank"]


def test_one_recording_has_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="different recordings, but only one could be encoded"):
        find_measure("geometry")([Subject("levels", trained(), ("level",))], Corpora(write_corpus(tmp_path / "one.jsonl", 1)))


def test_the_interval_of_a_rank_holds_it_where_few_utterances_hold_fewer_directions() -> None:
    """A draw with replacement lacks a third of the utterances, and with them their directions."""
    features, utterances = torch.randn(60, 200, dtype=torch.float64), np.arange(60) // 5
    found = next(f for f in geometry(features, np.full(60, -1), utterances, 100) if f.metric == "effective rank")
    assert found.interval
    assert found.interval[0] < found.value < found.interval[1]
