"""A text in one recording: times where the tones are, a page, the recognizer's own text where none is given, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.cli import main
from foresay.corpora.manifest import Interval, Item, write_manifest
from foresay.errors import UserError
from foresay.workflows.align_recording import AlignedRecording, align_recording
from reference.html_checker import Checker
from reference.tones import LETTERS, PITCHES, RATE, train_recognizer, write_tones

SAID, EACH = "abdca", 0.15


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_recognizer(write_tones(tmp_path_factory.mktemp("tones") / "train.jsonl", 8), "model.units=phones")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    time = np.arange(round(EACH * RATE)) / RATE
    tones = np.concatenate([0.3 * np.sin(2 * np.pi * PITCHES[LETTERS.index(letter)] * time) for letter in SAID])
    soundfile.write(tmp_path / "one.wav", tones + 0.001 * np.random.default_rng(0).normal(size=len(tones)), RATE)
    return tmp_path / "one.wav"


def test_words_are_where_they_sound(run: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "pages" / "one.html"
    assert main(["align", str(run), str(recording), "--text", "a b d c a", "--out", str(page)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == ["seconds", run.name]
    done = align_recording([run], recording, "a b d c a", page)
    (words,) = done.words.values()
    assert [word for word, _, _ in words] == list(SAID)
    assert all(f"{begin:.2f} to {end:.2f}" in printed for _, begin, end in words)
    middles = np.array([(begin + end) / 2 for _, begin, end in words])
    assert np.abs(middles - EACH * (np.arange(5) + 0.5)).max() < 0.1
    html = page.read_text(encoding="utf-8")
    Checker(html)
    assert "Where is the text?" in html


def test_without_a_text_it_is_what_the_first_writes(run: Path, recording: Path, tmp_path: Path) -> None:
    assert align_recording([run], recording, out=tmp_path / "one.html").text == "a b d c a"


def test_the_text_and_times_of_a_manifest_are_taken_unless_a_text_is_given(run: Path, recording: Path, tmp_path: Path) -> None:
    phones = tuple(Interval(EACH * place, EACH * (place + 1), letter) for place, letter in enumerate(SAID))
    item = Item("one", audio=recording, duration=EACH * 5, sample_rate=RATE, text="said", phones=phones)
    manifest = tmp_path / "m.jsonl"
    write_manifest(manifest, [replace(item, id="other", phones=phones[:2]), item])
    page = tmp_path / "one.html"
    assert [len(words) for words in align_recording([run], manifest, out=page).words.values()] == [2]
    (words,) = align_recording([run], manifest, out=page, item="one").words.values()
    assert [word for word, _, _ in words] == list(SAID)
    with pytest.raises(UserError, match="has no item 'tow'"):
        align_recording([run], manifest, out=page, item="tow")
    assert "ms off on average" in page.read_text(encoding="utf-8")
    (words,) = align_recording([run], manifest, "a b", page).words.values()
    assert [word for word, _, _ in words] == ["a", "b"]
    assert "ms off on average" not in page.read_text(encoding="utf-8")


def test_who_cannot_find_it_says_why_and_nothing_is_refused(run: Path, recording: Path, tmp_path: Path) -> None:
    done = align_recording([run], recording, "a x", tmp_path / "one.html")
    assert not done.words
    assert "'x'" in done.left[run.name]
    with pytest.raises(UserError, match="Name a recognizer"):
        align_recording([], recording, "a")
    assert main(["align"]) == 2


def test_phones_and_words_are_in_tables_of_their_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"asr": [("cat", 0.1, 0.5)], "phones": [("k", 0.1, 0.2), ("t", 0.3, 0.5)], "las": [("cat", 0.0, 0.6)]}
    monkeypatch.setattr("foresay.cli.align.align_recording", lambda *_, **__: AlignedRecording("cat", words, {}, Path("a.html")))
    assert main(["align", "asr", "phones", "las", "one.wav"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert rows[:2] == [["seconds", "asr", "las"], ["cat", "0.10", "to", "0.50", "0.00", "to", "0.60"]]
    assert rows[2:5] == [["seconds", "phones"], ["k", "0.10", "to", "0.20"], ["t", "0.30", "to", "0.50"]]
