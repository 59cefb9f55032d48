"""Any folder of audio."""

from pathlib import Path

import pytest

from foresay.corpora.reader import FoundItem, Skipped
from foresay.corpora.readers.folder import Folder
from foresay.errors import UserError


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    root = tmp_path / "recordings"
    for name in ("intro.flac", "anna/monday/001.wav", "anna/tuesday/001.WAV", "eva/a.b.mp3", "eva/phone.m4a", "eva/notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(source: Path, pattern: str | None = None) -> dict[str, str | None]:
    return {one.item.id: one.item.speaker for one in Folder(pattern).find(source) if isinstance(one, FoundItem)}


def test_the_speaker_is_the_folder(recordings: Path) -> None:
    assert found(recordings) == {
        "intro": "recordings",
        "anna/monday/001": "anna/monday",
        "anna/tuesday/001": "anna/tuesday",
        "eva/a.b": "eva",
        "eva/phone": "eva",  # the importer says that it cannot be read
    }


def test_the_speaker_is_what_the_pattern_finds(recordings: Path) -> None:
    assert found(recordings, r"^(?P<speaker>[^/]+)/") == {
        "anna/monday/001": "anna",
        "anna/tuesday/001": "anna",
        "eva/a.b": "eva",
        "eva/phone": "eva",
    }


def test_what_the_pattern_does_not_fit_is_skipped(recordings: Path) -> None:
    skipped = [one for one in Folder(r"^(?P<speaker>\w+)/").find(recordings) if isinstance(one, Skipped)]
    assert [(one.path.name, one.reason) for one in skipped] == [
        ("intro.flac", r"the speaker pattern ^(?P<speaker>\w+)/ does not fit intro.flac")
    ]


def test_the_language_is_that_of_all(recordings: Path) -> None:
    assert {one.item.language for one in Folder(language="ru").find(recordings) if isinstance(one, FoundItem)} == {"ru"}


@pytest.mark.parametrize(
    "pattern, message", [("(?P<speaker>", "is not a regular expression"), ("(.*)/", "lacks the group that is the speaker")]
)
def test_a_wrong_pattern_is_refused(pattern: str, message: str, recordings: Path) -> None:
    with pytest.raises(UserError, match=message):
        list(Folder(pattern).find(recordings))
