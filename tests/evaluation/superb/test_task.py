"""Heads on features of which one layer knows the class and the other one does not: what is learnt, chosen, scored and refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.superb._task import Stores
from foresay.evaluation.superb.features import FeatureBatch, PooledFeatures
from foresay.results import Result
from reference.paired_levels import PairedLevels, subject, write_clips

CLASSES = ("down", "left", "right", "up")
COUNTS = {"train": 48, "valid": 24, "test": 80}
PAIRS, KEPT = subject(), Stores()
QUICK: Mapping[str, Any] = {"updates": 40, "rates": [1e-1, 1e-3], "seeds": 1, "checks": 4, "size": 16, "heads": ["published"]}


def part(folder: Path, name: str, said: Sequence[str | None], numbers: Sequence[int], seed: int, speakers: int = 8) -> Manifest:
    """Write recordings of 3 to 8 frames: the first number of each pair is given, the second one is drawn."""
    random = np.random.default_rng(seed)
    clips, labels, who = {}, {}, {}
    for place, (label, number) in enumerate(zip(said, numbers, strict=True)):
        clip = random.integers(0, 8, (int(random.integers(3, 9)), 2))
        clip[:, 0] = number
        one = f"{name}-{place}"
        clips[one], labels[one], who[one] = clip, label, f"speaker {place % speakers}"
    return write_clips(folder / f"{name}.jsonl", clips, label=labels, speaker=who)


def corpus(folder: Path, *, shift: Mapping[str, int] | None = None, shuffled: bool = False) -> Corpora:
    """Write three parts. `shift`: by how many classes the labels of a part are wrong; `shuffled`: labels have to do with nothing."""
    found = []
    for seed, (name, count) in enumerate(COUNTS.items()):
        numbers = np.arange(count) % len(CLASSES)
        labels = np.random.default_rng(9 + seed).permutation(numbers) if shuffled else numbers + (shift or {}).get(name, 0)
        found.append(part(folder, name, [CLASSES[label % len(CLASSES)] for label in labels], numbers.tolist(), seed))
    train, valid, test = found
    return Corpora(test, train, valid)


def measured(corpora: Corpora, seed: int = 0, layers: Sequence[str] = (), protocol: str = "tiny", **options: object) -> dict[str, Result]:
    measure = find_measure(f"keyword_spotting:{protocol}", {**QUICK, **options})
    measure.store = KEPT
    rows = measure([subject(*layers) if layers else PAIRS], corpora, seed=seed)
    assert {row.metric for row in rows} == {"accuracy"}
    return {row.layer: row for row in rows}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    return corpus(tmp_path_factory.mktemp("keywords"))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    """The labels of valid are all wrong: what has learnt the least is the best there."""
    return corpus(tmp_path_factory.mktemp("wrong"), shift={"valid": 1})


def test_a_layer_that_knows_the_class_names_it_always_and_one_that_does_not_by_chance(corpora: Corpora) -> None:
    rows = measured(corpora, heads=["published", "statistics"])
    assert list(rows) == ["sum", "first", "second", "sum, statistics", "normed sum"]
    assert {rows[layer].value for layer in rows if layer != "second"} == {1.0}
    assert abs(rows["second"].value - 0.25) < 0.15


def test_what_a_row_says(corpora: Corpora) -> None:
    row = measured(corpora)["sum"]
    first, second = row.details["weights"]
    assert first + second == pytest.approx(1.0)
    assert first > 0.6
    np.testing.assert_allclose(row.details["rms"], [8**-0.5] * 2, rtol=0.2)
    assert {key: row.details[key] for key in ("layers", "classes", "updates", "utterances")} == {
        "layers": ["first", "second"],
        "classes": 4,
        "updates": 40,
        "utterances": [48, 24, 80],
    }
    assert (row.model, row.measure, row.split, row.headline) == ("pairs", "keyword_spotting", "test", True)
    assert corpora.train
    assert (row.corpus, row.details["trained_on"]) == (corpora.test.name, corpora.train.name)
    assert row.protocol.startswith("tiny(")
    assert row.draws is not None
    assert (row.draws.what, row.draws.names) == ("speakers", tuple(f"speaker {number}" for number in range(8)))
    assert "weights" not in measured(corpora)["first"].details


def test_shuffled_labels_are_named_by_chance(tmp_path: Path) -> None:
    for row in measured(corpus(tmp_path, shuffled=True)).values():
        assert abs(row.value - 0.25) < 0.15
        assert row.low is not None
        assert row.high is not None
        assert row.low < row.value < row.high


def test_a_head_of_the_grid_is_the_head_alone(corpora: Corpora) -> None:
    options = {"updates": 12, "checks": 3}
    grid = measured(corpora, rates=[1e-1, 1e-3], seeds=2, **options)
    for rate in (1e-1, 1e-3):
        alone = measured(corpora, rates=[rate], seeds=2, single=False, normed=False, **options)["sum"]
        assert alone.details["grid"] == {f"{rate:g}": pytest.approx(grid["sum"].details["grid"][f"{rate:g}"])}
        if rate == grid["sum"].details["rate"]:
            assert alone.value == pytest.approx(grid["sum"].value)
            assert alone.details["weights"] == pytest.approx(grid["sum"].details["weights"], abs=1e-5)
    one = measured(corpora, rates=[1e-1], seeds=1, **options)["sum"]
    two = measured(corpora, rates=[1e-1], seeds=2, **options)["sum"]
    assert two.details["seeds"][0] == one.value
    assert two.value == pytest.approx(np.mean(two.details["seeds"]))
    assert len(two.details["seeds"]) == 2


def test_the_rate_is_chosen_by_valid_and_by_test_only_where_a_protocol_says_so(wrong: Corpora) -> None:
    options = {"rates": [1e-1, 1e-9], "checks": 1, "single": False, "normed": False}
    by_valid, by_test = (measured(wrong, chosen_on=one, **options)["sum"] for one in ("valid", "test"))
    assert (by_valid.details["rate"], by_test.details["rate"]) == (1e-9, 1e-1)
    assert by_valid.details["grid"]["0.1"] == 0.0
    assert by_valid.details["grid"]["1e-09"] > 0.0
    assert by_test.details["grid"]["0.1"] == by_test.value == 1.0
    assert by_valid.value < 0.7


def test_the_weights_of_the_best_check_count(wrong: Corpora) -> None:
    options = {"rates": [3e-2], "single": False, "normed": False}
    often, once = (measured(wrong, checks=checks, **options)["sum"] for checks in (40, 1))
    assert once.details["grid"]["0.03"] == 0.0
    assert often.details["grid"]["0.03"] > 0.0
    assert often.value < once.value == 1.0


def test_an_epoch_has_each_recording_once_in_another_order_those_of_a_batch_as_long(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    plain = PooledFeatures.batch

    def batch(features: PooledFeatures, places: Sequence[int]) -> FeatureBatch:
        if len(features.places) == COUNTS["train"]:
            asked.append([*places])
        return plain(features, places)

    monkeypatch.setattr(PooledFeatures, "batch", batch)
    measured(corpora, updates=30, batch=5, rates=[1e-3], single=False, normed=False, checks=1)
    assert len(asked) == 30
    assert corpora.train
    counts = (corpora.train.durations * 100).round().astype(int)
    epochs = [asked[first : first + 10] for first in (0, 10, 20)]
    for epoch in epochs:
        assert sorted(place for some in epoch for place in some) == list(range(48))
        assert sorted(map(len, epoch)) == [3, *[5] * 9]
        assert sum(max(counts[some]) - min(counts[some]) for some in epoch) <= 10  # 40 are sorted together, then the other 8
    assert epochs[0] != epochs[1] != epochs[2]
    lengths = [[np.mean(counts[some]) for some in epoch] for epoch in epochs]
    assert any(one != sorted(one) for one in lengths)  # batches come in any order
    before = list(asked)
    asked.clear()
    measured(corpora, updates=30, batch=5, rates=[1e-3], single=False, normed=False, checks=1)
    assert asked == before
    asked.clear()
    measured(corpora, updates=30, batch=5, rates=[1e-3], single=False, normed=False, checks=1, seed=1)
    assert asked != before


def test_a_budget_ends_learning_early_and_what_was_learnt_is_scored(corpora: Corpora) -> None:
    row = measured(corpora, seconds=1e-9, updates=100_000)["sum"]
    assert row.details["updates"] == 1
    assert 0.0 <= row.value <= 1.0


def test_layers_that_cannot_be_added_are_named(corpora: Corpora) -> None:
    rows = measured(corpora, layers=("wide", "first", "second"), updates=2)
    assert rows["sum"].details["layers"] == ["first", "second"]
    assert rows["sum"].details["note"].endswith("are left out: wide")
    assert "note" not in measured(corpora, updates=2)["sum"].details


def test_features_are_encoded_once_for_tasks_that_share_them(corpora: Corpora) -> None:
    one, measure = subject(), find_measure("keyword_spotting:tiny", {**QUICK, "updates": 2})
    other = find_measure("speaker_identification:tiny", {**QUICK, "updates": 2})
    measure.store = other.store = Stores()
    measure([one], corpora)
    other([one], corpora)
    assert isinstance(one.model, PairedLevels)
    assert one.model.encoded == sum(COUNTS.values())
    measure.store.only(subject())
    measure([one], corpora)
    assert one.model.encoded == 2 * sum(COUNTS.values())


def test_recordings_without_a_label_do_not_count(tmp_path: Path) -> None:
    numbers = [0, 1, 2, 3] * 3
    labels = [CLASSES[number] if place != 5 else None for place, number in enumerate(numbers)]
    train, valid, test = (part(tmp_path, name, labels, numbers, 1) for name in COUNTS)
    assert measured(Corpora(test, train, valid), updates=2)["sum"].details["utterances"] == [11, 11, 11]
    none = part(tmp_path, "none", [None] * 4, [0, 1, 2, 3], 1)
    with pytest.raises(UserError, match="/none has no recording with a frame and an answer for keyword_spotting"):
        measured(Corpora(none, train, valid))


def test_what_has_no_frame_at_all_is_refused_by_name(corpora: Corpora, tmp_path: Path) -> None:
    clicks = write_clips(tmp_path / "clicks.jsonl", {"one": [[0, 0]] * 2}, label={"one": "up"})
    with pytest.raises(UserError, match="/clicks has no recording with a frame and an answer for keyword_spotting"):
        measured(Corpora(clicks, corpora.train, corpora.valid))


def test_heads_that_a_task_does_not_have_are_refused(corpora: Corpora) -> None:
    with pytest.raises(UserError, match="keyword_spotting has no head 'statistic': did you mean \"statistics\""):
        measured(corpora, heads=["published", "statistic"])
    with pytest.raises(UserError, match="phoneme_recognition has no head 'statistics'"):
        find_measure("phoneme_recognition:tiny", {"heads": ["statistics"]})


def test_what_does_not_fit_is_refused_by_name(corpora: Corpora, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--train-corpus"):
        measured(Corpora(corpora.test))
    with pytest.raises(UserError, match="--valid-corpus"):
        measured(Corpora(corpora.test, corpora.train))
    with pytest.raises(UserError, match="choosing and for learning or testing"):
        measured(Corpora(corpora.test, corpora.train, corpora.test))
    strange = part(tmp_path, "strange", ["up", "sideways"], [3, 0], 0)
    with pytest.raises(UserError, match="1 classes of .*/strange.*sideways.*It knows down, left, right, up"):
        measured(Corpora(strange, corpora.train, corpora.valid))
    single = part(tmp_path, "single", ["up", "up"], [3, 3], 0)
    with pytest.raises(UserError, match=r"/single has 1 classes \(up\)"):
        measured(Corpora(corpora.test, single, corpora.valid))
