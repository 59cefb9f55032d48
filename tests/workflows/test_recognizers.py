"""The table of recognizers of several kinds: equal data for all, a control without audio, paired differences, what each takes."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.models.recognition.transducer import Transducer, TransducerSettings
from foresay.models.representation.cpc import CPC, CPCSettings
from foresay.reports.wording import MINUS, span
from foresay.results import Draws, Result, append_results, save_draws
from foresay.training.recipe import read_recipe
from foresay.workflows import recognizers
from foresay.workflows.recognizers import COLUMNS, RecognizerChoice, Recognizers, lecture

SYSTEMS = (
    RecognizerChoice("ctc", "ctc-tiny-scratch", overrides=("trainer.steps=5",)),
    RecognizerChoice("classical", "hmm-tiny", encoder="mfcc", unit="words"),
    RecognizerChoice("other-texts", "ctc-tiny-scratch", shuffled=True),
)
RATES = {"ctc": 0.4, "classical": 0.3, "other-texts": 0.9}
TEXTS = ["one", "two", "three", "four", "five"]


@pytest.fixture
def table(tmp_path: Path) -> Recognizers:
    soundfile.write(tmp_path / "one.wav", np.zeros(96_000), 16_000)
    items = [Item(text, audio=tmp_path / "one.wav", duration=6.0, sample_rate=16_000, speaker="a", text=text) for text in TEXTS]
    for split in ("train", "valid", "test"):
        write_manifest(tmp_path / "corpus" / f"{split}.jsonl", items)
    return Recognizers(tmp_path / "corpus", tmp_path / "made", SYSTEMS, (0.2, 0.5), tmp_path / "texts.txt")


def test_all_learn_from_the_same_and_what_is_needed_is_made_before(table: Recognizers) -> None:
    assert "wer:greedy,wer:ngram" in table.stages()[-1].commands[0].words
    made, commands = set[str](), [command.words for stage in table.stages() for command in stage.commands]
    for words in commands:
        needed = [word for word in words if word.startswith(str(table.parent)) and not word.endswith(".jsonl")]
        outputs = {words[words.index(option) + 1] for option in ("--run", "--out") if option in words}
        assert set(needed) <= made | outputs
        made |= outputs
    trained = [words for words in commands if words[0] == "finetune"]
    assert len(trained) == 6
    networks = [words for words in trained if "hmm-tiny" not in words]
    assert {words[-1] for words in networks} == {'model.symbols=["<blank>", "|", "e", "f", "h", "i", "n", "o", "r", "t", "u", "v", "w"]'}
    assert (
        [("--valid" in words) for words in trained] == [("--set" in words) for words in trained] == [words in networks for words in trained]
    )
    data = {words[words.index("--run") + 1].rpartition("/")[2]: words[words.index("--corpus") + 1] for words in trained}
    assert data["ctc-0.2min"] == data["classical-0.2min"] == str(table.parent / "train-0.2min.jsonl")
    assert [words[words.index("--encoder") + 1] for words in trained if "--encoder" in words] == ["mfcc", "mfcc"]
    tuned = {words[2].rpartition("/")[2]: words[words.index("--lm") + 1] for words in commands if words[:2] == ("lm", "tune")}
    assert tuned["ctc-0.2min"] == tuned["other-texts-0.5min"] == str(table.parent / "ngram-letters")
    assert tuned["classical-0.5min"] == str(table.parent / "ngram-words")


def test_the_control_learns_from_the_texts_of_other_recordings(table: Recognizers) -> None:
    table.stages()
    right, wrong = (list(Manifest.open(table.parent / f"train-0.5min{name}.jsonl")) for name in ("", "-shuffled"))
    assert [item.id for item in wrong] == [item.id for item in right] == TEXTS
    assert [item.text for item in wrong] == [*TEXTS[1:], TEXTS[0]]


def test_differences_are_with_the_control_and_of_the_best_with_the_others(table: Recognizers, monkeypatch: pytest.MonkeyPatch) -> None:
    noise, names = np.linspace(-0.05, 0.05, 1000), tuple("abcdef")
    for (minutes, name), run in table.runs.items():
        rows = []
        for protocol, metric in COLUMNS:
            value = RATES[name] - 0.1 * minutes
            draws = Draws("utterances", names, 0, value + noise)
            seconds = 3.0 if protocol == "greedy" else 45.0
            about = {"model": run.name, "layer": "emissions", "corpus": "test", "split": "test", "step": 5, "seed": 0, "seconds": seconds}
            about["details"] = {"fingerprint": f"{protocol} {minutes}"}
            interval = {"low": value - 0.05, "high": value + 0.05, "draws": draws, "drawn": draws.drawn, "unit": "%", "direction": "lower"}
            rows.append(Result(measure="wer", protocol=protocol, metric=metric, value=value, **about, **interval))
        append_results(run / "results.jsonl", rows)
        save_draws(run, rows)
    monkeypatch.setattr(recognizers, "_about", lambda run: [run.name, "1 min", "no"])
    head, *found = table.table()
    assert head[2:5] == ["WER", "CER", "WER, n-gram"]
    cells = {(row[0], row[1]): row[2:] for row in found}
    assert cells["0.2", "classical"] == ["28.0 [23.0, 33.0]"] * 3 + ["0.10 / 1.50", "classical-0.2min", "1 min", "no"]
    assert [row[1] for row in found if row[0] == "0.5"] == [
        *("ctc", "classical", "other-texts"),
        *("ctc - other-texts", "classical - other-texts", "classical - ctc"),
    ]
    assert cells["0.5", "ctc - other-texts"][:3] == [f"{MINUS}50.0 [{MINUS}50.0, {MINUS}50.0]"] * 3  # the noise is the same on both sides
    assert cells["0.5", "classical - ctc"][:3] == [f"{MINUS}10.0 [{MINUS}10.0, {MINUS}10.0]"] * 3


def test_times_of_words_are_measured_where_they_are_known(table: Recognizers) -> None:
    path = table.corpus / "test.jsonl"
    write_manifest(path, [replace(item, words=(Interval(0.0, 6.0, item.text or ""),)) for item in Manifest.open(path)])
    for run in table.runs.values():
        about = {"layer": "emissions", "corpus": "test", "split": "test", "step": 5, "seed": 0, "seconds": 6.0, "low": None, "high": None}
        rows = [
            Result(run.name, "wer", protocol, metric, value=0.5, details={"fingerprint": protocol}, unit="%", direction="lower", **about)
            for protocol, metric in COLUMNS
        ]
        about |= {"unit": "ms", "direction": "lower", "details": {"fingerprint": "a"}}
        rows.append(Result(run.name, "alignment", "words", "boundary error", value=40.0, **about))
        rows.append(Result("even words", "alignment", "words", "boundary error", value=90.0, **(about | {"layer": "none"})))
        append_results(run / "results.jsonl", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognizers, "_about", lambda run: [run.name, "1 min", "no"])
        head, *found = table.table()
    assert "wer:greedy,wer:ngram,alignment:words" in table.stages()[-1].commands[0].words
    column = head.index("boundaries, ms")
    assert {row[1]: row[column] for row in found if " - " not in row[1]} == {**dict.fromkeys(RATES, "40.00"), "even words": "90.00"}


def test_texts_are_pronounced_where_espeak_is_there(table: Recognizers, monkeypatch: pytest.MonkeyPatch) -> None:
    pronounced = replace(table, pronounced=True)
    assert "wer:greedy,wer:ngram,per:espeak" in pronounced.stages()[-1].commands[0].words
    for run in table.runs.values():
        about = {"layer": "emissions", "corpus": "test", "split": "test", "step": 5, "seed": 0, "seconds": 6.0, "low": None, "high": None}
        about |= {"unit": "%", "direction": "lower"}
        rates = [*((protocol, metric, "wer", 0.5) for protocol, metric in COLUMNS), ("espeak", "phone error rate", "per", 0.25)]
        rows = [
            Result(run.name, measure, protocol, metric, value=value, details={"fingerprint": protocol}, **about)
            for protocol, metric, measure, value in rates
        ]
        append_results(run / "results.jsonl", rows)
    monkeypatch.setattr(recognizers, "_about", lambda run: [run.name, "1 min", "no"])
    head, *found = pronounced.table()
    assert head.count("PER") == 1
    assert {row[head.index("PER")] for row in found if " - " not in row[1]} == {"25.0"}
    assert "PER" not in table.table()[0]


def test_what_is_said_about_a_recognizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = CPC(CPCSettings(channels=32, context_size=32, context_layers=1))
    for name, lstm, seconds in (("live", 0, 120.0), ("ahead", 4, 0.0)):
        run = tmp_path / name
        (run / "model").mkdir(parents=True)
        model = Transducer(TransducerSettings(("<blank>", "a"), lstm=lstm, prediction=4, joint=4), encoder)
        monkeypatch.setattr(recognizers, "load", lambda _, model=model: model)
        monkeypatch.setattr(recognizers, "read_records", lambda _, seconds=seconds: [SimpleNamespace(training_seconds=seconds)])
        for path, written in ((run / "model" / "model.toml", 100), (run / "recipe.toml", 200)):  # the recipe was written once more
            path.touch()
            os.utime(path, (written, written))
        numbers = f"{sum(one.numel() for one in model.state_dict().values()):,}"
        assert recognizers._about(run) == [numbers, *([span(120), "yes"] if lstm == 0 else ["unknown", "no"])]
    os.utime(tmp_path / "ahead" / "model" / "model.toml", (380, 380))
    assert recognizers._about(tmp_path / "ahead")[1] == span(180)  # of what is fitted at once


@pytest.mark.parametrize("encoder", [None, "runs/acpc"])
def test_all_of_the_lecture_take_as_much_audio(encoder: str | None) -> None:
    *several, hmm, control = lecture(0.5, encoder)
    taken = []
    assert (hmm.name, hmm.unit, hmm.encoder) == ("hmm", "words", encoder)
    for one in (*several, control):
        recipe = read_recipe(one.recipe, one.overrides)
        taken.append((recipe.trainer.steps or 0) * recipe.data.seconds)
    assert set(taken) == {12_000.0}
    assert [one.name for one in several] == ["ctc", "attention", "transducer"]
    assert {one.encoder for one in several} == ({encoder} if encoder else {None, "logmel"})
    assert control.shuffled
    assert control.recipe == several[0].recipe
