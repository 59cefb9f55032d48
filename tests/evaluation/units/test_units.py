"""Bits, durations and phones of units: of a language whose phones are points, so that all of them are known."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
from torch import Tensor

from foresay.contracts import Frames
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding.passes import CorpusPasses
from foresay.encoding.subjects import Subject
from foresay.encoding.unit_frames import UNITS, UnitFrames
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.units.units import SHUFFLED
from foresay.loading import load
from foresay.models.units.kmeans import KMeansUnits, KMeansUnitsSettings
from foresay.results import Result
from reference.levels import HOP, PHONES, RATE, Levels, LevelsSettings, trained, write_corpus
from reference.unit_loops import rates


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    return Corpora(write_corpus(tmp_path_factory.mktemp("levels") / "test.jsonl", 8))


@pytest.fixture(scope="module")
def subject(corpora: Corpora) -> Subject:
    units = KMeansUnits(KMeansUnitsSettings("level", len(PHONES)), trained()).eval()
    units.fit(CorpusPasses(corpora.test, 0))
    return Subject("levels", UnitFrames(units).eval(), ("level", UNITS), 1)


@pytest.fixture(scope="module")
def rows(subject: Subject, corpora: Corpora) -> dict[tuple[str, str], Result]:
    return {(row.layer, row.metric): row for row in find_measure("units:unigram")([subject], corpora)}


def test_units_that_are_phones_say_all_of_them_and_shuffled_ones_next_to_nothing(rows: dict[tuple[str, str], Result]) -> None:
    assert rows["frames", "PNMI"].value == pytest.approx(1.0)
    assert rows["frames", "phone purity"].value == rows["frames", "cluster purity"].value == 1.0
    assert rows["frames", "PNMI"].low is not None
    assert rows[SHUFFLED, "PNMI"].value < 0.02
    assert {layer for (layer, _), row in rows.items() if row.details.get("control")} == {SHUFFLED}
    assert rows["frames", "share of units used"].value == 1.0
    assert rows["frames", "PNMI"].details["labelled_frames"] == rows["frames", "PNMI"].details["frames"]
    assert rows["frames", "bit rate by log2 K"].low is None


def test_units_that_join_phones_split_none(corpora: Corpora) -> None:
    """Two units of more phones: all frames of a phone are in one, and what one holds is not one phone."""
    units = KMeansUnits(KMeansUnitsSettings("level", 2), trained()).eval()
    units.fit(CorpusPasses(corpora.test, 0))
    subject = Subject("levels", UnitFrames(units).eval(), ("level", UNITS), 1)
    found = {row.metric: row.value for row in find_measure("units:unigram")([subject], corpora) if row.layer == "frames"}
    assert found["cluster purity"] == 1.0
    assert found["phone purity"] < 0.8
    assert 0 < found["PNMI"] < 0.8


def test_rates_are_those_of_the_phones(rows: dict[tuple[str, str], Result], corpora: Corpora) -> None:
    recordings = []
    for item in corpora.test:
        ends = [round(phone.end * RATE) for phone in item.phones or ()]
        centers = 79 + HOP * np.arange(round(item.duration * RATE) // HOP)
        recordings.append([PHONES.index((item.phones or ())[int(np.searchsorted(ends, center, side="right"))].label) for center in centers])
    expected = rates(recordings, len(PHONES), RATE / HOP)
    found = {key: row.value for key, row in rows.items() if key in expected}
    assert found == pytest.approx(expected)
    runs = sum(len(list(groupby(units))) for units in recordings)
    assert rows["merged", "units per second"].value == pytest.approx(runs / (sum(map(len, recordings)) * HOP / RATE))


def test_shuffled_units_are_as_frequent_and_depend_on_the_seed(subject: Subject, corpora: Corpora) -> None:
    measure = find_measure("units:unigram")
    once, again, other = (
        [row.value for row in measure([subject], corpora, seed=seed) if (row.layer, row.metric) == (SHUFFLED, "PNMI")] for seed in (3, 3, 4)
    )
    assert once == again != other


def test_a_corpus_without_phones_still_gives_bits(subject: Subject, tmp_path: Path) -> None:
    rows = find_measure("units:unigram")([subject], Corpora(write_corpus(tmp_path / "plain.jsonl", 5, labelled=False)))
    assert {row.layer for row in rows} == {"frames", "merged", "merged, with durations"}
    assert "plain has no phone times" in rows[0].details["note"]


def test_what_gives_no_units_is_refused(corpora: Corpora) -> None:
    measure = find_measure("units:unigram")
    assert not measure.serves(load("mfcc"), corpora)
    with pytest.raises(UserError, match="mfcc gives no units: `foresay units fit mfcc"):
        measure([Subject("mfcc", load("mfcc"), ("mfcc",))], corpora)


class _Late(Levels):
    """Its first frame needs a second of audio, as a model's of much context may."""

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002
        return (lengths - RATE).clamp(min=0) // HOP

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        found = super().features(waveforms, lengths, layers)
        counts = self.frame_count(lengths, "")
        late = {name: one[:, RATE // HOP :] for name, one in found.values.items()}
        return Frames(late, dict.fromkeys(late, counts), found.frame_rate)


def test_a_corpus_shorter_than_a_frame_has_no_units(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(RATE // 2), RATE)
    write_manifest(tmp_path / "short.jsonl", [Item("short", tmp_path / "short.wav", duration=0.5, sample_rate=RATE)])
    corpora, units = Corpora(Manifest.open(tmp_path / "short.jsonl")), KMeansUnits(KMeansUnitsSettings("level", 2), _Late(LevelsSettings()))
    with pytest.raises(UserError, match=r"no recording of .*short lasts a frame of late, so that there are no units"):
        find_measure("units:unigram")([Subject("late", UnitFrames(units).eval(), ("level",))], corpora)
