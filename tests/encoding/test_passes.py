"""Passes of an estimator over a corpus: they say whose they are, for a model may have several parts that are fitted."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.baselines.yin import PitchTrack
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding import recordings
from foresay.encoding.passes import CorpusPasses


def test_a_pass_says_what_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16_000)
    write_manifest(tmp_path / "a.jsonl", [Item("a", audio=tmp_path / "a.wav", duration=0.1, sample_rate=16_000)])
    said = []

    def progress(places: Iterable[int], what: str, _: str) -> Iterable[int]:
        said.append(what)
        return places

    monkeypatch.setattr(recordings, "ProgressBar", progress)
    passes = CorpusPasses(Manifest.open(tmp_path / "a.jsonl"), 0)
    assert len(list(passes.recordings(PitchTrack(), "f0", hours=1.0))) == 1
    assert said == ["encoding, PitchTrack"]
