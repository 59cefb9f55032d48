"""Robustness against loops over frames, and of sounds whose loudness is known."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.geometry.robustness import (
    NOISE,
    SPEECH,
    RobustnessProtocol,
    disturbed_recordings,
    rate_disturbances,
    sum_disturbances,
)
from foresay.evaluation.measure import Corpora, find_measure
from reference.levels import RATE, trained, write_corpus


def test_numbers_are_those_of_loops() -> None:
    random = np.random.default_rng(0)
    recordings = [(random.normal(size=(count, 5)) + 1, random.normal(size=(count, 5))) for count in (7, 1, 12)]
    cosines, moved, frames = [], [], []
    for clean, disturbed in recordings:
        for x, y in zip(clean, disturbed, strict=True):
            cosines.append(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
            moved.append(((x - y) ** 2).sum())
            frames.append(x)
    apart = np.mean([((x - y) ** 2).sum() for x in frames for y in frames])
    found = rate_disturbances([sum_disturbances(*map(torch.from_numpy, recording)) for recording in recordings])
    assert {name: number.value for name, number in found.items()} == pytest.approx(
        {"cosine clean to disturbed": np.mean(cosines), "relative disturbance": np.sqrt(np.mean(moved) / apart)}
    )


def test_nothing_changed_and_nothing_kept() -> None:
    random = torch.Generator().manual_seed(0)
    clean, strangers = torch.randn(2, 20_000, 8, generator=random)
    same = rate_disturbances([sum_disturbances(clean, clean)] * 2)
    assert same["cosine clean to disturbed"].value == pytest.approx(1.0)
    assert same["relative disturbance"].value == 0.0
    other = rate_disturbances([sum_disturbances(clean, strangers)] * 2)
    assert other["relative disturbance"].value == pytest.approx(1.0, abs=0.02)
    assert other["cosine clean to disturbed"].value == pytest.approx(0.0, abs=0.02)
    alike = rate_disturbances([sum_disturbances(torch.ones(4, 3), torch.ones(4, 3))])
    assert alike["relative disturbance"].value == 0.0  # all frames alike, and none moved


@pytest.mark.parametrize("protocol", [SPEECH, NOISE, RobustnessProtocol("loud", "speech", -10.0)])
def test_the_other_sound_is_as_loud_as_asked_for(tmp_path: Path, protocol: RobustnessProtocol) -> None:
    manifest = write_corpus(tmp_path / "corpus.jsonl", 4)
    pairs = list(disturbed_recordings(manifest, protocol, RATE, seed=3))
    assert [item for item, *_ in pairs] == [0, 1, 2, 3]
    for _, clean, disturbed in pairs:
        ratio = np.mean(clean.astype(np.float64) ** 2) / np.mean((disturbed - clean).astype(np.float64) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(protocol.snr, abs=1e-3)
    again = list(disturbed_recordings(manifest, protocol, RATE, seed=3))
    assert all(np.array_equal(one, other) for (*_, one), (*_, other) in zip(pairs, again, strict=True))


def test_others_talk(tmp_path: Path) -> None:
    """Two speakers: the other one's constant level, and never one's own, lies over each."""
    items = []
    for name, level in (("a", 0.1), ("a", 0.1), ("b", 0.5), ("c", 0.0)):
        path = tmp_path / f"{len(items)}.wav"
        soundfile.write(path, np.full(RATE, level) * np.sign(np.sin(np.arange(RATE) * (len(items) + 1))), RATE)
        items.append(Item(str(len(items)), audio=path, duration=1.0, sample_rate=RATE, speaker=name))
    write_manifest(tmp_path / "corpus.jsonl", items)
    protocol = RobustnessProtocol("equal", "speech", 0.0)
    for seed in range(5):
        pairs = list(disturbed_recordings(Manifest.open(tmp_path / "corpus.jsonl"), protocol, RATE, seed))
        assert len(pairs) < 4  # the silent one is not disturbed, nor does it disturb
        for _, clean, disturbed in pairs:
            assert np.abs(np.corrcoef(clean, disturbed - clean)[0, 1]) < 0.5


def test_a_model_that_looks_at_levels(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus.jsonl", 6)
    measure = find_measure("robustness:noise-5db", {"snr": 200.0})
    rows = measure([Subject("levels", trained(), ("level",))], Corpora(manifest))
    found = {(row.model, row.metric): row.value for row in rows}
    assert found["levels", "cosine clean to disturbed"] == pytest.approx(1.0)
    assert found["levels", "relative disturbance"] == pytest.approx(0.0, abs=1e-3)
    (louder,) = (r.value for r in measure_at(manifest, -20.0) if r.metric == "relative disturbance")
    assert louder > 0.3


def measure_at(manifest: Manifest, snr: float) -> list:  # type: ignore[type-arg]
    return find_measure("robustness:speech-5db", {"snr": snr})([Subject("levels", trained(), ("level",))], Corpora(manifest))


def test_one_recording_has_nobody_to_talk_over_it(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus.jsonl", 1)
    with pytest.raises(UserError, match=r"one recording only.*robustness:noise-5db"):
        measure_at(manifest, 5.0)


def test_silent_recordings_are_not_counted(tmp_path: Path) -> None:
    items = []
    for name, waveform in (("a", np.zeros(RATE)), ("b", np.sin(np.arange(RATE))), ("c", np.sin(np.arange(100)))):
        soundfile.write(tmp_path / f"{name}.wav", waveform, RATE)
        items.append(Item(name, audio=tmp_path / f"{name}.wav", duration=len(waveform) / RATE, sample_rate=RATE))
    write_manifest(tmp_path / "some.jsonl", items)
    rows = find_measure("robustness:noise-5db")([Subject("levels", trained(), ("level",))], Corpora(Manifest.open(tmp_path / "some.jsonl")))
    assert {row.details["recordings"] for row in rows} == {1}
    write_manifest(tmp_path / "none.jsonl", items[:1])
    with pytest.raises(UserError, match="no recording that is neither silent nor too short"):
        find_measure("robustness:noise-5db")([Subject("levels", trained(), ("level",))], Corpora(Manifest.open(tmp_path / "none.jsonl")))
