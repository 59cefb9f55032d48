"""Resynthesis: a perfect copy has no error, silence has those of silence, and the mean frame those of the mean."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.audio.read import Waveform
from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.audio.yin import YIN
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.resynthesis import Analyzed, Resynthesizer
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.synthesis import resynthesis
from foresay.loading import load
from foresay.results import Result
from foresay.statistics.edit_distance import edit_distance
from foresay.statistics.mel_cepstral_distortion import mel_cepstra
from foresay.trust import trusting
from foresay.workflows.evaluate import evaluate
from reference.levels import write_corpus
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer, write_synthesizer

RATE = 16_000
MCD, UNITS, FFE, VDE, GPE, RMSE = (
    "mel-cepstral distortion",
    "unit error rate",
    "F0 frame error",
    "voicing decision error",
    "gross pitch error",
    "F0 RMSE",
)


class Copying(Resynthesizer):
    """Speaks recordings as they were; without their pitch it is silent, and of other units it speaks them backwards."""

    def analyze(self, waveform: Waveform, speaker: str) -> list[Analyzed]:
        self.recording, self.pieces = waveform, super().analyze(waveform, speaker)
        return self.pieces

    def speak(self, pieces: Sequence[Analyzed]) -> Waveform:
        if pieces[0].pitch is None:
            return np.zeros_like(self.recording)
        same = all(torch.equal(piece.units.ids, own.units.ids) for piece, own in zip(pieces, self.pieces, strict=True))
        return self.recording if same else self.recording[::-1].copy()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ToySynthesizer:
    return toy_synthesizer(write_corpus(tmp_path_factory.mktemp("corpus") / "test.jsonl", 6))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    path = tmp_path_factory.mktemp("corpus") / "test.jsonl"
    manifest = write_corpus(path, 5)
    items = [replace(item, duration=0.45, phones=None, text=None) for item in manifest]
    write_manifest(path, items)
    return Manifest.open(path)


@pytest.fixture(scope="module")
def rows(model: ToySynthesizer, corpus: Manifest) -> dict[tuple[str, str], Result]:
    return _measured(model, corpus)


def _measured(model: ToySynthesizer, corpus: Manifest, protocol: str = "frames") -> dict[tuple[str, str], Result]:
    rows = find_measure(f"resynthesis:{protocol}")([Subject("mine", model, ("speech",))], Corpora(corpus), seed=3)
    return {(row.layer, row.metric): row for row in rows}


def test_a_copy_has_no_error_and_what_is_otherwise_has(model: ToySynthesizer, corpus: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resynthesis, "Resynthesizer", Copying)
    rows = _measured(model, corpus)
    copied = {metric: row.value for (layer, metric), row in rows.items() if layer == "resynthesized"}
    assert copied == {metric: pytest.approx(0.0, abs=1e-6) for metric in (MCD, UNITS, FFE, VDE, GPE, RMSE)}
    assert rows["units shuffled", MCD].value > 1.0
    assert rows["units shuffled", UNITS].value > 0.1
    assert rows["resynthesized", MCD].low == rows["resynthesized", MCD].high == pytest.approx(0.0, abs=1e-6)


def test_frames_on_the_best_path_are_nearer_than_those_beside_each_other(
    rows: dict[tuple[str, str], Result], model: ToySynthesizer, corpus: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    warped = _measured(model, corpus, "dtw")
    assert list(warped) == [(layer, MCD) for layer in ("resynthesized", "pitch predicted", "units shuffled", "mean frame")]
    assert 0 < warped["units shuffled", MCD].value < rows["units shuffled", MCD].value
    assert warped["mean frame", MCD].value == rows["mean frame", MCD].value
    monkeypatch.setattr(resynthesis, "Resynthesizer", Copying)
    assert _measured(model, corpus, "dtw")["resynthesized", MCD].value == pytest.approx(0.0, abs=1e-6)


def test_silence_has_the_errors_of_silence(model: ToySynthesizer, corpus: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every voiced frame is a voicing error, none is compared, and no unit is right but those of silence."""
    monkeypatch.setattr(resynthesis, "Resynthesizer", Copying)
    rows = _measured(model, corpus)
    tracker, log_mel = YIN(RATE, 160, 60.0, 500.0), LogMelSpectrogram()
    voiced, frames, distortion, edits, units = 0, 0, 0.0, 0, 0
    silence = mel_cepstra(np.full((1, 80), np.log(1e-6)))
    for place in range(len(corpus)):
        waveform = torch.from_numpy(corpus.read(place, RATE))[None]
        lengths = torch.tensor([waveform.shape[1]])
        voiced += int((tracker(waveform, lengths) > 0).sum())
        cepstra = mel_cepstra(log_mel(waveform, lengths)[0].numpy())
        frames += len(cepstra)
        distortion += float(10 / np.log(10) * np.sqrt(2 * ((cepstra - silence) ** 2).sum(1)).sum())
        said, silent = (
            torch.unique_consecutive(model.tokenizer.encode(one, lengths).ids[0, 0]).tolist()
            for one in (waveform, torch.zeros_like(waveform))
        )
        edits, units = edits + edit_distance(said, silent), units + len(said)
    assert 0 < voiced < frames
    assert rows["pitch predicted", VDE].value == rows["pitch predicted", FFE].value == voiced / frames
    assert rows["pitch predicted", MCD].value == pytest.approx(distortion / frames, rel=1e-5)
    assert rows["pitch predicted", UNITS].value == edits / units
    assert ("pitch predicted", GPE) not in rows
    assert ("pitch predicted", RMSE) not in rows


def test_the_mean_frame_is_that_of_all_recordings(rows: dict[tuple[str, str], Result], corpus: Manifest) -> None:
    log_mel = LogMelSpectrogram()
    waveforms = [torch.from_numpy(corpus.read(place, RATE)) for place in range(len(corpus))]
    frames = [log_mel(one[None], torch.tensor([len(one)]))[0].double().numpy() for one in waveforms]
    mean = np.concatenate(frames).mean(0, keepdims=True)
    differences = mel_cepstra(np.concatenate(frames) - mean)
    expected = (10 / np.log(10) * np.sqrt(2 * (differences**2).sum(1))).mean()
    assert rows["mean frame", MCD].value == pytest.approx(expected)
    assert [metric for layer, metric in rows if layer == "mean frame"] == [MCD]


def test_bit_rates_are_those_of_the_codes(
    rows: dict[tuple[str, str], Result], model: ToySynthesizer, corpus: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows["units", "bit rate"].value == pytest.approx(100 * np.log2(6))
    assert ("units and pitch", "bit rate") not in rows  # it is not quantized
    monkeypatch.setattr(type(model.pitch), "bits_per_second", 54.0)
    assert _measured(model, corpus)["units and pitch", "bit rate"].value == pytest.approx(100 * np.log2(6) + 54)


def test_numbers_are_sums_over_the_recordings_with_intervals(rows: dict[tuple[str, str], Result]) -> None:
    for layer, metric in (("resynthesized", MCD), ("pitch predicted", UNITS), ("units shuffled", VDE)):
        row = rows[layer, metric]
        assert row.low is not None
        assert row.high is not None
        assert row.low <= row.value <= row.high
        assert row.details == {"recordings": 5, "left_out": 0, **({"control": True} if layer == "units shuffled" else {})}
        assert row.drawn is not None
        assert row.drawn.what == "utterances"
    assert rows["mean frame", MCD].details["control"]


def test_speakers_are_drawn_again_where_there_are_enough(tmp_path: Path, model: ToySynthesizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.speaker, "of_batch", lambda names, *_: torch.ones(len(names), 1))
    items = [replace(item, duration=0.3, phones=None) for item in write_corpus(tmp_path / "all.jsonl", 10, speakers=5)]
    write_manifest(tmp_path / "short.jsonl", items)
    rows = _measured(model, Manifest.open(tmp_path / "short.jsonl"), "dtw")
    drawn = rows["resynthesized", MCD].drawn
    assert drawn is not None
    assert (drawn.what, drawn.count) == ("speakers", 5)


def test_recordings_cut_in_pieces_are_measured_piece_by_piece(
    model: ToySynthesizer, corpus: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resynthesis, "Resynthesizer", Copying)
    monkeypatch.setattr("foresay.encoding.resynthesis.pieces_of.__defaults__", (0.3,))
    for name, seconds in (("REST", 0.1), ("QUIET", 0.05)):
        monkeypatch.setattr(f"foresay.encoding.resynthesis.{name}", seconds)
    rows = _measured(model, corpus)
    assert rows["resynthesized", MCD].value == pytest.approx(0.0, abs=1e-6)
    assert rows["resynthesized", UNITS].value == 0


def test_what_is_too_short_is_left_out_and_counted(model: ToySynthesizer, corpus: Manifest, tmp_path: Path) -> None:
    items = [*corpus, replace(corpus[0], id="short", duration=0.005)]
    write_manifest(tmp_path / "test.jsonl", items)
    longer = Manifest.open(tmp_path / "test.jsonl")
    assert _measured(model, longer)["resynthesized", MCD].details == {"recordings": 5, "left_out": 1}
    write_manifest(tmp_path / "short.jsonl", items[-1:])
    with pytest.raises(UserError, match="none of the 1 recordings of .*short is long enough for a unit"):
        _measured(model, Manifest.open(tmp_path / "short.jsonl"))


def test_it_is_a_measure_of_synthesizers(model: ToySynthesizer, corpus: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mfcc synthesizes no speech"):
        find_measure("resynthesis:frames")([Subject("mfcc", load("mfcc"), ("mfcc",))], Corpora(corpus))
    with trusting():
        found = evaluate([write_synthesizer(tmp_path / "vocoder", model)], corpus.path, measures=["resynthesis:frames"])
    assert {row.layer for row in found} == {"resynthesized", "pitch predicted", "units shuffled", "mean frame", "units"}
