"""VoxCeleb1 on a tiny copy of its layout."""

from collections import Counter
from pathlib import Path

import pytest

from foresay.corpora.readers.voxceleb1 import TRIALS, VoxCeleb1, draw_trials
from foresay.errors import UserError
from foresay.workflows.corpus import import_corpus
from reference.tiny_corpora import clip, items, lines

VIDEOS = ("vidA", "vidB")
DEV = [f"id1000{n}/{video}/00001" for n in range(1, 7) for video in VIDEOS]
TEST = [f"id1027{n}/{video}/00001" for n in range(2) for video in VIDEOS]
OFFICIAL = ["1 id10270/vidA/00001.wav id10270/vidB/00001.wav", "0 id10270/vidA/00001.wav id10271/vidA/00001.wav"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for part, names in (("dev", DEV), ("test", TEST)):
        for name in names:
            clip(tmp_path / "source" / part / "wav" / f"{name}.wav")
    lines(tmp_path / "source" / "veri_test2.txt", *OFFICIAL)
    marks = "112113311231" + "1213"
    lines(tmp_path / "source" / "iden_split.txt", *(f"{mark} {name}.wav" for mark, name in zip(marks, DEV + TEST, strict=True)))
    return tmp_path / "source"


def test_identification(source: Path, tmp_path: Path) -> None:
    clip(source / "dev" / "wav" / "id10001" / "vidC" / "00001.wav")
    found = import_corpus(VoxCeleb1("sid"), source, tmp_path / "sid")
    assert {name: statistics.items for name, statistics in found.manifests.items()} == {"manifest": 17, "train": 9, "test": 4, "valid": 3}
    first = items(tmp_path / "sid", "valid")[0]
    assert (first.id, first.speaker) == ("id10002/vidA/00001", "id10002")
    assert first.audio
    assert first.audio.is_file()
    assert not found.pairs
    assert sorted(path.name for path in (tmp_path / "sid").iterdir()) == ["manifest.jsonl", "test.jsonl", "train.jsonl", "valid.jsonl"]


def test_verification(source: Path, tmp_path: Path) -> None:
    found = import_corpus(VoxCeleb1("asv", valid_speakers=2), source, tmp_path / "asv")
    speakers = {name: statistics.speakers for name, statistics in found.manifests.items() if name != "manifest"}
    assert speakers == {
        "train": ("id10002", "id10003", "id10005", "id10006"),
        "valid": ("id10001", "id10004"),
        "test": ("id10270", "id10271"),
    }
    assert [item.id for item in items(tmp_path / "asv", "test")] == [TEST[0], TEST[1], TEST[2]]  # TEST[3] is in no trial
    assert found.manifests["manifest"].items == 16
    assert (tmp_path / "asv" / "test-trials.txt").read_text() == "".join(line.replace(".wav", "") + "\n" for line in OFFICIAL)
    trials = [line.split() for line in (tmp_path / "asv" / "valid-trials.txt").read_text().splitlines()]
    assert {frozenset(both) for mark, *both in trials if mark == "1"} == {frozenset(DEV[:2]), frozenset(DEV[6:8])}
    assert {frozenset(both) for mark, *both in trials if mark == "0"} <= {frozenset((a, b)) for a in DEV[:2] for b in DEV[6:8]}
    assert found.pairs == {"valid-trials.txt": len(trials), "test-trials.txt": 2}
    assert not any("both" in note for note in found.notes)


def test_as_published_there_is_no_validation(source: Path, tmp_path: Path) -> None:
    found = import_corpus(VoxCeleb1("asv", valid_speakers=0), source, tmp_path / "asv")
    assert list(found.manifests) == ["manifest", "train", "test"]
    assert len(found.manifests["train"].speakers) == 6
    assert list(found.pairs) == ["test-trials.txt"]


def test_trials_are_drawn_evenly() -> None:
    ids = [f"s{speaker}/v{video}/{clip}" for speaker in range(8) for video in range(3) for clip in range(4)]
    trials = draw_trials(ids)
    counts = Counter(mark for mark, _, _ in trials)
    assert len({frozenset(both) for _, *both in trials}) == len(trials)
    for mark, one, other in trials:
        same = one.split("/")[0] == other.split("/")[0]
        assert mark == str(int(same))
        assert not same or one.split("/")[1] != other.split("/")[1]
    assert 0.6 * TRIALS * len(ids) < counts["1"] <= counts["0"] <= TRIALS * len(ids)
    assert draw_trials(ids[::-1]) == trials
    partners = Counter(name.split("/")[0] for mark, *both in trials if mark == "0" for name in both)
    assert max(partners.values()) < 1.5 * min(partners.values())


@pytest.mark.parametrize("name", ["veri_test2.txt", "iden_split.txt"])
def test_a_missing_list(name: str, source: Path, tmp_path: Path) -> None:
    (source / name).unlink()
    with pytest.raises(UserError, match=rf"source has no {name} or .*: was the corpus unpacked there whole"):
        import_corpus(VoxCeleb1("asv" if name == "veri_test2.txt" else "sid", 2), source, tmp_path / "corpus")


@pytest.mark.parametrize("line", ["4 a/b/c.wav", "a/b/c.wav", "1 a/c.wav"])
def test_a_line_of_the_identification_that_is_none(line: str, source: Path, tmp_path: Path) -> None:
    lines(source / "iden_split.txt", line)
    with pytest.raises(UserError, match=f"holds '{line}', not `1 SPEAKER/VIDEO/FILE.wav`"):
        import_corpus(VoxCeleb1("sid"), source, tmp_path / "corpus")


@pytest.mark.parametrize("line", ["2 a/b/c.wav a/b/d.wav", "1 a/b/c.wav b/b/d.wav", "0 a/b/c.wav a/b/d.wav", "1 a/b/c.wav", "x"])
def test_a_trial_that_is_none(line: str, source: Path, tmp_path: Path) -> None:
    lines(source / "veri_test2.txt", line)
    with pytest.raises(UserError, match=f"holds '{line}', not `1 FILE FILE` of one speaker or `0 FILE FILE` of two"):
        import_corpus(VoxCeleb1("asv", 2), source, tmp_path / "corpus")


def test_a_trial_with_an_unknown_file_is_refused(source: Path, tmp_path: Path) -> None:
    lines(source / "veri_test2.txt", *OFFICIAL, "1 id10271/vidA/00001.wav id10271/vidC/00007.wav")
    with pytest.raises(UserError, match=r"a trial names id10271/vidC/00007\.wav, and .* has no such file"):
        import_corpus(VoxCeleb1("asv", 2), source, tmp_path / "asv")
    assert not (tmp_path / "asv").exists()


def test_a_trial_with_a_damaged_file_is_left_out_and_listed(source: Path, tmp_path: Path) -> None:
    (source / "test" / "wav" / "id10271" / "vidA" / "00001.wav").write_bytes(b"")
    found = import_corpus(VoxCeleb1("asv", 2), source, tmp_path / "asv")
    assert found.pairs["test-trials.txt"] == 1
    assert [one.path.name for one in found.skipped] == ["00001.wav", "test-trials.txt"]
    assert f"the pair '0 {TEST[0]} {TEST[2]}' has an item that cannot be used" in (tmp_path / "asv" / "skipped.tsv").read_text()


def test_a_speaker_without_training_is_refused(source: Path, tmp_path: Path) -> None:
    lines(source / "iden_split.txt", f"1 {DEV[0]}.wav", f"3 {DEV[2]}.wav")
    with pytest.raises(UserError, match="has no clips of id10002 for training"):
        import_corpus(VoxCeleb1("sid"), source, tmp_path / "sid")


def test_what_is_listed_and_missing_is_skipped(source: Path, tmp_path: Path) -> None:
    (source / "dev" / "wav" / f"{DEV[0]}.wav").unlink()
    found = import_corpus(VoxCeleb1("sid"), source, tmp_path / "sid")
    assert [one.path for one in found.skipped] == [source / f"{DEV[0]}.wav"]
    assert found.manifests["train"].items == 8


@pytest.mark.parametrize("reader", [VoxCeleb1(), VoxCeleb1("asv", 1), VoxCeleb1("asv", -1)])
def test_what_must_be_chosen(reader: VoxCeleb1, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--task must be chosen"):
        import_corpus(reader, source, tmp_path / "corpus")
    with pytest.raises(UserError, match="has 6 speakers besides those of the trials, of which 6 are for validation"):
        import_corpus(VoxCeleb1("asv", 40), source, tmp_path / "corpus")
