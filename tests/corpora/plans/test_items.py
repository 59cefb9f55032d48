"""Batches of items: so many of each, cropped to the shortest, the same for ever; and halves of pairs."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foresay.contracts import Modality
from foresay.corpora.batches import plan_batches, plan_groups
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.items import ItemPlan
from foresay.corpora.plans.windows import DataSettings, PlannedBatch
from foresay.errors import UserError

RATE = 100
PAIRS: tuple[Modality, ...] = ("audio", "image")
PICTURES: tuple[Modality, ...] = ("image",)


def write(folder: Path, lengths: list[int], pictures: list[bool] | None = None, *, backwards: bool = False) -> Manifest:
    """Plans need lengths only: there is no audio. Length 0: none at all."""
    lines = []
    for n, length in enumerate(lengths):
        sound = {"audio": f"{n}.wav", "duration": length / RATE, "sample_rate": RATE} if length else {}
        picture = {"image": f"{n}.png"} if pictures is None or pictures[n] else {}
        lines.append(json.dumps({"id": f"i{n:04}", **sound, **picture}) + "\n")
    path = folder / "manifest.jsonl"
    path.write_text("".join(reversed(lines) if backwards else lines), encoding="utf-8")
    return Manifest.open(path)


def data(**changes: Any) -> DataSettings:  # noqa: ANN401 - settings of any type
    return DataSettings(**{"sample_rate": RATE, "sampler": "items", "batch": 4, "window": 300, "shortest": 0.5, **changes})


def epoch(plan: ItemPlan, number: int = 0) -> list[PlannedBatch]:
    return [plan.batch(number, step, step) for step in range(plan.steps(number))]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 900), min_size=1, max_size=60), groups=st.integers(1, 3), group=st.integers(1, 3))
def test_every_batch_is_full_and_as_long_as_its_shortest(tmp_path: Path, lengths: list[int], groups: int, group: int) -> None:
    manifest = write(tmp_path, lengths)
    batch, long_enough = groups * group, [n for n, length in enumerate(lengths) if length >= 50]
    if len(long_enough) < batch:
        with pytest.raises(UserError, match=r"has no clip of 0.5 s|too few for one batch"):
            ItemPlan(manifest, data(batch=batch), seed=0, group=group)
        return
    plan = ItemPlan(manifest, data(batch=batch), seed=0, group=group)
    assert bool(plan.notes) == (len(long_enough) < len(lengths))
    for number in range(3):
        counts: Counter[int] = Counter()
        for planned in epoch(plan, number):
            assert len(planned.windows) == len(planned.keys) == batch
            segments = [segment for window in planned.windows for segment in window.segments]
            shortest = min(lengths[item] for item, _, _ in segments)
            assert {stop - start for _, start, stop in segments} == {min(shortest, 300)}
            assert all(start >= 0 and stop <= lengths[item] for item, start, stop in segments)
            counts.update(item for item, _, _ in segments)
        assert set(counts) <= set(long_enough)
        assert max(counts.values()) == 1
        assert plan.left_out(number) == len(long_enough) - len(counts) < batch


def test_items_of_a_batch_are_of_like_length_and_meet_others_in_every_epoch(tmp_path: Path) -> None:
    lengths = np.random.default_rng(0).integers(50, 300, 2000).tolist()
    manifest = write(tmp_path, lengths)
    met = []
    for spread, ratio in ((0.0, 1.1), (0.2, 1.4)):
        plan = ItemPlan(manifest, data(batch=8, spread=spread), seed=0)
        for planned in epoch(plan):
            inside = [lengths[window.segments[0].item] for window in planned.windows]
            assert max(inside) <= ratio * min(inside)
        met.append([{frozenset(w.segments[0].item for w in batch.windows) for batch in epoch(plan, n)} for n in (0, 1)])
    assert not met[1][0] & met[1][1]


def test_what_is_of_one_length_meets_anybody(tmp_path: Path) -> None:
    plan = ItemPlan(write(tmp_path, [0] * 40), data(), seed=0, modalities=PICTURES)
    partners = [{w.segments[0].item for w in batch.windows} - {0} for n in range(60) for batch in epoch(plan, n)]
    together = Counter(item for batch in partners if len(batch) == 3 for item in batch)
    assert len(together) == 39


def test_left_out_is_somebody_else_in_every_epoch(tmp_path: Path) -> None:
    plan = ItemPlan(write(tmp_path, [100] * 9), data(), seed=0)
    left = Counter(item for n in range(60) for item in set(range(9)) - {w.segments[0].item for b in epoch(plan, n) for w in b.windows})
    assert set(left) == set(range(9))


def test_a_plan_is_a_function_of_seed_epoch_and_step(tmp_path: Path) -> None:
    lengths = np.random.default_rng(1).integers(50, 400, 40).tolist()
    plan = ItemPlan(write(tmp_path, lengths), data(), seed=3, group=2, modalities=PAIRS)
    forwards = [epoch(plan, number) for number in range(3)]
    backwards = [[plan.batch(number, step, step) for step in reversed(range(plan.steps(number)))][::-1] for number in reversed(range(3))][
        ::-1
    ]
    for one, other in zip(forwards, backwards, strict=True):
        assert [b.windows for b in one] == [b.windows for b in other]
        assert [b.keys.tolist() for b in one] == [b.keys.tolist() for b in other]
    other_order = ItemPlan(write(tmp_path, lengths, backwards=True), data(), seed=3, group=2, modalities=PAIRS)
    names = [
        [[(len(lengths) - 1 - s.item, s.start) for w in b.windows for s in w.segments] for b in epoch(other_order, n)] for n in range(3)
    ]
    assert names == [[[(s.item, s.start) for w in b.windows for s in w.segments] for b in batches] for batches in forwards]
    assert forwards[0][0].windows != ItemPlan(write(tmp_path, lengths), data(), seed=4, group=2).batch(0, 0, 0).windows
    with pytest.raises(IndexError, match="has steps 0 to 9, not 10"):
        plan.batch(0, 10, 0)


def test_the_sampler_chooses_the_plan_and_the_model_what_is_in_it(tmp_path: Path) -> None:
    manifest = write(tmp_path, [100] * 8)
    plan = plan_batches(manifest, data(), seed=0, group=2, modalities=PAIRS)
    assert isinstance(plan, ItemPlan)
    assert plan.modalities == PAIRS
    assert plan.fewest == 2
    alone = plan_groups(manifest, data(mix=0.5), seed=0, group=2, modalities=PAIRS)
    assert isinstance(alone, ItemPlan)
    assert [len(batch.windows) for batch in epoch(alone)] == [2, 2, 2, 2]
    with pytest.raises(UserError, match=r"takes images.*--set data.sampler=items"):
        plan_batches(manifest, data(sampler="uniform"), seed=0, modalities=PAIRS)


@pytest.mark.parametrize(
    "lengths, pictures, modalities, message",
    [
        ([100, 0, 0, 100], None, PAIRS, r"item 'i0001' has no audio.*\(2 of 4 items.*\"audio\".*--set model.modalities=image"),
        ([100] * 4, [True, True, False, True], PAIRS, r"item 'i0002' has no picture.*\(1 of 4 items.*\"image\".*modalities=audio"),
        ([100] * 4, [False] * 4, PICTURES, r"item 'i0000' has no picture.*--set model.modalities=audio"),
        ([0] * 4, None, ("audio",), r"item 'i0000' has no audio.*--set model.modalities=image"),
    ],
)
def test_a_missing_half_is_named(
    tmp_path: Path, lengths: list[int], pictures: list[bool] | None, modalities: tuple[Modality, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ItemPlan(write(tmp_path, lengths, pictures), data(), seed=0, modalities=modalities)


@pytest.mark.parametrize(
    "changes, group, modalities, message",
    [
        ({"batch": 5}, 2, PAIRS, r"not a whole number of the model's groups of 2 items.*data.batch=4"),
        ({"batch": 20}, 2, PAIRS, r"has 9 items, too few for one batch of 20.*data.batch=8$"),
        ({"batch": 20}, 20, PAIRS, r"data.batch=9 --set model.negative_group=9$"),
        ({"shortest": 5.0, "longest": 6.0}, 1, PAIRS, r"has no clip of 5.0 s or more: --set data.shortest=1$"),
        ({"mix": 0.2}, 1, PICTURES, r"change audio, and this model is trained on pictures alone"),
    ],
)
def test_what_cannot_be_planned_is_explained(
    tmp_path: Path, changes: dict[str, float], group: int, modalities: tuple[Modality, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        ItemPlan(write(tmp_path, [100] * 9), data(**changes), seed=0, group=group, modalities=modalities)


def test_shortest_is_of_no_matter_to_pictures(tmp_path: Path) -> None:
    assert ItemPlan(write(tmp_path, [10] * 8), data(), seed=0, modalities=PICTURES).steps(0) == 2
