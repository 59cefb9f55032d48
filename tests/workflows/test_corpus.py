"""Importing a corpus: what is found is written, what cannot be used is reported, and the run goes on."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.manifest import Interval, Item, Manifest
from foresay.corpora.reader import FoundItem, ItemPairs, Reader, Skipped, files
from foresay.corpora.readers.folder import Folder
from foresay.corpora.readers.timit import Timit
from foresay.corpora.utterances import Times
from foresay.errors import UserError
from foresay.locks import exclusive
from foresay.workflows.corpus import check_corpus, corpus_stats, import_corpus


def record(path: Path, seconds: float = 0.5, rate: int = 16_000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, samples, rate)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder of four good recordings of two speakers."""
    record(tmp_path / "source" / "anna" / "a1.wav", 0.5)
    record(tmp_path / "source" / "anna" / "a2.flac", 0.75, rate=48_000, channels=2)
    record(tmp_path / "source" / "eva" / "e1.wav", 1.0, rate=8000)
    record(tmp_path / "source" / "eva" / "e2.ogg", 0.25)
    return tmp_path / "source"


def ids(path: Path) -> list[str]:
    return Manifest.open(path).ids


def test_a_folder(source: Path, tmp_path: Path) -> None:
    found = import_corpus("folder", source, tmp_path / "corpus")
    manifest = Manifest.open(tmp_path / "corpus" / "manifest.jsonl")
    assert manifest.ids == ["anna/a1", "anna/a2", "eva/e1", "eva/e2"]
    assert manifest.durations.tolist() == [0.5, 0.75, 1.0, 0.25]
    assert manifest.sample_rates.tolist() == [16_000, 48_000, 8000, 16_000]
    assert manifest.speakers == ("anna", "eva")
    assert [len(manifest.read(n, 16_000)) for n in range(4)] == manifest.lengths(16_000).tolist() == [8000, 12_000, 16_000, 4000]
    assert not found.skipped
    assert not found.notes
    assert list(found.manifests) == ["manifest"]
    assert found.manifests["manifest"] == corpus_stats(tmp_path / "corpus" / "manifest.jsonl")
    first = json.loads((tmp_path / "corpus" / "manifest.jsonl").read_text().splitlines()[0])
    assert first == {"id": "anna/a1", "audio": "../source/anna/a1.wav", "duration": 0.5, "sample_rate": 16_000, "speaker": "anna"}


def test_what_cannot_be_used_is_skipped_and_the_import_goes_on(source: Path, tmp_path: Path) -> None:
    whole = (source / "anna" / "a1.wav").read_bytes()
    bad = {
        "anna/empty.wav": (b"", "is empty"),
        "anna/noise.mp3": (b"this is not audio", "cannot be read as audio"),
        "anna/cut.wav": (whole[:5000], "is truncated"),
        "anna/phone.m4a": (b"\0\0\0 ftypM4A", "convert it"),
        "eva/short.wav": (b"", "lasts 0.010 s"),
        "eva/e1.aiff": (b"", "another file was given the id eva/e1 already"),
    }
    for name, (content, _) in bad.items():
        (source / name).write_bytes(content)
    record(source / "eva" / "short.wav", 0.01)
    record(source / "eva" / "e1.aiff", 0.5)
    before = import_corpus("folder", source, tmp_path / "corpus")
    found = {path.relative_to(source).as_posix(): reason for path, reason in before.skipped}
    found["eva/e1.aiff"] = found.pop("eva/e1.wav")  # which of both comes second does not matter
    assert set(found) == set(bad)
    assert all(bad[name][1] in reason for name, reason in found.items())
    assert ids(tmp_path / "corpus" / "manifest.jsonl") == ["anna/a1", "anna/a2", "eva/e1", "eva/e2"]


def test_nothing_to_import(source: Path, tmp_path: Path) -> None:
    (source / "documents").mkdir()
    with pytest.raises(UserError, match="found no recordings of Folder in .*documents"):
        import_corpus("folder", source / "documents", tmp_path / "corpus")
    (source / "documents" / "a.wav").touch()
    with pytest.raises(UserError, match=r"none of the 1 files in .*documents can be used\. The first: .*a\.wav is empty"):
        import_corpus("folder", source / "documents", tmp_path / "corpus")
    with pytest.raises(UserError, match="gone is not a folder"):
        import_corpus("folder", source / "gone", tmp_path / "corpus")
    with pytest.raises(UserError, match="--phones must be chosen"):
        import_corpus("timit", source, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_a_second_import_replaces_the_first(source: Path, tmp_path: Path) -> None:
    import_corpus("folder", source, tmp_path / "corpus")
    (source / "eva" / "e2.ogg").unlink()
    import_corpus(Folder("(?P<speaker>..)[.]"), source, tmp_path / "corpus")
    manifest = Manifest.open(tmp_path / "corpus" / "manifest.jsonl")
    assert manifest.ids == ["anna/a1", "anna/a2", "eva/e1"]
    assert manifest.speakers == ("a1", "a2", "e1")


def test_split_lists(source: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a1\na2\ne1\nz9\n")
    (tmp_path / "test.txt").write_text("eva/e2\n")
    found = import_corpus("folder", source, tmp_path / "corpus", splits={"train": tmp_path / "train.txt", "test": tmp_path / "test.txt"})
    assert list(found.manifests) == ["manifest", "train", "test"]
    assert ids(tmp_path / "corpus" / "train.jsonl") == ["anna/a1", "anna/a2", "eva/e1"]
    assert ids(tmp_path / "corpus" / "test.jsonl") == ["eva/e2"]
    assert found.notes == [
        f"of the utterances in {tmp_path / 'train.txt'}, 1 (z9) are not in this corpus",
        "speakers in test: eva",
        "speakers in both train and test: 1 (eva)",
    ]
    again = import_corpus("folder", source, tmp_path / "corpus")
    assert again.notes == [
        f"manifests in {tmp_path / 'corpus'} that are not of this import, perhaps of an earlier one: 2 (test.jsonl, train.jsonl)"
    ]


@pytest.mark.parametrize("name", ["manifest", "a/b", "", ".hidden"])
def test_a_split_is_a_file_name(name: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"a split cannot be called '{name}'"):
        import_corpus("folder", source, tmp_path / "corpus", splits={name: tmp_path / "train.txt"})


def test_phone_files_ctm_and_textgrids(source: Path, tmp_path: Path) -> None:
    (tmp_path / "phones.txt").write_text(f"a1 {'0 ' * 10}{'7 ' * 40}\nnobody 1 2 3\n")
    found = import_corpus("folder", source, tmp_path / "corpus", times=Times(phone_files=tmp_path / "phones.txt"))
    manifest = Manifest.open(tmp_path / "corpus" / "manifest.jsonl")
    assert manifest.phone_set == "phones"
    assert manifest[0].phones == (Interval(0, 0.1, "0"), Interval(0.1, 0.5, "7"))
    assert manifest[1].phones is None
    assert found.manifests["manifest"].with_phones == 1
    assert found.notes == [f"of the utterances in {tmp_path / 'phones.txt'}, 1 (nobody) are not in this corpus"]
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids" / "a1.TextGrid").write_text("oops")
    found = import_corpus("folder", source, tmp_path / "corpus", times=Times(textgrids=tmp_path / "grids"))
    assert found.manifests["manifest"].with_phones == 0
    assert found.notes[0].startswith("utterances without the times that there are: 1 (")


def test_texts_stand_beside_a_corpus(source: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a1 hello there\neva/e2 good bye\ngone whatever\n")
    found = import_corpus("folder", source, tmp_path / "corpus", times=Times(texts=tmp_path / "text"))
    texts = {item.id: item.text for item in Manifest.open(tmp_path / "corpus" / "manifest.jsonl")}
    assert texts == {"anna/a1": "hello there", "anna/a2": None, "eva/e1": None, "eva/e2": "good bye"}
    assert found.notes == [f"of the utterances in {tmp_path / 'text'}, 1 (gone) are not in this corpus"]


def test_timit_brings_its_splits_and_phones(tmp_path: Path) -> None:
    for speaker in ("faem0", "falk0", "falr0", "mcpm0"):
        for sentence in ("sa1", "sx1"):
            record(tmp_path / "timit" / f"dr1-{speaker}" / f"{sentence}.wav")
            (tmp_path / "timit" / f"dr1-{speaker}" / f"{sentence}.phn").write_text("0 4000 h#\n4000 8000 ao\n")
    found = import_corpus(Timit("timit39"), tmp_path / "timit", tmp_path / "corpus")
    assert ids(tmp_path / "corpus" / "test.jsonl") == ["mcpm0-sx1"]
    assert len(ids(tmp_path / "corpus" / "train.jsonl")) == 6
    assert len(ids(tmp_path / "corpus" / "manifest.jsonl")) == 8
    test = Manifest.open(tmp_path / "corpus" / "test.jsonl")
    assert test.phone_set == "timit39"
    assert test.phone_labels() == ("aa", "sil")
    assert "speakers in test: mcpm0" in found.notes


def test_skipped_files_of_a_reader_are_reported(tmp_path: Path) -> None:
    record(tmp_path / "digits" / "3_eva_7.wav")
    record(tmp_path / "digits" / "hello.wav")
    found = import_corpus("digits", tmp_path / "digits", tmp_path / "corpus")
    assert found.skipped == [Skipped(tmp_path / "digits" / "hello.wav", "its name is not DIGIT_SPEAKER_TAKE.wav")]
    assert list(found.manifests) == ["manifest", "train"]


def test_many_files_come_in_order(tmp_path: Path) -> None:
    record(tmp_path / "source" / "0000.wav", 0.05)
    content = (tmp_path / "source" / "0000.wav").read_bytes()
    for n in range(1, 1100):
        (tmp_path / "source" / f"{n:04d}.wav").write_bytes(content)
    import_corpus("folder", tmp_path / "source", tmp_path / "corpus")
    assert ids(tmp_path / "corpus" / "manifest.jsonl") == [f"{n:04d}" for n in range(1100)]


def test_a_fresh_import_passes_the_check(source: Path, tmp_path: Path) -> None:
    import_corpus("folder", source, tmp_path / "corpus")
    report = check_corpus(tmp_path / "corpus" / "manifest.jsonl")
    assert report.unusable == 0
    assert [(finding.item, finding.kind) for finding in report.findings] == [("anna/a2", "channels differ")]


def test_everything_that_was_skipped_is_listed(source: Path, tmp_path: Path) -> None:
    """One path that cannot be used, of whatever kind, does not stop the import."""
    (source / "loop.wav").symlink_to(source / "loop.wav")
    (source / "zero.wav").symlink_to("/dev/zero")
    os.mkfifo(source / "pipe.wav")
    (source / "folder.wav").mkdir()
    (source / "b\udce9b\udce9.wav").write_bytes((source / "anna" / "a1.wav").read_bytes())
    for number in range(30):
        (source / f"empty{number:02}.wav").touch()
    (tmp_path / "train.txt").write_text("a1\nnobody\n")
    found = import_corpus("folder", source, tmp_path / "corpus", splits={"train": tmp_path / "train.txt"})
    assert found.manifests["manifest"].items == 4
    assert found.skipped_list == tmp_path / "corpus" / "skipped.tsv"
    reasons = dict(line.split("\t") for line in found.skipped_list.read_text().splitlines())
    assert len(reasons) == len(found.skipped) + 1 == 35
    assert "is a device or a pipe" in reasons[str(source / "zero.wav")]
    assert "is a device or a pipe" in reasons[str(source / "pipe.wav")]
    assert "cannot be opened (too many levels of symbolic links)" in reasons[str(source / "loop.wav")]
    assert "is not UTF-8" in reasons[f"{source}/b\\udce9b\\udce9.wav"]
    assert reasons[str(tmp_path / "train.txt")] == "utterance 'nobody' is not in this corpus"
    for path in [*source.glob("*.wav"), tmp_path / "train.txt"]:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert import_corpus("folder", source, tmp_path / "corpus").skipped_list is None
    assert not (tmp_path / "corpus" / "skipped.tsv").exists()


def test_what_is_of_another_corpus_is_refused_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    strangers = tmp_path / "list.txt"
    strangers.write_text("x/b1\nx/b2\n")
    message = (
        r"none of the 2 utterances in .*list\.txt is in this corpus\. There they are called 'x/b1', 'x/b2'; here, for example, 'anna/a1'"
    )
    with pytest.raises(UserError, match=message):
        import_corpus("folder", source, tmp_path / "corpus", splits={"train": strangers})
    strangers.write_text("b1 1 0 1 x\n")
    with pytest.raises(UserError, match="none of the 1 utterances"):
        import_corpus("folder", source, tmp_path / "corpus", times=Times(ctm=strangers))
    assert not list((tmp_path / "corpus").glob("*"))


@pytest.mark.parametrize(
    "text",
    [
        "a1\na2\n",
        "anna/a1.wav\r\nanna/a2.flac\r\n",
        "# the training set\n\nsomewhere/else/anna/a1.wav\nsomewhere/else/anna/a2.wav\n",
        "/data/corpus\nanna/a1.wav\t8000\nanna/a2.flac\t12000\n",
        "\ufeffanna/a1\nanna/a2\nanna/a2\n",
    ],
)
def test_a_split_list_means_what_it_plainly_means(text: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(text)
    found = import_corpus("folder", source, tmp_path / "corpus", splits={"train": tmp_path / "train.txt"})
    assert ids(tmp_path / "corpus" / "train.jsonl") == ["anna/a1", "anna/a2"]
    assert not found.notes


def test_equal_names_in_different_folders_are_not_mixed_up(source: Path, tmp_path: Path) -> None:
    record(source / "eva" / "a1.wav", 0.3)
    (tmp_path / "train.txt").write_text("eva/a1\n")
    import_corpus("folder", source, tmp_path / "corpus", splits={"train": tmp_path / "train.txt"})
    assert ids(tmp_path / "corpus" / "train.jsonl") == ["eva/a1"]
    (tmp_path / "train.txt").write_text("a1\n")
    with pytest.raises(UserError, match="utterance 'a1' may be 'anna/a1' or 'eva/a1'"):
        import_corpus("folder", source, tmp_path / "corpus", splits={"train": tmp_path / "train.txt"})


def test_an_item_in_two_splits_is_reported(source: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a1\na2\n")
    (tmp_path / "b.txt").write_text("a2\ne1\n")
    found = import_corpus("folder", source, tmp_path / "corpus", splits={"train": tmp_path / "a.txt", "test": tmp_path / "b.txt"})
    assert "items in both train and test: 1 (anna/a2)" in found.notes


def test_times_of_two_channels_make_two_items(source: Path, tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text("a2 B 0.1 0.2 b\na2 A 0 0.1 a\na1 1 0 0.1 x\n")
    found = import_corpus("folder", source, tmp_path / "corpus", times=Times(ctm=tmp_path / "a.ctm"))
    manifest = Manifest.open(tmp_path / "corpus" / "manifest.jsonl")
    assert manifest.ids == ["anna/a1", "anna/a2-A", "anna/a2-B", "eva/e1", "eva/e2"]
    assert [item.channel for item in manifest] == [None, 0, 1, None, None]
    assert [item.phones for item in manifest][:3] == [
        (Interval(0, 0.1, "x"),), (Interval(0, 0.1, "a"),), (Interval(0.1, 0.1 + 0.2, "b"),)
    ]  # fmt: skip
    assert not found.notes
    (tmp_path / "a.ctm").write_text("a1 B 0.1 0.2 b\na1 A 0 0.1 a\n")  # of a recording with one channel
    found = import_corpus("folder", source, tmp_path / "corpus", times=Times(ctm=tmp_path / "a.ctm"))
    assert found.manifests["manifest"].with_phones == 0
    assert "times of the channels A, B of 'anna/a1', whose recording has 1" in found.notes[0]
    assert found.skipped_list


def test_broken_times_leave_no_manifest(source: Path, tmp_path: Path) -> None:
    for line in ("a1 1 nan 0.1 x", "a1 1 0.2 -0.1 x", "a1 1 -1 2 x", "a1 1 0 inf x"):
        (tmp_path / "a.ctm").write_text(f"a1 1 0 0.1 x\n{line}\n")
        with pytest.raises(UserError, match=r"a\.ctm, line 2 is .*cannot be"):
            import_corpus("folder", source, tmp_path / "corpus", times=Times(ctm=tmp_path / "a.ctm"))
    assert not (tmp_path / "corpus").exists()


@dataclass(frozen=True)
class Folds(Reader):
    """Every recording is tested in a fold of its own; pairs of the first fold stand beside."""

    rows: tuple[tuple[str, ...], ...] = ()

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        for number, path in enumerate(files(source, {".wav", ".flac", ".ogg"})):
            splits = (f"fold{fold}/{'test' if fold == number else 'train'}" for fold in range(2))
            yield FoundItem(Item(path.stem, path, speaker=path.parent.name), tuple(splits))

    def beside(self, source: Path, manifests: Mapping[str, Manifest]) -> Iterator[ItemPairs]:
        assert source.name == "source"
        assert manifests["fold0/test"].ids == ["a1"]
        yield ItemPairs("fold0/trials.txt", ("fold0/test", "fold0/train"), self.rows)


def test_folds_and_pairs(source: Path, tmp_path: Path) -> None:
    rows = (("1", "a1", "a2"), ("0", "a1", "e1"), ("0", "a1", "e9"), ("0", "e1", "a2"))
    found = import_corpus(Folds(rows), source, tmp_path / "corpus")
    assert list(found.manifests) == ["manifest", "fold0/train", "fold0/test", "fold1/train", "fold1/test"]
    assert ids(tmp_path / "corpus" / "fold1" / "train.jsonl") == ["a1", "e1", "e2"]
    assert found.notes == [f"speakers in both fold{fold}/train and fold{fold}/test: 1 (anna)" for fold in range(2)]
    assert found.pairs == {"fold0/trials.txt": 2}
    assert (tmp_path / "corpus" / "fold0" / "trials.txt").read_text() == "1 a1 a2\n0 a1 e1\n"
    assert [one.reason for one in found.skipped] == [
        f"the pair '{pair}' has an item that cannot be used" for pair in ("0 a1 e9", "0 e1 a2")
    ]
    (tmp_path / "own.txt").write_text("a1\n")
    assert not import_corpus(Folds(rows), source, tmp_path / "corpus", splits={"own": tmp_path / "own.txt"}).pairs
    with pytest.raises(UserError, match=r"none of the 1 pairs for trials\.txt is of items that can be used"):
        import_corpus(Folds(rows[2:3]), source, tmp_path / "corpus")


@dataclass(frozen=True)
class Parts(Reader):
    """A fifth of a second of each recording."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        for path in files(source, {".wav", ".flac", ".ogg"}):
            yield FoundItem(Item(path.stem, path, start=0.1, duration=0.2))


def test_a_part_of_a_recording_must_be_in_it(source: Path, tmp_path: Path) -> None:
    found = import_corpus(Parts(), source, tmp_path / "corpus")
    assert [one.reason for one in found.skipped] == [f"{source / 'eva' / 'e2.ogg'} lasts 0.250 s, but e2 ends at 0.300 s"]
    part = Manifest.open(tmp_path / "corpus" / "manifest.jsonl")[2]
    assert (part.id, part.start, part.duration) == ("e1", 0.1, 0.2)


def test_two_do_not_import_into_one_folder_at_once(source: Path, tmp_path: Path) -> None:
    with exclusive(tmp_path / "corpus", "Wait"), pytest.raises(UserError, match="is in use by process"):
        import_corpus("folder", source, tmp_path / "corpus")
    assert not list((tmp_path / "corpus").iterdir())
    import_corpus("folder", source, tmp_path / "corpus")
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["manifest.jsonl"]
