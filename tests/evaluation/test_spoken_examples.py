"""Sounds that are kept: which, of whom, and that they are what a resynthesizer says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.resynthesis import Resynthesizer
from foresay.evaluation.spoken_examples import Playable, as_arrays, spoken_examples
from foresay.results import load_artifact
from foresay.trust import trusting
from foresay.workflows.evaluate import evaluate
from reference.levels import write_corpus
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer, write_synthesizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "test.jsonl", 8)


@pytest.fixture(scope="module")
def model(corpus: Manifest) -> ToySynthesizer:
    return toy_synthesizer(corpus)


def test_utterances_of_all_speakers_are_spoken_in_all_ways(corpus: Manifest, model: ToySynthesizer) -> None:
    found = spoken_examples(model, corpus)
    assert len(found) == 3
    assert {str(arrays["notes"][0]) for arrays in found} == {"speaker 0", "speaker 1"}
    arrays = found[0]
    place = corpus.ids.index(str(arrays["title"]))
    names = ["recorded", "resynthesized", "converted", "flat pitch", "predicted pitch", "units shuffled"]
    assert arrays["names"].tolist() == names
    assert str(arrays["text"]) == corpus[place].text
    waveform = corpus.read(place, 16_000)
    pieces = Resynthesizer(model).analyze(waveform, corpus[place].speaker)
    for number, expected in ((1, waveform), (2, Resynthesizer(model).speak(pieces)), (6, None)):
        sound = arrays[f"sound_{number}"]
        assert sound.dtype == np.int16
        assert len(sound) == len(waveform)
        if expected is not None:
            assert np.abs(sound / 2**15 - expected).max() < 2**-14
    assert not np.array_equal(arrays["sound_2"], arrays["sound_6"])
    assert "units in" in str(arrays["notes"][1])
    other = {"speaker 0": "speaker 1", "speaker 1": "speaker 0"}[corpus[place].speaker]
    assert str(arrays["notes"][2]) == f"into the voice of {other}"


def test_of_short_utterances_the_longest_are_spoken(corpus: Manifest, model: ToySynthesizer, tmp_path: Path) -> None:
    lengths = [0.3, 0.5, 0.2, 0.4, 9.0, 0.1, 0.6, 0.25]
    cut = [replace(item, duration=length) for item, length in zip(corpus, lengths, strict=True) if length < 1]
    write_manifest(tmp_path / "short.jsonl", cut)
    found = spoken_examples(model, Manifest.open(tmp_path / "short.jsonl"))
    assert [str(arrays["title"]) for arrays in found] == ["test-6", "test-1", "test-3"]


def test_a_strange_voice_is_converted_only(corpus: Manifest) -> None:
    found = spoken_examples(toy_synthesizer(corpus, names=("anna", "ben", "eva")), corpus)
    assert found[0]["names"].tolist() == ["recorded", "converted", "converted"]
    assert [str(note) for note in found[0]["notes"][1:]] == ["into the voice of anna", "into the voice of ben"]


def test_sounds_are_limited() -> None:
    arrays = as_arrays("one", "", 8_000, [Playable("loud", "", np.array([0.0, 1.5, -1.5], np.float32))])
    assert arrays["sound_1"].tolist() == [0, 2**15 - 1, -(2**15) + 1]


def test_evaluation_keeps_sounds_of_a_synthesizer_once(
    corpus: Manifest, model: ToySynthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_synthesizer(tmp_path / "vocoder", model)
    monkeypatch.setattr("foresay.evaluation.synthesis.intelligibility.Intelligibility.__call__", lambda *_, **__: [])
    with trusting():
        evaluate([run], corpus.path, measures=["intelligibility"])
        kept = load_artifact(run, "sounds-3")
        assert kept is not None
        assert load_artifact(run, "sounds-4") is None
        assert load_artifact(run, "example-1") is None
        monkeypatch.setattr("foresay.workflows.evaluate.spoken_examples", None)  # not asked for again
        evaluate([run], corpus.path, measures=["intelligibility"])
