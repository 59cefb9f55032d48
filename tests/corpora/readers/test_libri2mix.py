"""Libri2Mix on tiny copies of its two layouts: mixed by LibriMix, and to be mixed here."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.manifest import Interval
from foresay.corpora.readers.libri2mix import Libri2Mix, active, lengthened, read_turns, turns_of
from foresay.errors import AudioError, UserError
from foresay.workflows.corpus import import_corpus
from reference.tiny_corpora import RATE, clip, items, lines

PARTS = {"train": "train-100", "valid": "dev", "test": "test"}
SUBSETS = {"train": "train-clean-100", "valid": "dev-clean", "test": "test-clean"}
NAMES = {"train": "19-198-0000_26-495-0001", "valid": "84-1-0000_174-2-0001", "test": "61-1-0000_121-2-0001"}
HEADER = "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain,noise_path,noise_gain"


def utterances(name: str) -> list[str]:
    """Name the files of the two utterances below a subset."""
    return [f"{source.replace('-', '/').rpartition('/')[0]}/{source}.flac" for source in name.split("_")]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Make what LibriMix's scripts write: a mixture for each split, and its sources."""
    folder = tmp_path / "Libri2Mix" / "wav16k" / "max"
    for split, part in PARTS.items():
        for place in ("mix_both", "s1", "s2"):
            clip(folder / part / place / f"{NAMES[split]}.wav", 1.0)
        header = "mixture_ID,mixture_path,source_1_path,source_2_path,noise_path,length"
        lines(folder / "metadata" / f"mixture_{part}_mix_both.csv", header, f"{NAMES[split]},/elsewhere/a.wav,/b.wav,/c.wav,/d.wav,16000")
    return tmp_path


@pytest.fixture
def rttm(tmp_path: Path) -> Path:
    """Write turns of the utterances as LibriMix's scripts have them: named without the speaker."""
    for split, subset in SUBSETS.items():
        one, other = (source.partition("-") for source in NAMES[split].split("_"))
        turns = [(one, 0.5, 0.25), (one, 0.0, 0.25), (other, 0.125, 0.5)]
        rows = (f"SPEAKER {rest} 1 {start} {length} <NA> <NA> {speaker} <NA> <NA>" for (speaker, _, rest), start, length in turns)
        lines(tmp_path / "rttm" / f"{subset.replace('-', '_')}.rttm", *rows)
    return tmp_path / "rttm"


@pytest.fixture
def unmixed(tmp_path: Path) -> Path:
    """Make LibriMix's metadata, and the utterances and noises that they name; one is as long again as the other."""
    for split, subset in SUBSETS.items():
        one, other = utterances(NAMES[split])
        clip(tmp_path / "LibriSpeech" / subset / one, 1.0)
        clip(tmp_path / "LibriSpeech" / subset / other, 2.0)
        clip(tmp_path / "wham_noise" / "tr" / f"{split}.wav", 0.75)
        row = f"{NAMES[split]},{subset}/{one},0.5,{subset}/{other},0.25,tr/{split}.wav,0.125"
        lines(tmp_path / "metadata" / f"libri2mix_{subset}.csv", HEADER, row)
    return tmp_path


def test_turns_of_the_utterances(mixed: Path, rttm: Path, tmp_path: Path) -> None:
    found = import_corpus(Libri2Mix(str(rttm)), mixed, tmp_path / "sd")
    assert {name: statistics.items for name, statistics in found.manifests.items()} == {"manifest": 3, "train": 1, "test": 1, "valid": 1}
    (item,) = items(tmp_path / "sd", "train")
    assert item.id == NAMES["train"]
    assert item.turns == (Interval(0.0, 0.25, "19"), Interval(0.125, 0.625, "26"), Interval(0.5, 0.75, "19"))
    assert not found.skipped


def test_turns_of_the_mixtures_and_other_names(tmp_path: Path) -> None:
    """Kaldi's `rttm` is of mixtures; names with the speaker are understood too."""
    lines(tmp_path / "kaldi" / "rttm", f"SPEAKER\t{NAMES['test']}\t1\t0.1\t0.2\t<NA>\t<NA>\t61\t<NA>", "", "; a remark")
    assert turns_of(NAMES["test"], read_turns(tmp_path / "kaldi")) == (Interval(0.1, 0.3, "61"),)
    known = {"61-1-0000": (Interval(0.0, 1.0, "x"),), "2-0001": (Interval(0.5, 2.0, "121"), Interval(3.0, 4.0, "174"))}
    assert turns_of(NAMES["test"], known) == (Interval(0.0, 1.0, "61"), Interval(0.5, 2.0, "121"))


def test_turns_by_the_loudness_of_the_sources(mixed: Path, tmp_path: Path) -> None:
    """Both sources of the tiny copy are noise from beginning to end."""
    import_corpus(Libri2Mix("activity"), mixed / "Libri2Mix", tmp_path / "sd")
    (item,) = items(tmp_path / "sd", "test")
    assert item.turns == (Interval(0.0, 1.0, "121"), Interval(0.0, 1.0, "61"))


def test_loudness_finds_speech_and_joins_it() -> None:
    level = np.repeat([0, 1.0, 0.2, 0, 0.5, 0.05, 0, 1, 0], [10, 30, 5, 10, 20, 10, 40, 5, 50])  # of frames of 10 ms
    samples = np.repeat(level, RATE // 100) * np.sin(np.arange(len(level) * RATE // 100))
    assert active(samples.astype(np.float32)) == [(0.1, 0.75)]  # spoken through 0.1 s; what is 26 dB softer is none; 0.05 s are no turn
    assert active(np.zeros(RATE, np.float32)) == []
    assert active(np.zeros(0, np.float32)) == []


@pytest.mark.parametrize("mixture", ["mix_both", "mix_clean"])
def test_mixed_here(mixture: str, unmixed: Path, tmp_path: Path) -> None:
    """The mixture is the sum of both sources, and of the noise, as loud as the metadata say and as long as the longer one."""
    noise = unmixed / "wham_noise" if mixture == "mix_both" else None
    reader = Libri2Mix("activity", mixture, unmixed / "LibriSpeech", noise)  # type: ignore[arg-type]
    found = import_corpus(reader, unmixed / "metadata", tmp_path / "sd")
    assert not found.skipped
    for split, subset in SUBSETS.items():
        (item,) = items(tmp_path / "sd", split)
        assert item.audio == tmp_path / "sd" / "Libri2Mix" / "wav16k" / "max" / PARTS[split] / mixture / f"{NAMES[split]}.wav"
        one, other = (soundfile.read(unmixed / "LibriSpeech" / subset / path)[0] for path in utterances(NAMES[split]))
        expected = 0.25 * other
        expected[: len(one)] += 0.5 * one
        if noise:
            expected += 0.125 * lengthened(soundfile.read(noise / "tr" / f"{split}.wav", dtype="float32")[0], len(other))
        np.testing.assert_allclose(soundfile.read(item.audio)[0], expected, atol=2 / 2**15)
        assert item.turns == (Interval(0.0, 1.0, NAMES[split].split("-")[0]), Interval(0.0, 2.0, NAMES[split].split("_")[1].split("-")[0]))


def test_noise_is_lengthened_without_a_step() -> None:
    """Halves of a Hann window add up to 1: equal noise stays equal; and the first second is the noise itself."""
    assert np.allclose(lengthened(np.ones(RATE, np.float32), 4 * RATE), 1, atol=1e-6)
    noise = np.random.default_rng(0).uniform(-1, 1, RATE).astype(np.float32)
    longer = lengthened(noise, RATE + 100)
    fade = RATE // 2 + 1
    np.testing.assert_array_equal(longer[: RATE - fade], noise[: RATE - fade])
    np.testing.assert_array_equal(longer[RATE:], noise[fade : fade + 100])
    assert lengthened(noise, 10).tolist() == noise[:10].tolist()
    with pytest.raises(AudioError, match="noise of 100 samples is too short to be repeated"):
        lengthened(noise[:100], 200)


def test_who_was_stopped_goes_on(unmixed: Path, tmp_path: Path) -> None:
    reader = Libri2Mix("activity", "mix_clean", unmixed / "LibriSpeech")
    import_corpus(reader, unmixed / "metadata", tmp_path / "sd")
    folder = tmp_path / "sd" / "Libri2Mix" / "wav16k" / "max"
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}
    (folder / "dev" / "s2" / f"{NAMES['valid']}.wav").unlink()
    import_corpus(reader, unmixed / "metadata", tmp_path / "sd")
    again = {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}
    assert again.keys() == made.keys()
    assert {path.parent.parent.name for path in made if made[path] != again[path]} == {"dev"}


def test_what_cannot_be_mixed_or_has_no_turns_is_skipped(unmixed: Path, rttm: Path, tmp_path: Path) -> None:
    (unmixed / "LibriSpeech" / "dev-clean" / utterances(NAMES["valid"])[0]).write_bytes(b"fLaC")
    (rttm / "test_clean.rttm").unlink()
    found = import_corpus(Libri2Mix(str(rttm), "mix_clean", unmixed / "LibriSpeech"), unmixed / "metadata", tmp_path / "sd")
    assert [one.path.stem for one in found.skipped] == [NAMES["valid"], NAMES["test"]]
    assert "there is no file" in found.skipped[0].reason
    assert "the RTTM files have no turns of 61-1-0000" in found.skipped[1].reason


@pytest.mark.parametrize(
    "reader, message",
    [
        (Libri2Mix(), "--turns must be chosen"),
        (Libri2Mix("activity", librispeech=Path("ls")), "to mix mix_both takes --noise"),
        (Libri2Mix("activity", "mix_clean", Path("ls")), "there is no folder ls/train-clean-100 and no ls/dev-clean and no ls/test-clean"),
        (Libri2Mix("gone"), "gone is not a folder"),
    ],
)
def test_what_must_be_chosen(reader: Libri2Mix, message: str, mixed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        import_corpus(reader, mixed, tmp_path / "sd")


def test_lists_that_are_missing_or_of_something_else(mixed: Path, unmixed: Path, rttm: Path, tmp_path: Path) -> None:
    reader = Libri2Mix("activity", "mix_clean", unmixed / "LibriSpeech")
    row = (unmixed / "metadata" / "libri2mix_test-clean.csv").read_text().splitlines()[1]
    for text, message in (
        ("mixture_ID,length", "has no column source_1_path, source_1_gain"),
        (f"{HEADER}\n{row.replace('0.5', 'loud')}", "'loud'"),
    ):
        lines(unmixed / "metadata" / "libri2mix_test-clean.csv", text)
        with pytest.raises(UserError, match=message):
            import_corpus(reader, unmixed / "metadata", tmp_path / "sd")
    (mixed / "Libri2Mix" / "wav16k" / "max" / "metadata" / "mixture_dev_mix_both.csv").unlink()
    with pytest.raises(UserError, match=r"metadata has no mixture_dev_mix_both\.csv"):
        import_corpus(Libri2Mix(str(rttm)), mixed, tmp_path / "sd")
    lines(rttm / "test_clean.rttm", "SPEAKER 8226-0026 1 zero 1.0 <NA> <NA> 3536 <NA>")
    with pytest.raises(UserError, match=r"test_clean\.rttm, line 1 is 'SPEAKER 8226-0026 1 zero"):
        read_turns(rttm)
    lines(tmp_path / "none" / "a.rttm", "SPKR-INFO a 1 <NA>")
    with pytest.raises(UserError, match="none has no turns"):
        read_turns(tmp_path / "none")
