"""Three slots, all of which must be right: against PyTorch's cross-entropy and counts by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.intent_classification import IntentClassification
from reference.paired_levels import subject, write_clips

CLASSES = ("0 | off", "0 | on", "1 | hall", "1 | lamp", "1 | radio", "2 | none")
TASK = IntentClassification(IntentClassification.protocols["tiny"])
GIVEN = FeatureBatch(torch.zeros(0), torch.zeros(0))


def write(path: Path, labels: dict[str, str | None]) -> Manifest:
    return write_clips(path, {name: [[0, 0]] * 4 for name in labels}, label=labels)


def commands(folder: Path, name: str, count: int, seed: int) -> Manifest:
    """The first number of a frame is the action, the second the object, from 4, so that their sum says both."""
    numbers = np.random.default_rng(seed).integers(0, 3, (count, 2))
    clips = {f"{name}-{place}": np.tile((pair[0], 4 + pair[1]), (4, 1)) for place, pair in enumerate(numbers)}
    labels = {f"{name}-{place}": f"action {one} | object {two}" for place, (one, two) in enumerate(numbers)}
    return write_clips(folder / f"{name}.jsonl", clips, label=labels)


def test_the_classes_are_the_values_of_each_slot(tmp_path: Path) -> None:
    manifest = write(tmp_path / "train.jsonl", {"a": "on | lamp | none", "b": "off | radio | none", "c": None, "d": "on | hall | none"})
    assert TASK.classes(manifest) == CLASSES
    assert TASK.answers(manifest, CLASSES) == {0: (1, 3, 5), 1: (0, 4, 5), 3: (1, 2, 5)}


def test_the_loss_is_that_of_all_slots() -> None:
    outputs = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0))
    answers = [(1, 3, 5), (0, 4, 5), (1, 2, 5)]
    found = TASK.loss(outputs, GIVEN, answers, CLASSES)
    for head in range(2):
        expected = F.cross_entropy(outputs[head, :, :2], torch.tensor([1, 0, 1])) + F.cross_entropy(
            outputs[head, :, 2:5], torch.tensor([1, 2, 0])
        )
        torch.testing.assert_close(found[head], expected)


def test_all_slots_must_be_right() -> None:
    right = torch.zeros(6)
    right[[1, 3]] = 1.0
    action, object_ = right.clone(), right.clone()
    action[0] = object_[4] = 2.0
    outputs = torch.stack([torch.stack([right, action]), torch.stack([object_, right])])
    outputs[..., 5] = -9.0  # there is no other value in this slot
    counts, totals = TASK.count(outputs, GIVEN, [(1, 3, 5), (1, 3, 5)], CLASSES)["accuracy"]
    assert counts.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert totals.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="different numbers of slots"):
        TASK.classes(write(tmp_path / "uneven.jsonl", {"a": "on | lamp", "b": "on | lamp | hall"}))
    with pytest.raises(UserError, match=r"none has 0 labels \(\), and intent_classification chooses among several"):
        TASK.classes(write(tmp_path / "none.jsonl", {"a": None}))
    with pytest.raises(UserError, match=r"one has 1 labels \(on \| lamp\)"):
        TASK.classes(write(tmp_path / "one.jsonl", {"a": "on | lamp", "b": "on | lamp"}))
    fewer = write(tmp_path / "fewer.jsonl", {"a": "on | lamp | none", "b": "on | lamp", "c": "off"})
    with pytest.raises(UserError, match=r"'on \| lamp' of b in .*fewer has not 3 slots .* and 1 others have not"):
        TASK.answers(fewer, CLASSES)
    strange = write(tmp_path / "strange.jsonl", {"a": "on | cellar | none"})
    with pytest.raises(UserError, match=r"strange has values that the corpus to learn from lacks: 1 \| cellar"):
        TASK.answers(strange, CLASSES)


def test_who_knows_one_slot_has_what_chance_gives_in_the_other(tmp_path: Path) -> None:
    train, valid, test = (commands(tmp_path, name, count, seed) for seed, (name, count) in enumerate(zip("tvx", (40, 20, 60), strict=True)))
    options = {"updates": 60, "rates": [1e-1], "seeds": 1, "checks": 2, "size": 16, "heads": ["published"]}
    rows = {row.layer: row for row in find_measure("intent_classification:tiny", options)([subject()], Corpora(test, train, valid))}
    assert rows["sum"].value == 1.0
    assert rows["sum"].details["classes"] == 6
    for layer in ("first", "second"):
        assert abs(rows[layer].value - 1 / 3) < 0.2
