"""Resynthesis of files, folders and manifests: what is written, what is said of it, what is refused, and that it goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from foresay.audio.read import read_audio
from foresay.cli import main
from foresay.corpora.manifest import Manifest
from foresay.encoding.resynthesis import Resynthesizer
from foresay.errors import UserError
from foresay.trust import trusting
from foresay.workflows import resynthesize as module
from foresay.workflows.resynthesize import resynthesize
from reference.levels import write_corpus
from reference.toy_synthesizer import ToySynthesizer, toy_synthesizer, write_synthesizer


@pytest.fixture(autouse=True)
def _trusted() -> Iterator[None]:
    with trusting():
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "test.jsonl", 3)


@pytest.fixture(scope="module")
def model(corpus: Manifest) -> ToySynthesizer:
    return toy_synthesizer(corpus)


@pytest.fixture(scope="module")
def vocoder(model: ToySynthesizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthesizer(tmp_path_factory.mktemp("runs") / "vocoder", model)


def sung(path: Path, seconds: float = 0.5, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 310 * np.arange(round(seconds * rate)) / rate), rate)
    return path


def test_a_manifest_is_spoken_with_its_texts_and_times(corpus: Manifest, model: ToySynthesizer, vocoder: Path, tmp_path: Path) -> None:
    done = resynthesize(corpus.path, vocoder, tmp_path / "out")
    assert (done.written, done.there, done.left_out, done.limited, done.unmet) == (3, 0, {}, {}, {})
    again = Manifest.open(done.manifest)
    assert again.ids == corpus.ids
    for place, (new, old) in enumerate(zip(again, corpus, strict=True)):
        assert (new.text, new.speaker, new.phones) == (old.text, old.speaker, old.phones)
        assert new.duration == old.duration
        pieces = Resynthesizer(model).analyze(corpus.read(place, 16_000), old.speaker)
        assert np.abs(again.read(place, 16_000) - Resynthesizer(model).speak(pieces)).max() <= 2**-15


def test_in_another_voice(corpus: Manifest, vocoder: Path, tmp_path: Path) -> None:
    own = resynthesize(corpus.path, vocoder, tmp_path / "own")
    other = resynthesize(corpus.path, vocoder, tmp_path / "other", speaker="speaker 1")
    assert [item.speaker for item in Manifest.open(other.manifest)] == ["speaker 1"] * 3
    levels = [np.abs(read_audio(done.manifest.parent / "test-0.wav")).mean() for done in (own, other)]
    assert levels[1] / levels[0] == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("option", [{"flat_pitch": True}, {"predicted_pitch": True}])
def test_with_another_pitch(vocoder: Path, tmp_path: Path, option: dict[str, bool]) -> None:
    sung(tmp_path / "in" / "one.wav")
    own = resynthesize(tmp_path / "in", vocoder, tmp_path / "own", speaker="speaker 0")
    other = resynthesize(tmp_path / "in", vocoder, tmp_path / "other", speaker="speaker 0", **option)
    first, second = (read_audio(done.manifest.parent / "one.wav") for done in (own, other))
    assert not np.array_equal(first, second)
    assert (other.manifest.parent / "made-by.toml").read_text().count("true") == 1


def test_a_folder_of_any_rates_and_what_is_in_it(vocoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sung(tmp_path / "in" / "deep" / "one.flac", rate=8_000)
    sung(tmp_path / "in" / "two.wav")
    sung(tmp_path / "in" / "short.wav", seconds=0.0001)
    (tmp_path / "in" / "broken.wav").write_bytes(b"no audio")
    typed = ["resynthesize", f"{tmp_path}/in", "--vocoder", str(vocoder), "--out", f"{tmp_path}/out", "--speaker", "speaker 0", "--trust"]
    assert main(typed) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"2 recordings spoken again; see {tmp_path}/out/manifest.jsonl"
    assert said[1] == "resampled: 1 recording of 8,000 Hz"
    assert sorted(line.split(": ")[1] for line in said[2:4]) == ["broken.wav", "short.wav"]
    assert "too short for a unit (one comes every 10 ms)" in "".join(said)
    assert said[4].startswith("2 recordings could not be spoken")
    assert len((tmp_path / "out" / "left-out.txt").read_text().splitlines()) == 2
    assert sorted(path.name for path in (tmp_path / "out").glob("*.wav")) == ["deep%2Fone.wav", "two.wav"]
    assert soundfile.info(tmp_path / "out" / "deep%2Fone.wav").samplerate == 16_000
    assert soundfile.info(tmp_path / "out" / "deep%2Fone.wav").frames == 8_000
    assert main(typed) == 0
    assert capsys.readouterr().out.startswith("0 recordings spoken again, 2 had been written before;")


def test_a_recording_that_is_another_one_now_is_spoken_anew(vocoder: Path, tmp_path: Path) -> None:
    for name in ("one.wav", "two.flac"):
        sung(tmp_path / "in" / name, rate=22_050)
    resynthesize(tmp_path / "in", vocoder, tmp_path / "out", speaker="speaker 0")
    sung(tmp_path / "in" / "one.wav", seconds=0.7)
    done = resynthesize(tmp_path / "in", vocoder, tmp_path / "out", speaker="speaker 0")
    assert (done.written, done.there) == (1, 1)
    assert [item.duration for item in Manifest.open(done.manifest)] == [0.7, 0.5]


def test_a_recording_of_the_same_length_and_other_content_is_spoken_anew(vocoder: Path, tmp_path: Path) -> None:
    """Also where its file says that it is as old; and one that was only touched or moved is the same."""
    one, two = sung(tmp_path / "in" / "one.wav"), sung(tmp_path / "in" / "two.wav")
    given = (vocoder, tmp_path / "out")
    resynthesize(tmp_path / "in", *given, speaker="speaker 0")
    samples, _ = soundfile.read(one)
    before, spoken = one.stat(), [read_audio(tmp_path / "out" / path.name) for path in (one, two)]
    soundfile.write(one, 0.1 * samples, 16_000)
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert one.stat().st_size == before.st_size
    two.touch()
    done = resynthesize(tmp_path / "in", *given, speaker="speaker 0")
    assert (done.written, done.there) == (1, 1)
    after = [read_audio(tmp_path / "out" / path.name) for path in (one, two)]
    assert not np.array_equal(after[0], spoken[0])
    assert np.array_equal(after[1], spoken[1])
    one.parent.rename(tmp_path / "elsewhere")
    assert resynthesize(tmp_path / "elsewhere", *given, speaker="speaker 0").there == 2


def test_what_a_manifest_says_otherwise_now_is_spoken_anew(corpus: Manifest, vocoder: Path, tmp_path: Path) -> None:
    """Else a recording would keep the voice of somebody else, and texts that were corrected since."""
    lines = corpus.path.read_text().splitlines()
    manifest = corpus.path.with_name("changed.jsonl")
    manifest.write_text("\n".join(lines) + "\n")
    resynthesize(manifest, vocoder, tmp_path / "out")
    before = read_audio(tmp_path / "out" / "test-0.wav")
    corrected, given = json.loads(lines[1]) | {"text": "another text"}, json.loads(lines[0])
    whose = next(name for name in corpus.speakers if name != given["speaker"])
    manifest.write_text("\n".join([json.dumps(given | {"speaker": whose}), json.dumps(corrected), *lines[2:]]) + "\n")
    done = resynthesize(manifest, vocoder, tmp_path / "out")
    assert (done.written, done.there) == (2, len(lines) - 2)
    assert [(item.speaker, item.text) for item in Manifest.open(done.manifest)][:2] == [
        (whose, given.get("text")),
        (corrected["speaker"], "another text"),
    ]
    assert not np.array_equal(read_audio(tmp_path / "out" / "test-0.wav"), before)


def test_messages_name_the_file_as_it_lies(vocoder: Path, tmp_path: Path) -> None:
    sung(tmp_path / "in" / "one.wav")
    soundfile.write(tmp_path / "in" / "broken.wav", np.full(800, np.nan), 16_000, subtype="FLOAT")
    resynthesize(tmp_path / "in", vocoder, tmp_path / "out", speaker="speaker 0")
    (line,) = (tmp_path / "out" / "left-out.txt").read_text().splitlines()
    assert str(tmp_path / "in" / "broken.wav") in line
    assert ".." not in line


def test_names_that_differ_in_their_ending_only(vocoder: Path, tmp_path: Path) -> None:
    sung(tmp_path / "in" / "one.flac")
    sung(tmp_path / "in" / "one.wav")
    done = resynthesize(tmp_path / "in", vocoder, tmp_path / "out", speaker="speaker 0")
    assert [item.audio.name for item in Manifest.open(done.manifest)] == ["one.flac.wav", "one.wav.wav"]


def test_what_is_interrupted_goes_on(corpus: Manifest, vocoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = resynthesize(corpus.path, vocoder, tmp_path / "whole")
    write, written = module.write_speech, []

    def interrupted(path: Path, waveform: np.ndarray, rate: int) -> int:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        return write(path, waveform, rate)

    monkeypatch.setattr(module, "write_speech", interrupted)
    with pytest.raises(KeyboardInterrupt, match="interrupted, with 2 recordings spoken; the same command goes on"):
        resynthesize(corpus.path, vocoder, tmp_path / "out")
    monkeypatch.setattr(module, "write_speech", write)
    manifest = tmp_path / "out" / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + '{"id": "cut sh')
    (tmp_path / "out" / "test-0.wav").unlink()
    done = resynthesize(corpus.path, vocoder, tmp_path / "out")
    assert (done.written, done.there) == (2, 1)
    for path in [whole.manifest, *whole.manifest.parent.glob("*.wav")]:
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_what_was_killed_at_its_first_line_and_interrupted_again_goes_on(
    corpus: Manifest, vocoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, manifest = tmp_path / "out" / "recordings.jsonl", tmp_path / "out" / "manifest.jsonl"
    resynthesize(corpus.path, vocoder, tmp_path / "out")
    lines = recordings.read_text()
    recordings.write_text(lines[:9])
    manifest.unlink()
    write = module.write_speech

    def interrupted(path: Path, waveform: np.ndarray, rate: int) -> int:
        if path.name == "test-1.wav":
            raise KeyboardInterrupt
        return write(path, waveform, rate)

    monkeypatch.setattr(module, "write_speech", interrupted)
    with pytest.raises(KeyboardInterrupt, match="interrupted, with 1 recording spoken"):
        resynthesize(corpus.path, vocoder, tmp_path / "out")
    monkeypatch.setattr(module, "write_speech", write)
    assert resynthesize(corpus.path, vocoder, tmp_path / "out").there == 1
    assert recordings.read_text() == lines


def test_a_folder_of_something_else_is_left_alone(corpus: Manifest, vocoder: Path, tmp_path: Path) -> None:
    resynthesize(corpus.path, vocoder, tmp_path / "out")
    for option in ({"speaker": "speaker 1"}, {"flat_pitch": True}):
        with pytest.raises(UserError, match=r"holds speech that was made otherwise, as .*made-by.toml says"):
            resynthesize(corpus.path, vocoder, tmp_path / "out", **option)
    fewer = write_corpus(tmp_path / "fewer" / "test.jsonl", 2)
    with pytest.raises(UserError, match="recordings that are not among these, such as test-2"):
        resynthesize(fewer.path, vocoder, tmp_path / "out")
    write_corpus(tmp_path / "corpus" / "manifest.jsonl", 2)
    with pytest.raises(UserError, match=r"manifest.jsonl is there already, and is none of this command's"):
        resynthesize(corpus.path, vocoder, tmp_path / "corpus")
    with pytest.raises(UserError, match="two recordings are called test-0"):
        resynthesize([corpus.path, fewer.path], vocoder, tmp_path / "both")
    with pytest.raises(UserError, match="would itself be spoken again the next time"):
        resynthesize(corpus.path.parent, vocoder, corpus.path.parent / "out")


def test_no_recording_is_written_over(vocoder: Path, tmp_path: Path) -> None:
    """What is spoken of one.wav is called one.wav: in the same folder the recording would be lost."""
    before = sung(tmp_path / "in" / "one.wav").read_bytes()
    with pytest.raises(UserError, match=r"in/one.wav is there already, and is none of this command's"):
        resynthesize(tmp_path / "in" / "one.wav", vocoder, tmp_path / "in", speaker="speaker 0")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "in").iterdir()] == [("one.wav", before)]


def test_voices_that_nobody_knows_are_refused(corpus: Manifest, vocoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--speaker speaker 2 is neither a voice that this synthesizer knows nor a recording: did you mean"):
        resynthesize(corpus.path, vocoder, tmp_path / "out", speaker="speaker 2")
    with pytest.raises(UserError, match="voices are known by name only"):
        resynthesize(corpus.path, vocoder, tmp_path / "out", speaker=str(sung(tmp_path / "in" / "one.wav")))
    with pytest.raises(UserError, match="unknown is none of them: say in whose voice with --speaker, one of speaker 0, speaker 1"):
        resynthesize(tmp_path / "in", vocoder, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))
    with pytest.raises(UserError, match="flat or predicted, not both"):
        resynthesize(corpus.path, vocoder, tmp_path / "out", flat_pitch=True, predicted_pitch=True)
    with pytest.raises(UserError, match="mfcc is an MFCC, which synthesizes no speech"):
        resynthesize(corpus.path, "mfcc", tmp_path / "out")
    assert main(["resynthesize", "--vocoder", str(vocoder), "--out", f"{tmp_path}/out"]) == 2


def test_one_voice_needs_no_name(corpus: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = write_synthesizer(tmp_path / "alone", toy_synthesizer(corpus, names=("eva",)))
    done = resynthesize(sung(tmp_path / "in" / "one.wav"), alone, tmp_path / "out")
    assert [item.speaker for item in Manifest.open(done.manifest)] == ["eva"]
    assert "the one voice that the synthesizer knows: eva" in capsys.readouterr().err


def test_a_voice_by_a_recording(model: ToySynthesizer, vocoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(model.speaker), "of_audio", lambda _, waveforms, __: torch.tensor([[waveforms.shape[1] / 8_000, 0.0]]))
    voice = sung(tmp_path / "voices" / "eva.wav", seconds=0.25)
    done = resynthesize(sung(tmp_path / "in" / "one.wav"), vocoder, tmp_path / "out", speaker=str(voice))
    named = resynthesize(tmp_path / "in" / "one.wav", vocoder, tmp_path / "named", speaker="speaker 0")
    assert [item.speaker for item in Manifest.open(done.manifest)] == ["eva"]
    levels = [np.abs(read_audio(one.manifest.parent / "one.wav")).mean() for one in (done, named)]
    assert levels[0] / levels[1] == pytest.approx(0.5, rel=0.01)
    sung(voice, seconds=0.5)
    with pytest.raises(UserError, match="made otherwise"):
        resynthesize(tmp_path / "in" / "one.wav", vocoder, tmp_path / "out", speaker=str(voice))


def test_what_is_too_loud_and_what_was_never_met_is_said(corpus: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loud = toy_synthesizer(corpus, louder=2.0)
    strange = int(
        loud.tokenizer.encode(torch.from_numpy(corpus.read(0, 16_000))[None], torch.tensor([len(corpus.read(0, 16_000))])).ids[0, 0, 0]
    )
    loud.met[strange] = False
    run = write_synthesizer(tmp_path / "loud", loud)
    assert main(["resynthesize", str(corpus.path), "--vocoder", str(run), "--out", f"{tmp_path}/out", "--trust"]) == 0
    said = capsys.readouterr().out
    assert "samples of 3 recordings, such as test-0" in said
    assert f"the synthesizer was not trained on 1 unit ({strange}), of " in said
    assert np.abs(read_audio(tmp_path / "out" / "test-0.wav")).max() <= 1.0
