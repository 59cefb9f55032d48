"""Readers: found by the name of their file, here or elsewhere."""

import os
from pathlib import Path

import pytest

from foresay.corpora.reader import FoundItem, files, find_reader, list_readers, spread
from foresay.corpora.readers.cifar import Cifar
from foresay.corpora.readers.digits import Digits
from foresay.corpora.readers.folder import Folder
from foresay.corpora.readers.librispeech import LibriSpeech
from foresay.corpora.readers.timit import Timit
from foresay.errors import UserError

READERS = {"cifar": Cifar, "digits": Digits, "folder": Folder, "librispeech": LibriSpeech, "timit": Timit}


def test_the_file_name_is_the_registry() -> None:
    assert READERS.keys() <= list_readers().keys()
    assert all(list_readers().values())
    assert {name: find_reader(name) for name in READERS} == READERS


def test_another_name() -> None:
    with pytest.raises(UserError, match=r'there is no corpus \'timt\': did you mean "timit"\? .*`folder`'):
        find_reader("timt")
    with pytest.raises(UserError, match="there is no corpus 'batches'"):
        find_reader("batches")


def test_a_reader_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "corpus.py").write_text("""
from dataclasses import dataclass
from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, files

@dataclass(frozen=True)
class Corpus(Reader):
    def find(self, source):
        for path in files(source, {".wav"}):
            yield FoundItem(Item(path.stem, audio=path))
""")
    (tmp_path / "a.wav").touch()
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = find_reader("lab.corpus")().find(tmp_path)
    assert isinstance(found, FoundItem)
    assert found.item.id == "a"


def test_files_are_found_in_order_whatever_the_case_but_for_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.WAV", "a/x.flac", "c.wav", ".hidden/a.wav", "b/._1.wav", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in files(tmp_path, {".wav", ".flac"})] == [
        "c.wav",
        "a/x.flac",
        "b/1.WAV",
        "b/2.wav",
    ]


def test_links_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.wav").touch()
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "corpus")
    assert [path.name for path in files(tmp_path / "corpus", {".wav"})] == ["a.wav"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone is not a folder"):
        list(files(tmp_path / "gone", {".wav"}))


def test_a_folder_that_may_not_be_looked_into_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.wav").touch()
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert [path.name for path in files(tmp_path, {".wav"})] == ["a.wav", "closed"]


def test_some_at_equal_distances() -> None:
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread(range(3), 3) == [0, 1, 2]
    assert spread(range(3), 9) == [0, 1, 2]
