"""Speech Commands on a tiny copy of its layout."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from foresay.corpora.readers.speech_commands import KEYWORDS, SILENCE, UNKNOWN, SpeechCommands, _even
from foresay.errors import UserError
from foresay.workflows.corpus import Imported, import_corpus
from reference.tiny_corpora import clip, items, lines

OTHERS = ("bed", "cat")
SPEAKERS = {"train": ("aa", "ab", "ac"), "valid": ("ba",), "test": ("ca",)}
NOISES = {"running_tap": 40, "white_noise": 20}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make 3 clips of each word for training, 1 for validation and 1 for testing, 60 s of noise, and the official test set."""
    source = tmp_path_factory.mktemp("made")
    clips, tests = source / "speech_commands_v0.01", source / "speech_commands_test_set_v0.01"
    for speakers in SPEAKERS.values():
        for speaker in speakers:
            for word in (*KEYWORDS, *OTHERS):
                clip(clips / word / f"{speaker}_nohash_0.wav")
    for name, seconds in NOISES.items():
        clip(clips / "_background_noise_" / f"{name}.wav", seconds)
    for split, name in (("valid", "validation_list.txt"), ("test", "testing_list.txt")):
        lines(clips / name, *(f"{word}/{speaker}_nohash_0.wav" for word in (*KEYWORDS, *OTHERS) for speaker in SPEAKERS[split]))
    for label in (*KEYWORDS, UNKNOWN, SILENCE):
        clip(tests / label / "ca_nohash_0.wav")
    return source


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "source"))


@pytest.fixture(scope="module")
def imported(made: Path) -> Imported:
    return import_corpus("speech-commands", made, made.parent / "ks")


def classes(imported: Imported) -> dict[str, Counter[str]]:
    return {name: Counter(found.labels) for name, found in imported.manifests.items() if name != "manifest"}


def test_all_twelve_classes_are_equally_large(imported: Imported) -> None:
    labels = (*KEYWORDS, UNKNOWN, SILENCE)
    assert classes(imported) == {
        "train": Counter(dict.fromkeys(labels, 3)),
        "valid": Counter(dict.fromkeys(labels, 1)),
        "test": Counter(dict.fromkeys(labels, 1)),
    }
    assert imported.manifests["manifest"].items == 5 * 12 + 12 + 3 + 1  # with the testing list's, and the other unknown words
    assert not imported.skipped
    assert imported.notes == ["speakers in test: ca"]


def test_what_a_clip_is(imported: Imported) -> None:
    folder = imported.manifests["manifest"].path.parent
    first = next(item for item in items(folder, "train") if item.label == "down")
    assert (first.id, first.speaker, first.text, first.start) == ("down/aa_nohash_0", "aa", "down", 0.0)
    assert {item.text for item in items(folder, "train") if item.label == UNKNOWN} == {"bed", "cat"}
    assert {item.speaker for item in items(folder, "valid")} == {"ba", None}
    assert [item.id for item in items(folder, "test") if item.label == UNKNOWN] == [f"test/{UNKNOWN}/ca_nohash_0"]


def test_silence_is_cut_out_of_the_noises_and_held_out_of_their_ends(imported: Imported) -> None:
    """Noises of 40 and 20 s leave room for the starts of 35 + 17 s in training, of 3 + 1 s in validation."""
    folder = imported.manifests["manifest"].path.parent
    parts = {split: [item for item in items(folder, split) if item.label == SILENCE] for split in ("train", "valid")}
    assert [(item.audio.stem, item.start) for item in parts["train"] if item.audio] == [
        ("running_tap", 8.666),
        ("running_tap", 26.0),
        ("white_noise", 8.333),
    ]
    assert [(item.id, item.start, item.duration) for item in parts["valid"]] == [(f"{SILENCE}/running_tap-038000", 38.0, 1.0)]


def test_parts_of_noise_are_at_equal_distances() -> None:
    """Rooms of 3 s and 1 s for four starts: one a second, half a second from the ends."""
    rooms = [(Path("a"), 5.0, 8.0), (Path("b"), 10.0, 11.0)]
    assert _even(rooms, 4) == [(Path("a"), 5.5), (Path("a"), 6.5), (Path("a"), 7.5), (Path("b"), 10.5)]


def test_all_of_the_unknown(source: Path, tmp_path: Path) -> None:
    imported = import_corpus(SpeechCommands(all_unknown=True), source, tmp_path / "ks")
    assert not imported.skipped
    found = classes(imported)
    assert {split: (counts["yes"], counts[UNKNOWN], counts[SILENCE]) for split, counts in found.items()} == {
        "train": (3, 6, 36 + 18),
        "valid": (1, 2, 4 + 2),
        "test": (1, 1, 1),
    }


@pytest.mark.parametrize("name", ["validation_list.txt", "testing_list.txt"])
def test_a_missing_list(name: str, source: Path, tmp_path: Path) -> None:
    (source / "speech_commands_v0.01" / name).unlink()
    with pytest.raises(UserError, match=rf"speech_commands_v0.01 has no {name}"):
        import_corpus("speech-commands", source, tmp_path / "ks")
    assert not (tmp_path / "ks").exists()


@pytest.mark.parametrize(
    "folder, message",
    [
        ("speech_commands_v0.01/stop", "speech_commands_v0.01 has no clips of stop for train"),
        ("speech_commands_test_set_v0.01/_silence_", "speech_commands_test_set_v0.01 has no clips of _silence_ for test"),
        ("speech_commands_v0.01/_background_noise_", "_background_noise_ has no noise of which a second could be cut for train"),
        ("speech_commands_test_set_v0.01", "speech_commands_test_set_v0.01 is not a folder"),
    ],
)
def test_an_empty_class_is_refused(folder: str, message: str, source: Path, tmp_path: Path) -> None:
    shutil.rmtree(source / folder)
    with pytest.raises(UserError, match=message):
        import_corpus("speech-commands", source, tmp_path / "ks")


def test_what_is_listed_and_missing_or_damaged_is_skipped(source: Path, tmp_path: Path) -> None:
    clips = source / "speech_commands_v0.01"
    (clips / "bed" / "ba_nohash_0.wav").unlink()
    (clips / "_background_noise_" / "pink_noise.wav").write_bytes(b"RIFF")
    clip(clips / "_background_noise_" / "short.wav", 0.5)
    clip(source / "speech_commands_test_set_v0.01" / "bed" / "ca_nohash_0.wav")
    found = import_corpus("speech-commands", source, tmp_path / "ks")
    assert [(one.path.name, one.reason.split(",")[0]) for one in found.skipped] == [
        ("ba_nohash_0.wav", "bed/ba_nohash_0.wav stands in validation_list.txt"),
        ("ca_nohash_0.wav", "'bed' is none of the twelve classes"),
        ("pink_noise.wav", found.skipped[2].reason.split(",")[0]),
    ]
    assert "pink_noise.wav" in found.skipped[2].reason
    assert (tmp_path / "ks" / "skipped.tsv").read_text().count("\n") == 3
    assert classes(found)["train"][SILENCE] == 3
