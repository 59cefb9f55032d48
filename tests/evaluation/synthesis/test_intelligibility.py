"""Intelligibility: a judge of tones understands what the toy says, and nothing of shuffled units; a recognizer judges as in `wer`."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from foresay.building import describe
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.resynthesis import Resynthesizer
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.synthesis import intelligibility
from foresay.evaluation.synthesis.judges import WhisperJudge, files_of, find_judge
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.results import Result
from foresay.runs import write_model
from foresay.statistics.word_errors import Compared
from foresay.training.trainer import described
from foresay.trust import trusting
from foresay.workflows.evaluate import evaluate
from foresay.workflows.resynthesize import resynthesize
from reference.levels import write_corpus
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer, write_synthesizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ToySynthesizer:
    return toy_synthesizer(write_corpus(tmp_path_factory.mktemp("corpus") / "test.jsonl", 6))


@pytest.fixture(scope="module")
def corpus(model: ToySynthesizer, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Recordings whose texts are their units, a word for each that lasts 50 ms."""
    path = tmp_path_factory.mktemp("corpus") / "test.jsonl"
    manifest = write_corpus(path, 10, speakers=5)
    items = []
    for place, item in enumerate(manifest):
        (piece,) = Resynthesizer(model).analyze(manifest.read(place, 16_000), "speaker 0")
        items.append(replace(item, text=words(piece.units.ids[0, 0].numpy()), speaker=f"speaker {place % 2}", language="en"))
    write_manifest(path, items)
    return Manifest.open(path)


def words(units: np.ndarray) -> str:
    """Runs of units that last five frames, as letters."""
    edges = np.flatnonzero(np.diff(units, prepend=-1, append=-1))
    return " ".join(ascii_lowercase[units[a]] for a, b in pairwise(edges) if b - a >= 5)


class ToneJudge:
    """Reads off the loudest of the toy's tones in each 10 ms."""

    fingerprint = "tones"

    def compare(self, manifest: Manifest) -> list[Compared]:
        return [Compared(item.id, item.speaker, item.text, self.read(manifest.read(place, 16_000))) for place, item in enumerate(manifest)]

    def read(self, waveform: np.ndarray) -> str:
        frames = waveform[: len(waveform) // 160 * 160].reshape(-1, 160)
        tones = np.exp(-2j * np.pi * np.outer(np.arange(160), 400 + 200 * np.arange(6)) / 16_000)
        return words(np.abs(frames @ tones).argmax(axis=1))


@pytest.fixture
def rows(model: ToySynthesizer, corpus: Manifest, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Result]:
    monkeypatch.setattr(intelligibility, "find_judge", lambda *_: ToneJudge())
    measured = find_measure("intelligibility:greedy")([Subject("mine", model, ("speech",))], Corpora(corpus), seed=3)
    return {(row.layer, row.metric): row for row in measured}


def test_what_is_resynthesized_is_understood_and_what_is_shuffled_is_not(rows: dict[tuple[str, str], Result]) -> None:
    rates = {layer: row.value for (layer, metric), row in rows.items() if metric == "word error rate"}
    assert list(rates) == ["recorded", "resynthesized", "converted", "units shuffled"]
    assert rates["resynthesized"] < 0.05
    assert rates["converted"] == rates["resynthesized"]  # the toy's voices differ in loudness only
    assert rates["units shuffled"] > 0.4
    assert rates["recorded"] > 0.5  # levels, and no tones


def test_rates_are_sums_over_sums_with_intervals(rows: dict[tuple[str, str], Result], corpus: Manifest) -> None:
    for metric in ("word error rate", "character error rate"):
        row = rows["units shuffled", metric]
        assert row.low is not None
        assert row.low < row.value < row.high
        assert row.draws.what == "utterances"  # of two speakers
        assert row.draws.names == tuple(corpus.ids)
        assert (row.details["judge_fingerprint"], row.details["utterances"]) == ("tones", 10)
    said = [item.text.split() for item in corpus]
    assert rows["recorded", "word error rate"].details["words"] == sum(map(len, said))


def test_one_voice_is_not_converted(corpus: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intelligibility, "find_judge", lambda *_: ToneJudge())
    alone = toy_synthesizer(corpus, names=("speaker 0",))
    monkeypatch.setattr(type(alone.speaker), "of_names", lambda self, names: torch.ones(len(names), self.size))
    measured = find_measure("intelligibility:greedy")([Subject("mine", alone, ("speech",))], Corpora(corpus))
    assert {row.layer for row in measured} == {"recorded", "resynthesized", "units shuffled"}


def test_what_is_too_short_for_a_unit_is_understood_as_nothing(
    model: ToySynthesizer, corpus: Manifest, rows: dict[tuple[str, str], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intelligibility, "find_judge", lambda *_: ToneJudge())
    analyze, first = Resynthesizer.analyze, len(corpus.read(0, 16_000))
    monkeypatch.setattr(
        Resynthesizer, "analyze", lambda self, waveform, *who: [] if len(waveform) == first else analyze(self, waveform, *who)
    )
    measured = find_measure("intelligibility:greedy")([Subject("mine", model, ("speech",))], Corpora(corpus), seed=3)
    found = {(row.layer, row.metric): row.value for row in measured}
    total = rows["recorded", "word error rate"].details["words"]
    before = ToneJudge().compare(corpus)[0]
    assert found["recorded", "word error rate"] == rows["recorded", "word error rate"].value
    lost = found["resynthesized", "word error rate"] - rows["resynthesized", "word error rate"].value
    assert lost == pytest.approx(len(before.reference.split()) / total, abs=0.02)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recognizer that learnt nothing."""
    torch.manual_seed(0)
    recognizer = CTC(CTCSettings(("<blank>", "|", *"abcdef")), load("logmel")).eval()
    folder = tmp_path_factory.mktemp("runs") / "asr"
    write_model(folder, recognizer.state_dict(), described("ctc", 1, describe(recognizer)))
    return folder


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trusting():
        yield


def test_numbers_of_a_recognizer_are_its_own_of_what_the_verb_writes(
    model: ToySynthesizer, corpus: Manifest, judge: Path, tmp_path: Path
) -> None:
    vocoder = write_synthesizer(tmp_path / "vocoder", model)
    options = [f"intelligibility.judge={judge}"]
    rows = evaluate([vocoder], corpus.path, measures=["intelligibility:greedy"], options=options)
    spoken = resynthesize(corpus.path, vocoder, tmp_path / "spoken")
    for layer, path in (("recorded", corpus.path), ("resynthesized", spoken.manifest)):
        alone = find_measure("wer:greedy")([Subject("judge", load(judge), ("emissions",))], Corpora(Manifest.open(path)))
        for metric in ("word error rate", "character error rate"):
            (own,) = [row for row in alone if row.metric == metric]
            (ours,) = [row for row in rows if (row.layer, row.metric) == (layer, metric)]
            assert (ours.value, ours.low, ours.high) == (own.value, own.low, own.high)
    assert rows[0].protocol == "greedy(judge=asr)"
    assert evaluate([vocoder], corpus.path, measures=["intelligibility:greedy"], options=options) == rows
    assert {row.model for row in rows} == {"vocoder"}


def test_a_judge_is_needed_and_must_be_one(tmp_path: Path, model: ToySynthesizer, corpus: Manifest, judge: Path) -> None:
    subject = Subject("mine", model, ("speech",))
    with pytest.raises(UserError, match=r"who is to write down .*--option intelligibility.judge=runs/asr"):
        find_measure("intelligibility:greedy")([subject], Corpora(corpus))
    with pytest.raises(UserError, match="mfcc is an MFCC, which recognizes no text"):
        find_judge("mfcc", ["en"], "cpu")
    with pytest.raises(UserError, match="is neither a folder nor a baseline"):
        find_measure("intelligibility:greedy", {"judge": str(tmp_path / "none")})
    with pytest.raises(UserError, match=r"no folder of faster-whisper: model.bin, config.json, tokenizer.json is missing"):
        find_measure("intelligibility:greedy", {"judge": f"whisper:{tmp_path}"})
    with pytest.raises(UserError, match="mfcc synthesizes no speech"):
        find_measure("intelligibility:greedy", {"judge": str(judge)})([Subject("mfcc", load("mfcc"), ("mfcc",))], Corpora(corpus))


def test_another_judge_at_the_same_place_judges_anew(judge: Path) -> None:
    description, weights = files_of(str(judge))
    assert (description.name, weights.name) == ("model.toml", "model.safetensors")
    assert files_of("hf:some/model") == files_of("") == []


def whisper(folder: Path) -> Path:
    folder.mkdir()
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (folder / name).write_text(name)
    return folder


class FakeWhisper:
    """What is asked of faster-whisper."""

    asked: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, folder: str, **how: object) -> None:
        self.folder, self.how = folder, how
        vocabulary = [" one", "7", " $", "th", "٣"]
        self.hf_tokenizer = SimpleNamespace(get_vocab_size=lambda: 5, decode=lambda numbers: vocabulary[numbers[0]])

    def transcribe(self, audio: np.ndarray, **how: object) -> tuple[list[SimpleNamespace], None]:
        self.asked.append({"samples": len(audio), **how})
        return [SimpleNamespace(text=" Hello,"), SimpleNamespace(text=" World!")], None


def test_whisper_is_asked_for_its_best_path_in_words(tmp_path: Path, corpus: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", SimpleNamespace(WhisperModel=FakeWhisper))
    judge = find_judge(f"whisper:{whisper(tmp_path / 'w')}", corpus.languages, "cpu")
    assert isinstance(judge, WhisperJudge)
    found = judge.compare(corpus)
    assert {one.hypothesis for one in found} == {"hello world"}
    assert [one.reference for one in found] == [item.text for item in corpus]
    assert [(one.id, one.speaker) for one in found] == [(item.id, item.speaker) for item in corpus]
    assert FakeWhisper.asked[0] == {
        "samples": len(corpus.read(0, 16_000)),
        "language": "en",
        "beam_size": 1,
        "temperature": 0.0,
        "condition_on_previous_text": False,
        "without_timestamps": True,
        "suppress_tokens": [-1, 1, 2],
    }
    for device, index in (("cpu", 0), ("cuda:1", 1)):
        how = find_judge(f"whisper:{tmp_path / 'w'}", corpus.languages, device)._model.how  # type: ignore[attr-defined]
        assert (how["device"], how["device_index"], how["compute_type"]) == (device[:-2] if index else device, index, "float32")
    for texts, path in ((("?!", "One"), tmp_path / "some.jsonl"), (("?!", None), tmp_path / "none.jsonl")):
        write_manifest(path, [replace(item, text=text) for item, text in zip(corpus, texts, strict=False)])
    assert [one.reference for one in judge.compare(Manifest.open(tmp_path / "some.jsonl"))] == ["", "one"]
    with pytest.raises(UserError, match="none has no texts to compare with"):
        judge.compare(Manifest.open(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match=r"the manifest says unknown: .*--option intelligibility.language=en"):
        find_judge(f"whisper:{tmp_path / 'w'}", ["unknown"], "cpu")
    with pytest.raises(UserError, match="the manifest says de, en"):
        find_judge(f"whisper:{tmp_path / 'w'}", ["de", "en"], "cpu")


def test_whisper_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    with pytest.raises(UserError, match="intelligibility judged by Whisper needs the package faster_whisper"):
        find_judge(f"whisper:{whisper(tmp_path / 'w')}", ["en"], "cpu")
