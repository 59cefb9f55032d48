"""How items lie to each other, where it is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.encoding.subjects import Subject
from foresay.evaluation.items.item_geometry import pair_geometry
from foresay.evaluation.measure import Corpora, find_measure
from reference.item_loops import modality_gap, pair_alignment
from reference.pairs import senses, write_pairs

LABELS = np.arange(30) % 3


def halves(size: int = 6, seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    a, b = (torch.from_numpy(random.normal(size=(30, size)) + np.eye(size)[LABELS + shift]) for shift in (0, 1))
    return a, b


def found(a: torch.Tensor, b: torch.Tensor, labels: object = LABELS) -> dict[str, float]:
    return {finding.metric: finding.value for finding in pair_geometry(a, b, labels)}


def test_they_are_what_their_definitions_say() -> None:
    a, b = halves()
    own, others = pair_alignment(a.numpy(), b.numpy())
    assert found(a, b) == pytest.approx(
        {
            "pair_alignment": own,
            "relative_pair_alignment": own / others,
            "modality_gap": modality_gap(a.numpy(), b.numpy(), LABELS.tolist()),
        }
    )


def test_length_and_a_common_rotation_change_nothing() -> None:
    a, b = halves()
    turn, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    assert found(3 * a @ turn, 0.1 * b @ turn) == pytest.approx(found(a, b))


def test_halves_that_are_one_have_no_gap() -> None:
    a, _ = halves()
    values = found(a, a)
    assert values["pair_alignment"] == pytest.approx(0.0, abs=1e-9)
    assert values["modality_gap"] == pytest.approx(0.0, abs=1e-9)


def test_modalities_on_axes_of_their_own() -> None:
    """Sounds of three classes on three axes, pictures on three others: everything is the root of two apart from everything."""
    a, b = (torch.eye(6, dtype=torch.float64)[torch.from_numpy(LABELS) + shift] for shift in (0, 3))
    assert found(a, b) == pytest.approx({"pair_alignment": 2.0, "relative_pair_alignment": 1.0, "modality_gap": 1.0})


def test_without_classes_that_lie_apart_there_is_no_gap() -> None:
    a, b = halves()
    assert "modality_gap" not in found(a, b, np.zeros(30))
    assert "modality_gap" not in found(torch.ones(30, 4), -torch.ones(30, 4))


def test_pairs_of_noise_are_no_nearer_than_any() -> None:
    a, b = torch.randn(2, 600, 32, generator=torch.Generator().manual_seed(0))
    (relative,) = (f for f in pair_geometry(a, b, np.arange(600) % 2) if f.metric == "relative_pair_alignment")
    assert relative.interval is not None
    assert relative.interval[0] < 1.0 < relative.interval[1]


def test_intervals_hold_the_numbers_and_a_class_that_is_seldom_drawn_has_none() -> None:
    for finding in pair_geometry(*halves(), LABELS):
        assert finding.interval is not None
        assert finding.interval[0] <= finding.value <= finding.interval[1]
        assert finding.details == {"items": 30, "classes": 3, "dimensions": 6}
    rare = np.where(np.arange(30) == 0, 1, 0)
    (gap,) = (f for f in pair_geometry(*halves(), rare) if f.metric == "modality_gap")
    assert gap.interval == ()


def test_golden_numbers() -> None:
    """Computed once, with this code; the laws and oracles above say that it is right."""
    assert found(*halves()) == pytest.approx(GOLDEN, abs=1e-6)


GOLDEN = {
    "pair_alignment": 1.708267115,
    "relative_pair_alignment": 0.880602548,
    "modality_gap": 0.900211330,
}

ROWS = ["alignment", "relative_alignment", "uniformity", "anisotropy"]


def test_items_of_a_model_of_both_modalities(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    corpora = Corpora(write_pairs(tmp_path / "test.jsonl", 30))
    rows = find_measure("item_geometry:mean")([Subject("turned", senses(turn=1), ("level",), 7)], corpora)
    values = {row.metric: row.value for row in rows}
    across = ["pair_alignment", "relative_pair_alignment", "modality_gap"]
    assert list(values) == [*(f"{m}_audio" for m in ROWS), *(f"{m}_image" for m in ROWS), *across]
    assert values["alignment_audio"] == values["relative_alignment_image"] == 0.0
    # Two of different items are of different classes in 20 of 29 cases, and then 2 apart.
    uniformity = np.log((9 + 20 * np.exp(-4)) / 29)
    assert values["uniformity_audio"] == pytest.approx(uniformity, abs=0.03)
    assert values["anisotropy_image"] == pytest.approx(9 / 29, abs=0.02)
    assert values["pair_alignment"] == 2.0
    assert values["modality_gap"] == pytest.approx(1.0)
    assert all(row.details["items"] == 30 and row.step == 7 for row in rows)


def test_one_modality_has_no_pairs(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    corpora = Corpora(write_pairs(tmp_path / "test.jsonl", 9))
    rows = find_measure("item_geometry:last")([Subject("pictures", senses("image"), ("level",))], corpora)
    assert [row.metric for row in rows] == [f"{m}_image" for m in ROWS]
