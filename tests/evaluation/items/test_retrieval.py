"""Retrieval where its outcome is known: perfect, hopeless, and by chance."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.items.retrieval import CHANCE, retrieval
from foresay.evaluation.measure import Corpora, find_measure
from reference.item_loops import recall
from reference.pairs import senses, write_pairs

LABELS = np.arange(12) % 3


def found(queries: torch.Tensor, candidates: torch.Tensor, labels: object = None) -> dict[str, float]:
    return {finding.metric: finding.value for finding in retrieval(queries, candidates, labels)}


def vectors(levels: int, seed: int) -> torch.Tensor:
    """Twelve vectors of few different numbers, so that some lie equally near."""
    return torch.from_numpy(np.random.default_rng(seed).integers(1, 1 + levels, size=(12, 3)).astype(np.float64))


@pytest.mark.parametrize("levels", [2, 3, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_its_definition_says_equally_near_or_not(levels: int, seed: int) -> None:
    a, b = vectors(levels, seed), vectors(levels, seed + 10)
    oracle = {
        f"{name}@{first}": recall(a.numpy(), b.numpy(), classes, first)
        for name, classes in (("R", range(12)), ("class_R", LABELS.tolist()))
        for first in (1, 5)
    }
    assert found(a, b, LABELS) == pytest.approx(oracle)


def test_the_other_half_itself_is_found_however_long() -> None:
    a = torch.randn(200, 16)
    assert found(a, 5.0 * a) == {"R@1": 1.0, "R@5": 1.0}
    turn, _ = torch.linalg.qr(torch.randn(16, 16))
    assert found(a @ turn, a @ turn) == {"R@1": 1.0, "R@5": 1.0}
    assert found(a, a @ turn)["R@1"] < 0.1  # of one shape, but not at one place


def test_what_is_the_opposite_is_never_found() -> None:
    a = torch.randn(50, 8)
    assert found(a, -a) == {"R@1": 0.0, "R@5": 0.0}


def test_what_collapsed_is_exactly_at_chance() -> None:
    results = retrieval(torch.ones(12, 4), torch.ones(12, 4), LABELS)
    chances = {"R@1": 1 / 12, "R@5": 5 / 12, "class_R@1": 1 / 3, "class_R@5": 1 - (8 * 7 * 6 * 5 * 4) / (12 * 11 * 10 * 9 * 8)}
    assert {f.metric: f.value for f in results} == pytest.approx(chances)
    assert {f.metric: f.details["chance"] for f in results} == pytest.approx(chances)


def test_noise_is_near_chance() -> None:
    a, b = torch.randn(2, 1500, 8, generator=torch.Generator().manual_seed(1))  # more than are compared at once
    for finding in retrieval(a, b, np.arange(1500) % 4):
        assert finding.interval is not None
        assert finding.value == pytest.approx(finding.details["chance"], abs=3 * (finding.interval[1] - finding.interval[0]) / 4 + 1e-3)
    assert finding.details["items"] == 1500


def test_a_class_is_found_where_the_pair_is_not() -> None:
    points = torch.eye(3)[torch.from_numpy(LABELS)]
    assert found(points, points, LABELS) == pytest.approx({"R@1": 0.25, "R@5": 1.0, "class_R@1": 1.0, "class_R@5": 1.0})


def test_fewer_items_than_are_looked_at() -> None:
    assert found(torch.eye(3), torch.eye(3).roll(1, 0)) == {"R@1": 0.0, "R@5": 1.0}


def test_vectors_of_two_spaces_have_no_cosine() -> None:
    with pytest.raises(UserError, match="as wide in both"):
        retrieval(torch.ones(4, 3), torch.ones(4, 5))


def test_both_directions_beside_chance(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    corpora = Corpora(write_pairs(tmp_path / "test.jsonl", 12))
    rows = find_measure("retrieval:mean")([Subject("senses", senses(), ("level",), 7)], corpora)
    metrics = [f"{name}@{k}_{way}" for way in ("audio_to_image", "image_to_audio") for name in ("R", "class_R") for k in (1, 5)]
    assert [(row.model, row.metric) for row in rows] == [(model, metric) for model in ("senses", CHANCE) for metric in metrics]
    values = {(row.model, row.metric): row.value for row in rows}
    assert values["senses", "class_R@1_audio_to_image"] == 1.0
    assert values["senses", "R@1_image_to_audio"] == pytest.approx(0.25)
    assert values[CHANCE, "R@1_image_to_audio"] == pytest.approx(1 / 12)
    bare = Corpora(write_pairs(tmp_path / "bare.jsonl", 6, labelled=False))
    assert not any("class" in row.metric for row in find_measure("retrieval:last")([Subject("senses", senses(), ("level",))], bare))


def test_one_modality_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    retrieving, pairs = find_measure("retrieval:mean"), Corpora(write_pairs(tmp_path / "test.jsonl", 3))
    with pytest.raises(UserError, match="pictures takes image alone"):
        retrieving([Subject("pictures", senses("image"), ("level",))], pairs)
    clips = Corpora(write_pairs(tmp_path / "clips.jsonl", 3, halves=("audio",)))
    with pytest.raises(UserError, match="clips has no pairs of both"):
        retrieving([Subject("senses", senses(), ("level",))], clips)
    assert retrieving.serves(senses(), pairs)
    assert not retrieving.serves(senses("audio"), pairs)
