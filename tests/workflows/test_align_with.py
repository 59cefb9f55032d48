"""Alignment by a recognizer of ours: words where they are spoken, what has no times is listed, and what was stopped goes on."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresay.cli import main
from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.errors import UserError
from foresay.workflows import align_with
from foresay.workflows.align_with import AlignmentSettings, align_corpus_with
from foresay.workflows.train import run_recipe
from reference.tones import surround_by_silence, train_recognizer, write_tones, write_words


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_recognizer(write_words(tmp_path_factory.mktemp("letters") / "train.jsonl", 12))


@pytest.fixture(scope="module")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_recognizer(write_tones(tmp_path_factory.mktemp("phones") / "train.jsonl", 8), "model.units=phones")


def _edges(words: Sequence[Interval] | None) -> np.ndarray:
    return np.array([(word.start, word.end) for word in words or ()])


def _uniform(item: Item) -> np.ndarray:
    """Words of equal length: the control."""
    edges = np.linspace(0, item.duration, len(item.words or ()) + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _errors(known: Manifest, found: Manifest) -> tuple[float, float]:
    """Mean |error| of the edges of words, and that of words of equal length, in seconds."""
    pairs = list(zip(known, found, strict=True))
    own = [np.abs(_edges(item.words) - _edges(aligned.words)) for item, aligned in pairs]
    control = [np.abs(_edges(item.words) - _uniform(item)) for item, _ in pairs]
    return float(np.concatenate(own).mean()), float(np.concatenate(control).mean())


def test_words_are_found_where_they_are(letters: Path, tmp_path: Path) -> None:
    known = Manifest.open(write_words(tmp_path / "test.jsonl", 6, seed=1))
    done = align_corpus_with(letters, known.path, tmp_path / "aligned.jsonl")
    assert (done.aligned, done.left, done.left_list) == (6, {}, None)
    found = Manifest.open(tmp_path / "aligned.jsonl")
    for item, aligned in zip(known, found, strict=True):
        assert dataclasses.replace(aligned, words=None) == dataclasses.replace(item, words=None)
        assert [word.label for word in aligned.words or ()] == (item.text or "").split()
        assert (np.diff(_edges(aligned.words).ravel()) >= 0).all()
        assert 0 <= _edges(aligned.words).min() <= _edges(aligned.words).max() <= item.duration
    own, control = _errors(known, found)
    assert own < 0.015
    assert control > 0.04


def test_phones_have_times_of_their_own(phones: Path, tmp_path: Path) -> None:
    known = Manifest.open(write_tones(tmp_path / "test.jsonl", 2, seed=1))
    done = align_corpus_with(phones, known.path, tmp_path / "aligned.jsonl")
    assert done.aligned == 2
    for item in Manifest.open(tmp_path / "aligned.jsonl"):
        assert [phone.label for phone in item.phones or ()] == (item.text or "").split()
        assert item.words is None
        assert item.phones
        assert item.phones[-1].end <= item.duration


def _hmm(corpus: Path, run: Path, *settings: str) -> Path:
    sizes = ("states=2", "gaussians=2", "passes=12", "grow_every=8")
    run_recipe("finetune", "hmm-tiny", corpus, run, overrides=[f"model.{setting}" for setting in (*sizes, *settings)])
    return run


def test_words_are_found_by_hidden_markov_models(tmp_path: Path) -> None:
    run = _hmm(surround_by_silence(write_words(tmp_path / "train.jsonl", 12)), tmp_path / "run")
    known = Manifest.open(surround_by_silence(write_words(tmp_path / "test.jsonl", 4, seed=1)))
    items = list(known)
    items[0] = dataclasses.replace(items[0], text=" ".join(reversed((items[1].text or "").split())))  # of another recording
    items[1] = dataclasses.replace(items[1], text="ab " * 60)
    write_manifest(tmp_path / "given.jsonl", items)
    done = align_corpus_with(run, tmp_path / "given.jsonl", tmp_path / "aligned.jsonl")
    assert done.aligned == 2
    assert "the text does not fit the audio: doubt" in done.left["test-0"]
    assert "the text is longer than the audio: it needs 240 frames" in done.left["test-1"]
    for item, aligned in zip(items[2:], list(Manifest.open(tmp_path / "aligned.jsonl"))[2:], strict=True):
        assert dataclasses.replace(aligned, words=None) == dataclasses.replace(item, words=None)
        assert [word.label for word in aligned.words or ()] == (item.text or "").split()
        assert np.abs(_edges(item.words) - _edges(aligned.words)).mean() < 0.015
    with pytest.raises(UserError, match="a prior is subtracted from what CTC emits, and HMM has states"):
        align_corpus_with(run, known.path, tmp_path / "other.jsonl", AlignmentSettings(prior=0.5))


def test_words_and_their_phones_are_found_by_a_lexicon(tmp_path: Path) -> None:
    corpus = surround_by_silence(write_words(tmp_path / "train.jsonl", 12))
    words = sorted({word for item in Manifest.open(corpus) for word in (item.text or "").split()})
    (tmp_path / "lexicon.txt").write_text("\n".join(f"{word}\t{' '.join(word.upper())}" for word in words))
    run = _hmm(corpus, tmp_path / "run", "units=phones", f"lexicon={tmp_path / 'lexicon.txt'}")
    items = list(Manifest.open(corpus))[:3]
    items[0] = dataclasses.replace(items[0], text=f"{items[0].text} xyz")
    write_manifest(tmp_path / "given.jsonl", items)
    done = align_corpus_with(run, tmp_path / "given.jsonl", tmp_path / "aligned.jsonl")
    assert done.left == {"train-0": "words without pronunciation: 'xyz' (1)"}
    assert done.missing == {"xyz": 1}
    for item, aligned in zip(items[1:], list(Manifest.open(tmp_path / "aligned.jsonl"))[1:], strict=True):
        assert np.abs(_edges(item.words) - _edges(aligned.words)).mean() < 0.015
        assert [phone.label for phone in aligned.phones or ()] == list((item.text or "").replace(" ", "").upper())
        edges = _edges(aligned.phones)
        assert edges[::2, 0].tolist() == _edges(aligned.words)[:, 0].tolist()  # the first phone of each word
        assert edges[1::2, 1].tolist() == _edges(aligned.words)[:, 1].tolist()  # and the last


def test_what_has_no_times_is_listed_with_its_reason(letters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = list(Manifest.open(write_words(tmp_path / "test.jsonl", 8, seed=1)))
    assert items[4].audio
    items[4].audio.write_bytes(b"no audio")
    texts = ["ab xyz ax", "7 ab", "ab " * 60, items[5].text, items[4].text, "!", None, items[7].text]
    items = [dataclasses.replace(item, words=None, text=text) for item, text in zip(items, texts, strict=True)]
    items += [Item("short", audio=items[7].audio, duration=0.01, sample_rate=16_000, text="ab"), Item("text", text="ab")]
    write_manifest(tmp_path / "in.jsonl", items)
    words = ["corpus", "align", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), "--with", str(letters)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "1 items have times now, 9 have none" in printed
    assert "Symbols that the recognizer's vocabulary lacks: x (2), y (1), z (1)" in printed
    listed = dict(line.split("\t") for line in (tmp_path / "out.skipped.tsv").read_text().splitlines())
    reasons = [
        "lacks: 'x' (2), 'y' (1), 'z' (1)",
        "DIGIT SEVEN",
        "needs 179 frames, and there are",
        "the text does not fit the audio: doubt",
    ]
    reasons += ["cannot be read as audio", "empty once it is normalized", "no text"]
    for number, reason in enumerate(reasons):
        assert reason in listed[f"test-{number}"]
    assert "too short for a frame" in listed["short"]
    assert listed["text"] == "no audio"
    found = Manifest.open(tmp_path / "out.jsonl")
    assert [item.words is not None for item in found] == [False] * 7 + [True] + [False] * 2
    assert not list(tmp_path.glob("*.aligning"))
    assert main(words) == 2
    assert "out.jsonl is there already: choose another name, or delete it" in capsys.readouterr().err


def test_a_text_of_another_recording_has_no_times(letters: Path, tmp_path: Path) -> None:
    items = list(Manifest.open(write_words(tmp_path / "test.jsonl", 6, seed=2)))
    items = [dataclasses.replace(item, text=other.text) for item, other in zip(items, [*items[1:], items[0]], strict=True)]
    write_manifest(tmp_path / "in.jsonl", items)
    assert align_corpus_with(letters, tmp_path / "in.jsonl", tmp_path / "out.jsonl").aligned == 0
    settings = AlignmentSettings(doubt=1000)
    assert align_corpus_with(letters, tmp_path / "in.jsonl", tmp_path / "stretched.jsonl", settings).aligned == 6


def test_what_was_stopped_goes_on(letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write_words(tmp_path / "test.jsonl", 5, seed=1)
    whole = align_corpus_with(letters, corpus, tmp_path / "whole.jsonl", AlignmentSettings(0.5))
    once = align_with.align_text
    calls: list[Any] = []

    def stops(*given: object) -> object:
        calls.append(given)
        if len(given) == 5 and sum(len(call) == 5 for call in calls) == 4:
            raise KeyboardInterrupt
        return once(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(align_with, "align_text", stops)
    target = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        align_corpus_with(letters, corpus, target, AlignmentSettings(0.5))
    assert not target.exists()
    *_, prior = next(call for call in calls if len(call) == 5)
    assert prior.share == 0.5
    assert prior.log_probabilities.exp().sum() == pytest.approx(1.0, abs=1e-4)
    assert prior.log_probabilities.exp()[2:].min() > 0.1  # each of four tones, in a text of nothing else
    journal = tmp_path / "out.aligning"
    with journal.open("ab") as file:
        file.write(b'{"id": "test-3", "ti')  # the power failed
    with pytest.raises(UserError, match="is the beginning of an alignment with another recognizer, manifest or option"):
        align_corpus_with(letters, corpus, target)
    calls[:] = [(0,) * 5] * 4
    done = align_corpus_with(letters, corpus, target, AlignmentSettings(0.5))
    assert sum(len(call) == 5 for call in calls) == 4 + 2
    assert (done.aligned, done.left) == (whole.aligned, whole.left) == (5, {})
    assert target.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not journal.exists()


def test_too_much_at_once_is_not_tried(letters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align_with, "CELLS", 1000)
    done = align_corpus_with(letters, write_words(tmp_path / "test.jsonl", 1), tmp_path / "out.jsonl")
    assert "151 frames and 23 states are too many to be aligned at once" in done.left["test-0"]


def test_what_cannot_be_asked_for_is_refused(letters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, out = str(write_words(tmp_path / "test.jsonl", 1)), str(tmp_path / "out.jsonl")
    for words, message in {
        ("--prior", "1"): "--prior is of an alignment by a recognizer",
        ("--with", str(tmp_path / "no")): "no",
        ("--with", "mfcc"): "is an MFCC, which recognizes no text",
        ("--with", str(letters), "--prior", "-1"): "prior = -1.0: it is 0 or more",
        ("--with", str(letters), "--doubt", "nan"): "doubt = nan: it is 0 or more",
    }.items():
        assert main(["corpus", "align", corpus, out, *words]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_a_killed_command_goes_on(letters: Path, tmp_path: Path) -> None:
    corpus = write_words(tmp_path / "test.jsonl", 300)
    words = [sys.executable, "-m", "foresay", "corpus", "align", str(corpus), str(tmp_path / "out.jsonl"), "--with", str(letters)]
    journal = tmp_path / "out.aligning"
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 20):
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    before = [json.loads(line) for line in journal.read_bytes().split(b"\n")[1:-1]]
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.startswith(f"{tmp_path / 'out.jsonl'}: 300 items")
    found = {item.id: item for item in Manifest.open(tmp_path / "out.jsonl")}
    assert all([list(word) for word in found[record["id"]].words or ()] == record["times"] for record in before)
