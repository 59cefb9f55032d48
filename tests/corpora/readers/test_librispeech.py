"""LibriSpeech."""

from pathlib import Path

import pytest

from foresay.corpora.reader import FoundItem, Skipped
from foresay.corpora.readers.librispeech import LibriSpeech
from foresay.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for subset, chapter, clips in (
        ("train-clean-100", "19/198", 2),
        ("train-clean-100", "909/131041", 1),
        ("test-other", "1688/142285", 1),
    ):
        folder = tmp_path / subset / chapter
        folder.mkdir(parents=True)
        for n in range(clips):
            (folder / f"{chapter.replace('/', '-')}-{n:04d}.flac").touch()
    (tmp_path / "SPEAKERS.TXT").touch()
    texts = "19-198-0000 NORTHANGER ABBEY\n19-198-0001 THIS LITTLE WORK\n19-198-0009 NO AUDIO\n"
    (tmp_path / "train-clean-100" / "19" / "198" / "19-198.trans.txt").write_text(texts)
    return tmp_path


def items(source: Path) -> dict[str, tuple[str | None, str | None, tuple[str, ...]]]:
    found = [one for one in LibriSpeech().find(source) if isinstance(one, FoundItem)]
    assert all(one.item.language == "en" for one in found)
    return {item.id: (item.speaker, item.text, splits) for item, splits in found}


def test_a_subset(root: Path) -> None:
    assert items(root / "train-clean-100") == {
        "19-198-0000": ("19", "NORTHANGER ABBEY", ()),
        "19-198-0001": ("19", "THIS LITTLE WORK", ()),
        "909-131041-0000": ("909", None, ()),  # not transcribed
    }


def test_several_subsets_are_splits(root: Path) -> None:
    assert items(root) == {
        "1688-142285-0000": ("1688", None, ("test-other",)),
        "19-198-0000": ("19", "NORTHANGER ABBEY", ("train-clean-100",)),
        "19-198-0001": ("19", "THIS LITTLE WORK", ("train-clean-100",)),
        "909-131041-0000": ("909", None, ("train-clean-100",)),
    }


def test_subsets_are_chosen_for_splits(root: Path) -> None:
    reader = LibriSpeech(train=("train-clean-100",), test=("test-other",))
    found = [one for one in reader.find(root) if isinstance(one, FoundItem)]
    assert [(item.id, splits) for item, splits in found] == [
        ("19-198-0000", ("train",)),
        ("19-198-0001", ("train",)),
        ("909-131041-0000", ("train",)),
        ("1688-142285-0000", ("test",)),
    ]
    assert [one.item.id for one in LibriSpeech(valid=("test-other",)).find(root) if isinstance(one, FoundItem)] == ["1688-142285-0000"]
    with pytest.raises(UserError, match="dev-clean is not a folder"):
        list(LibriSpeech(valid=("dev-clean",)).find(root))


def test_one_speaker(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [speaker for speaker, _, _ in items(root / "train-clean-100" / "19").values()] == ["19", "19"]
    monkeypatch.chdir(root / "train-clean-100" / "19")
    assert [speaker for speaker, _, _ in items(Path()).values()] == ["19", "19"]


def test_texts_that_contradict_or_are_none_are_reported_and_not_taken(root: Path) -> None:
    chapter = root / "train-clean-100" / "19" / "198"
    (chapter / "19-198b.trans.txt").write_text("19-198-0000 ANOTHER TEXT\n19-198-0001\tTHIS LITTLE WORK\n")
    (chapter / "19-198c.trans.txt").write_bytes("19-198-0009 A\n19-198-0009 CAFÉ\n".encode("latin-1"))
    assert items(root)["19-198-0000"] == ("19", None, ("train-clean-100",))
    assert items(root)["19-198-0001"] == ("19", "THIS LITTLE WORK", ("train-clean-100",))
    first, second = [one.reason for one in LibriSpeech().find(root) if isinstance(one, Skipped)]
    assert "19-198b.trans.txt, line 1: another text of 19-198-0000 than before" in first
    assert "19-198c.trans.txt, line 2: byte 0xc9 is not UTF-8" in second


def test_a_text_may_hold_what_python_takes_for_the_end_of_a_line(root: Path) -> None:
    (root / "train-clean-100" / "19" / "198" / "19-198.trans.txt").write_text("19-198-0000 NORTHANGER\u2028ABBEY\x85!\n", encoding="utf-8")
    assert items(root)["19-198-0000"][1] == "NORTHANGER\u2028ABBEY\x85!"
