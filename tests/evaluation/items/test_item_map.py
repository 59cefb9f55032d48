"""Maps of items: who is who."""

from pathlib import Path

import numpy as np
import pytest

from foresay.encoding.subjects import Subject
from foresay.evaluation.items.item_map import ItemMap, ItemMapProtocol
from foresay.evaluation.measure import Corpora, find_measure
from reference.pairs import senses, write_pairs

pytest.importorskip("PIL")
pytest.importorskip("sklearn")


def test_every_half_has_its_class_its_modality_and_its_place(tmp_path: Path) -> None:
    corpora = Corpora(write_pairs(tmp_path / "test.jsonl", 30))
    (row,) = find_measure("item_map:mean")([Subject("senses", senses(), ("level",), 7)], corpora)
    assert (row.metric, row.low, row.step) == ("trustworthiness of the map", None, 7)
    details = row.details
    assert details["phones"] == ["one", "three", "two"]
    assert details["labels"] == 2 * [(0, 2, 1)[number % 3] for number in range(30)]
    assert details["modalities"] == ["audio", "image"]
    assert details["marks"] == 30 * [0] + 30 * [1]
    points, labels = np.array(details["points"]), np.array(details["labels"])
    assert points.shape == (60, 2)
    centers = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    assert (np.linalg.norm(points[:, None] - centers, axis=-1).argmin(axis=1) == labels).all()


def test_of_many_items_some_are_drawn_the_same_for_every_model(tmp_path: Path) -> None:
    corpora = Corpora(write_pairs(tmp_path / "test.jsonl", 60, labelled=False))
    few = ItemMap(ItemMapProtocol("mean", "mean", points=50))
    both, images = few([Subject(name, senses(name), ("level",)) for name in ("both", "image")], corpora)
    assert [len(row.details["points"]) for row in (both, images)] == [50, 50]
    assert images.details["modalities"] == ["image"]
    assert set(images.details["labels"]) == {-1}
