"""Classes are found where they lie open, in the other modality only where they lie at the same place, and elsewhere by chance."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from foresay.baselines.pixels import Pixels
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.items import item_probe
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.probes.linear_probe import CONVERGED
from foresay.evaluation.probes.probe import MAJORITY
from foresay.results import Result
from reference.pairs import senses, write_pairs

pytest.importorskip("PIL")

WITHIN, ACROSS = ("accuracy_audio", "accuracy_image"), ("accuracy_audio_to_image", "accuracy_image_to_audio")


@pytest.fixture(scope="module", autouse=True)
def _quickly() -> Iterator[None]:
    """Let probes learn in fewer and longer steps: what is perfectly separable never stops to gain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_probe, "CONVERGED", replace(CONVERGED, learning_rate=0.05, epochs=100))
        yield


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    folder = tmp_path_factory.mktemp("pairs")
    return Corpora(write_pairs(folder / "test.jsonl", 10), write_pairs(folder / "train.jsonl", 60))


def measured(corpora: Corpora, *subjects: Subject, protocol: str = "mean") -> dict[tuple[str, str, str], Result]:
    rows = find_measure(f"item_probe:{protocol}")(list(subjects), corpora)
    found = {(row.model, row.metric, row.split): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture(scope="module", params=["mean", "last"])
def rows(request: pytest.FixtureRequest, corpora: Corpora) -> dict[tuple[str, str, str], Result]:
    untrained = Subject("senses (untrained)", senses(trained=False), ("level",))
    return measured(corpora, Subject("senses", senses(), ("level",), 7, untrained), protocol=request.param)


def test_what_lies_open_is_found_in_both_modalities_and_across(corpora: Corpora, rows: dict[tuple[str, str, str], Result]) -> None:
    for metric in (*WITHIN, *ACROSS):
        found = rows["senses", metric, "test"]
        assert (found.value, found.low, found.high, found.step) == (1.0, 1.0, 1.0, 7)
        assert found.details == {"items": 10, "classes": 3, "trained_on": corpora.train.name}
        blind, most = rows["senses (untrained)", metric, "test"], rows[MAJORITY, metric, "test"]
        assert blind.value in {0.3, 0.4}  # of ten items of three classes, always the same one
        assert most.value == 0.4
        assert most.layer == "none"
        gain = rows["senses", f"gain over untrained in {metric}", "test"]
        assert gain.value == pytest.approx(1.0 - blind.value)
        assert gain.low > 0
    assert {metric for _, metric, split in rows if split == "train"} == set(WITHIN)
    assert [metric for model, metric, split in rows if (model, split) == ("senses", "test") and "gain" not in metric] == [*WITHIN, *ACROSS]


def test_classes_that_lie_elsewhere_in_the_other_modality_are_not_found_there(corpora: Corpora) -> None:
    rows = measured(corpora, Subject("turned", senses(turn=1), ("level",)))
    assert {metric: rows["turned", metric, "test"].value for metric in WITHIN} == dict.fromkeys(WITHIN, 1.0)
    assert rows["turned", "accuracy_audio_to_image", "test"].value < 0.4


def test_a_model_of_images_is_given_images_alone(corpora: Corpora) -> None:
    rows = measured(corpora, Subject("images", senses("image"), ("level",)), Subject("pixels", Pixels(), ("pixels",)))
    assert {metric for _, metric, _ in rows} == {"accuracy_image"}
    assert rows["images", "accuracy_image", "test"].value == 1.0
    assert rows["pixels", "accuracy_image", "test"].value > rows[MAJORITY, "accuracy_image", "test"].value


def test_mistakes_are_named(corpora: Corpora, tmp_path: Path) -> None:
    probe = find_measure("item-probe:mean")
    with pytest.raises(UserError, match="--train-corpus"):
        probe([], Corpora(corpora.test))
    fewer, alone = write_pairs(tmp_path / "fewer.jsonl", 2), write_pairs(tmp_path / "alone.jsonl", 1)
    with pytest.raises(UserError, match="1 of the 3 classes of .* are not in .*, which has one, two: three"):
        probe([], Corpora(corpora.test, fewer))
    with pytest.raises(UserError, match="all items of .* are of the class 'one'"):
        probe([], Corpora(alone, write_pairs(tmp_path / "another" / "alone.jsonl", 1)))
    with pytest.raises(UserError, match="has no class"):
        probe([], Corpora(corpora.test, write_pairs(tmp_path / "bare.jsonl", 3, labelled=False)))


def test_it_serves_what_the_corpus_can_be_given_to(corpora: Corpora, tmp_path: Path) -> None:
    clips = Corpora(write_pairs(tmp_path / "clips.jsonl", 3, halves=("audio",)))
    everything, frames = find_measure("item_probe:mean"), find_measure("geometry:frames")
    assert everything.serves(Pixels(), corpora)
    assert not everything.serves(Pixels(), clips)
    assert everything.serves(senses("audio"), clips)
    assert not frames.serves(Pixels(), corpora)
    assert not frames.serves(senses("image"), corpora)
    assert frames.serves(senses(), corpora)
