"""Corpora that are spoken again: whose voice, which files, which ids."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.resynthesis import Resynthesizer, shuffling, spoken_again, unchanged
from foresay.errors import UserError
from foresay.evaluation.synthesis.conditions import converting, spoken_corpora, targets_of
from reference.levels import write_corpus
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "test.jsonl", 6)


@pytest.fixture(scope="module")
def model(corpus: Manifest) -> ToySynthesizer:
    return toy_synthesizer(corpus)


def test_targets_are_all_the_others_in_turn(corpus: Manifest) -> None:
    targets = targets_of(corpus, ["speaker 0", "speaker 1", "someone", "else"])
    pairs = Counter(zip((item.speaker for item in corpus), targets, strict=True))
    assert len(pairs) == 6
    assert all(speaker != target for speaker, target in pairs)
    assert targets_of(corpus, ["speaker 0", "someone"]) == ["someone", "speaker 0", "someone", "someone", "someone", "speaker 0"]


def test_a_corpus_is_spoken_into_files_that_are_there_meanwhile(corpus: Manifest, model: ToySynthesizer) -> None:
    changes = {"as it is": unchanged, "mixed": shuffling(0), "others": converting(model, targets_of(corpus, model.speaker.names))}
    spoken = dict(spoken_again(Resynthesizer(model), corpus, changes))
    with spoken_corpora(Resynthesizer(model), corpus, changes) as manifests:
        assert list(manifests) == list(changes)
        for name, manifest in manifests.items():
            assert manifest.ids == corpus.ids
            assert [(item.text, item.speaker) for item in manifest] == [(item.text, item.speaker) for item in corpus]
            for place, waveforms in spoken.items():
                assert np.abs(manifest.read(place, 16_000) - waveforms[name]).max() <= 2**-15
        levels = [np.abs(manifests[name].read(0, 16_000)).mean() for name in ("as it is", "others")]
        assert levels[1] / levels[0] == pytest.approx(3.0, rel=0.01)
        path = manifests["mixed"].path
    assert not path.exists()


def test_what_is_too_short_is_not_there(tmp_path: Path, model: ToySynthesizer) -> None:
    short, long = write_corpus(tmp_path / "test.jsonl", 2)
    write_manifest(tmp_path / "both.jsonl", [replace(short, duration=0.0001), long])
    with spoken_corpora(Resynthesizer(model), Manifest.open(tmp_path / "both.jsonl"), {"as it is": unchanged}) as manifests:
        assert manifests["as it is"].ids == ["test-1"]
    write_manifest(tmp_path / "short.jsonl", [replace(short, duration=0.0001)])
    with (
        pytest.raises(UserError, match="none of the 1 recordings of .*short is long enough for a unit"),
        spoken_corpora(Resynthesizer(model), Manifest.open(tmp_path / "short.jsonl"), {"as it is": unchanged}),
    ):
        pass
