"""The digits."""

from pathlib import Path

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Skipped
from foresay.corpora.readers.digits import Digits


def test_names_say_everything(tmp_path: Path) -> None:
    for name in ("7_george_4.wav", "0_nicolas_5.wav", "3_theo_49.wav", "about.wav", "11_theo_1.wav", "LICENSE"):
        (tmp_path / name).touch()
    assert list(Digits().find(tmp_path)) == [
        FoundItem(Item("0_nicolas_5", tmp_path / "0_nicolas_5.wav", speaker="nicolas", language="en", text="zero", label="0"), ("train",)),
        Skipped(tmp_path / "11_theo_1.wav", "its name is not DIGIT_SPEAKER_TAKE.wav"),
        FoundItem(Item("3_theo_49", tmp_path / "3_theo_49.wav", speaker="theo", language="en", text="three", label="3"), ("train",)),
        FoundItem(Item("7_george_4", tmp_path / "7_george_4.wav", speaker="george", language="en", text="seven", label="7"), ("test",)),
        Skipped(tmp_path / "about.wav", "its name is not DIGIT_SPEAKER_TAKE.wav"),
    ]
