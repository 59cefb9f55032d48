"""Audio SNIPS on a tiny copy of its layout."""

from pathlib import Path

import pytest

from foresay.corpora.readers.audio_snips import VOICES, with_slots
from foresay.errors import UserError
from foresay.workflows.corpus import import_corpus
from reference.tiny_corpora import clip, items, lines

COMMANDS = {
    "train": "BOS PLAY THE BEATLES , NOW EOS\tO O artist artist O O PlayMusic",
    "valid": "BOS PLAY A & B EOS\tO O artist artist artist PlayMusic",
    "test": "BOS ABBA EOS\tO artist PlayMusic",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make one command of each voice of each split, and one of a voice of another split."""
    texts = []
    for split, voices in VOICES.items():
        for voice in (*voices, "Salli" if split == "test" else "Brian"):
            texts.append(f"{voice}-snips-{split}-0 {COMMANDS[split]}")
            clip(tmp_path / "source" / split / f"{voice}-snips-{split}-0.wav")
    lines(tmp_path / "source" / "all.iob.snips.txt", *texts)
    return tmp_path / "source"


def test_commands_and_their_slots(source: Path, tmp_path: Path) -> None:
    found = import_corpus("audio-snips", source, tmp_path / "sf")
    assert {name: statistics.speakers for name, statistics in found.manifests.items() if name != "manifest"} == VOICES
    assert found.manifests["manifest"].items == 19
    firsts = {split: items(tmp_path / "sf", split)[0] for split in VOICES}
    assert {split: (first.id, first.text, first.target, first.label) for split, first in firsts.items()} == {
        "train": ("Ivy-snips-train-0", "PLAY THE BEATLES NOW", "PLAY B-artist THE BEATLES E-artist NOW", "PlayMusic"),
        "valid": ("Aditi-snips-valid-0", "PLAY A AND B", "PLAY B-artist A AND B E-artist", "PlayMusic"),
        "test": ("Brian-snips-test-0", "ABBA", "B-artist ABBA E-artist", "PlayMusic"),
    }
    assert not found.skipped


@pytest.mark.parametrize(
    "words, slots, target",
    [
        ("a b c", "O O O", "a b c"),
        ("a b c", "x x y", "B-x a b E-x B-y c E-y"),
        ("a b c", "x O x", "B-x a E-x b B-x c E-x"),
        ("a b c", "B-x I-x I-x", "B-x a b c E-x"),
        ("a b c", "B-x B-x I-x", "B-x a E-x B-x b c E-x"),
        ("a b c", "I-x B-y O", "B-x a E-x B-y b E-y c"),
        ("", "", ""),
    ],
)
def test_where_slots_begin_and_end(words: str, slots: str, target: str) -> None:
    assert with_slots(words.split(), slots.split()) == target


def test_a_missing_list(source: Path, tmp_path: Path) -> None:
    (source / "all.iob.snips.txt").unlink()
    with pytest.raises(UserError, match=r"source has no all\.iob\.snips\.txt"):
        import_corpus("audio-snips", source, tmp_path / "sf")


def test_what_is_missing_or_no_command_is_skipped(source: Path, tmp_path: Path) -> None:
    (source / "test" / "Emma-snips-test-0.wav").unlink()
    clip(source / "test" / "Emma-snips-test-9.wav")
    with (source / "all.iob.snips.txt").open("a") as file:
        file.write("Ivy-snips-train-1 BOS A B EOS\tO O PlayMusic\nIvy-snips-train-2 A EOS\tO O PlayMusic\nx\n")
    found = import_corpus("audio-snips", source, tmp_path / "sf")
    assert [(one.path.name, one.reason.split(" ")[0]) for one in found.skipped] == [
        *(("all.iob.snips.txt", start) for start in ("'Ivy-snips-train-1", "'Ivy-snips-train-2", "'x'")),
        ("Emma-snips-test-9.wav", "no"),
        ("Emma-snips-test-0.wav", "Emma-snips-test-0"),
    ]
    assert found.manifests["test"].speakers == ("Brian", "Raveena", "Russell")


def test_a_split_without_its_voices_is_refused(source: Path, tmp_path: Path) -> None:
    for voice in VOICES["valid"]:
        (source / "valid" / f"{voice}-snips-valid-0.wav").unlink()
    with pytest.raises(UserError, match=r"valid has no clips of Aditi, Amy, Geraint, Nicole that all\.iob\.snips\.txt lists"):
        import_corpus("audio-snips", source, tmp_path / "sf")


def test_what_is_not_used_may_have_other_slots(source: Path, tmp_path: Path) -> None:
    texts = source / "all.iob.snips.txt"
    lines(
        texts,
        *(line.replace("O artist", "O odd") if line.startswith("Brian-snips-train") else line for line in texts.read_text().splitlines()),
    )
    assert "odd" in texts.read_text()
    assert import_corpus("audio-snips", source, tmp_path / "sf").manifests["test"].items == 4


def test_a_slot_without_training_is_refused(source: Path, tmp_path: Path) -> None:
    texts = source / "all.iob.snips.txt"
    texts.write_text(texts.read_text().replace("ABBA EOS\tO artist", "ABBA EOS\tO B-album"))
    with pytest.raises(UserError, match="has no commands for training with album, which stand in others"):
        import_corpus("audio-snips", source, tmp_path / "sf")
