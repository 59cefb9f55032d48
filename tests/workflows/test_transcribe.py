"""Transcription: of files, folders and manifests; words at their times; what cannot be read is listed."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.cli import main
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.transcripts import Transcript
from foresay.encoding.word_times import Word
from foresay.errors import AudioError, UserError
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.workflows.language_models import train_ngram
from foresay.workflows.transcribe import load_recognizer, stamp_of, transcribe
from foresay.workflows.written_transcripts import WrittenTranscripts
from reference.tones import LETTERS, PITCHES, RATE, train_recognizer, write_tones


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_recognizer(write_tones(tmp_path_factory.mktemp("tones") / "train.jsonl", 8), "model.units=phones")


def tones(path: Path, letters: str, seconds: float = 0.15) -> Path:
    """Letters of equal length, with a breath of noise between words."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    parts = [0.3 * np.sin(2 * np.pi * PITCHES[LETTERS.index(letter)] * time) for letter in letters]
    waveform = np.concatenate(parts)
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, waveform + 0.001 * rng.normal(size=len(waveform)), RATE)
    return path


def test_a_file_is_transcribed_with_times(run: Path, tmp_path: Path) -> None:
    (said,) = transcribe(run, tones(tmp_path / "one.wav", "abdca"))
    assert (said.id, said.text) == ("one.wav", "a b d c a")
    middles = [(word.start + word.end) / 2 for word in said.words]
    assert np.abs(np.array(middles) - 0.15 * (np.arange(5) + 0.5)).max() < 0.1
    assert all(0 <= word.start < word.end <= said.duration + 0.02 for word in said.words)
    assert all(0.3 < word.confidence <= 1 for word in said.words)


def test_a_long_recording_is_its_parts(run: Path, tmp_path: Path) -> None:
    letters = "abcd" * 60  # 36 s, more than one part
    tones(tmp_path / "long.wav", letters)
    (said,) = transcribe(run, tmp_path / "long.wav")
    assert said.text == " ".join(letters)
    assert abs(said.words[-1].end - 36.0) < 0.2


def test_a_folder_and_what_cannot_be_read(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tones(tmp_path / "b.wav", "ba")
    tones(tmp_path / "a.wav", "cd")
    assert [said.text for said in transcribe(run, tmp_path)] == ["c d", "b a"]
    assert main(["transcribe", str(run), str(tmp_path), "--format", "srt", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "a.srt").read_text().splitlines()[2] == "c d"
    (tmp_path / "c.wav").write_bytes(b"no audio")
    assert main(["transcribe", str(run), str(tmp_path)]) == 0
    assert "left out: c.wav: " in capsys.readouterr().err
    with pytest.raises(AudioError):
        list(transcribe(run, tmp_path))
    assert main(["transcribe", str(run), str(tmp_path / "a.wav")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "a.wav\tc d"
    assert main(["transcribe", str(run), str(tmp_path / "a.wav"), "--format", "srt", "--out", str(tmp_path / "out")]) == 2
    assert "a.srt is there already" in capsys.readouterr().err


def test_no_id_leads_out_of_the_folder(tmp_path: Path) -> None:
    said = Transcript("../../away/x", "a", 1.0, (Word("a", 0.0, 0.5, 1.0),), 0.0)
    assert WrittenTranscripts(tmp_path / "out", "srt", "").write([said]) == 1
    (path,) = (path for path in tmp_path.rglob("*.srt"))
    assert path.resolve().parent == (tmp_path / "out").resolve()


def test_what_recognizes_nothing_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is an MFCC, which recognizes no text"):
        load_recognizer("mfcc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no audio in"):
        list(transcribe(run, tmp_path / "empty"))
    torch.manual_seed(0)
    silent = CTC(CTCSettings(("<blank>", "a")), load("logmel")).eval()
    with torch.no_grad():
        silent.head.bias[0] = 100.0
    (said,) = transcribe(silent, tones(tmp_path / "one.wav", "ab"))
    assert (said.text, said.words) == ("", ())


def test_what_was_interrupted_goes_on(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, letters in enumerate(("ab", "cd", "ba", "dc")):
        tones(tmp_path / "in" / f"{number}.wav", letters)
    dest = tmp_path / "said.txt"
    command = ["transcribe", str(run), str(tmp_path / "in"), "--out", str(dest)]
    stamp = stamp_of(load_recognizer(run), SearchSettings(), 1)

    def cut() -> Iterator[Transcript]:
        yield from itertools.islice(transcribe(run, tmp_path / "in"), 2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="interrupted, with 2 recordings transcribed; the same command goes on"):
        WrittenTranscripts(dest, "txt", stamp).write(cut())
    part = tmp_path / ".unfinished-said.txt"
    part.write_text(part.read_text() + "2.wav\tcut o")  # what a kill leaves
    with (tmp_path / ".unfinished-said.txt.done").open("a") as file:
        file.write('["2.w')
    assert main([*command, "--beam", "4"]) == 2
    assert "was begun with another recognizer, search or format" in capsys.readouterr().err
    assert not dest.exists()
    assert main(command) == 0
    assert "going on after 2 recordings" in capsys.readouterr().err
    assert dest.read_text() == "0.wav\ta b\n1.wav\tc d\n2.wav\tb a\n3.wav\td c\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "said.txt"]
    assert main(command) == 2
    assert "said.txt is there already" in capsys.readouterr().err


def test_several_sources_and_hypotheses(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tones(tmp_path / "one.wav", "ab"), tones(tmp_path / "x" / "two.wav", "cd")
    assert main(["transcribe", str(run), str(one), str(two), "--beam", "8", "--nbest", "3", "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["a b", "c d"]
    assert all(len(line["nbest"]) == 3 and line["nbest"][0][1] == line["text"] for line in lines)
    assert main(["transcribe", str(run), str(one), "--nbest", "3", "--format", "jsonl"]) == 0  # the best path is one
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert [text for _, text in line["nbest"]] == ["a b"]
    assert main(["transcribe", str(run), str(one), "--format", "jsonl"]) == 0
    assert "nbest" not in json.loads(capsys.readouterr().out)
    assert main(["transcribe", str(run), str(one), str(two), "--nbest", "3"]) == 2
    assert "are written with --format jsonl" in capsys.readouterr().err
    assert main(["transcribe", str(run), str(two), str(tones(tmp_path / "y" / "two.wav", "cd"))]) == 2
    assert "two recordings are called two.wav" in capsys.readouterr().err
    assert main(["transcribe", str(run)]) == 2
    assert main(["transcribe", str(run), str(one), "--search", "x.toml", "--beam", "3"]) == 2
    assert "leave out --beam" in capsys.readouterr().err


def test_words_of_a_lexicon_have_their_times(run: Path, tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("first\ta b\nsecond\td c a\n")
    (said,) = transcribe(run, tones(tmp_path / "one.wav", "abdca"), SearchSettings(lexicon=str(tmp_path / "lexicon.txt")))
    assert said.text == "first second"
    assert [word.text for word in said.words] == ["first", "second"]
    assert np.abs(np.array([(word.start, word.end) for word in said.words]) - [(0.0, 0.3), (0.3, 0.75)]).max() < 0.15


@pytest.mark.parametrize(
    "options, message",
    [
        (["--lm", "2gram.arpa"], "lm without lm weight"),
        (["--lm", "2gram.arpa", "--lm-weight", "3.23", "--word-weight", "0"], "In nats it is 3.23 / ln 10 = 1.40"),
        (["--lm", "mfcc", "--lm-weight", "1", "--word-weight", "0"], "mfcc is an MFCC, which predicts no symbols"),
        (["--lm", "cut.arpa", "--lm-weight", "1", "--word-weight", "0"], "cut.arpa"),
        (["--lexicon", "lexicon.txt"], "symbols that the vocabulary of 5 phones lacks: 'x' (1)"),
        (["--lexicon", "empty.txt"], "holds no words"),
        (["--lexicon", "silent.txt"], "line 1: 'word' has no spelling"),
        (["--beam", "0"], "beam must be 1 or more"),
        (["--nbest", "0", "--format", "jsonl"], "nbest must be 1 or more"),
        (["--hot-words", "text.txt", "--hot-weight", "0"], "the boost of hot words is in nats a symbol, above 0"),
        (["--rescore", "2gram.arpa"], "rescore without rescore weight"),
        (["--search", "nowhere.toml"], "nowhere.toml cannot be read"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_message(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("a b c d\n")
    train_ngram(["text.txt"], "2gram.arpa", order=2)
    (tmp_path / "cut.arpa").write_text((tmp_path / "2gram.arpa").read_text().partition("\\2-grams")[0])
    for name, text in {"lexicon": "word\ta x\n", "empty": "", "silent": "word\n"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    tones(tmp_path / "one.wav", "ab")
    capsys.readouterr()
    assert main(["transcribe", str(run), "one.wav", *options]) == 2
    assert message in capsys.readouterr().err


def said_of(name: str) -> Transcript:
    return Transcript(name, "a", 1.0, (Word("a", 0.0, 0.5, 1.0),), 0.0)


def cut(*names: str) -> Iterator[Transcript]:
    """Some transcripts, then an interruption."""
    yield from map(said_of, names)
    raise KeyboardInterrupt


def test_what_was_begun_and_lost_is_written_anew(tmp_path: Path) -> None:
    dest = tmp_path / "said.txt"
    with pytest.raises(KeyboardInterrupt):
        WrittenTranscripts(dest, "txt", "s").write(cut("1", "2", "3"))
    (tmp_path / ".unfinished-said.txt").write_text("1\ta\n")  # the disk was full, or somebody edited it
    with pytest.raises(KeyboardInterrupt):
        WrittenTranscripts(dest, "txt", "s").write(cut("4", "5"))
    again = WrittenTranscripts(dest, "txt", "s")
    assert again.done == ["1", "4", "5"]
    again.write(map(said_of, ["2", "3"]))
    assert dest.read_text() == "".join(f"{name}\ta\n" for name in "14523")


def test_a_file_that_a_kill_left_unlisted_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        WrittenTranscripts(tmp_path, "srt", "s").write(cut("1", "2"))
    listed = tmp_path / ".unfinished-transcripts.done"
    listed.write_text('s srt\n["1", 0]\n')  # killed after 2.srt was written, before it was listed
    again = WrittenTranscripts(tmp_path, "srt", "s")
    assert again.done == ["1"]
    assert again.write(map(said_of, ["2", "3"])) == 3
    with pytest.raises(UserError, match="two recordings have one name"):
        WrittenTranscripts(tmp_path / "new", "srt", "s").write(map(said_of, ["x.wav", "x.flac"]))


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    dest = tmp_path / "said.txt"

    def beside() -> Iterator[Transcript]:
        yield said_of("1")
        with pytest.raises(UserError, match="is in use by process"):
            WrittenTranscripts(dest, "txt", "s").write([said_of("2")])
        yield said_of("3")

    WrittenTranscripts(dest, "txt", "s").write(beside())
    assert dest.read_text() == "1\ta\n3\ta\n"
    assert list(tmp_path.iterdir()) == [dest]


def test_what_is_too_short_is_listed(run: Path, tmp_path: Path) -> None:
    tones(tmp_path / "in" / "long.wav", "ab")
    tones(tmp_path / "in" / "short.wav", "a", seconds=0.01)
    lost: dict[str, AudioError] = {}
    assert [said.id for said in transcribe(run, tmp_path / "in", unreadable=lost)] == ["long.wav"]
    assert list(lost) == ["short.wav"]
    assert "lasts 0.01 s" in str(lost["short.wav"])
    with pytest.raises(UserError, match=r"none of the 1 recordings of .*short\.wav"):
        list(transcribe(run, tmp_path / "in" / "short.wav"))
