"""TIMIT: the folding of Lee and Hon written out, the labels in seconds, and who is held out."""

from pathlib import Path

import pytest

from foresay.corpora.manifest import Interval, Item
from foresay.corpora.reader import FoundItem, Skipped
from foresay.corpora.readers.timit import PhoneSet, Timit, folded
from foresay.errors import UserError

# 61 -> 48 -> 39
TABLE = """
aa aa aa|ae ae ae|ah ah ah|ao ao aa|aw aw aw|ax ax ah|ax-h ax ah|axr er er|ay ay ay|b b b|bcl vcl sil|ch ch ch|d d d|dcl vcl sil|dh dh dh
dx dx dx|eh eh eh|el el l|em m m|en en n|eng ng ng|epi epi sil|er er er|ey ey ey|f f f|g g g|gcl vcl sil|h# sil sil|hh hh hh|hv hh hh
ih ih ih|ix ix ih|iy iy iy|jh jh jh|k k k|kcl cl sil|l l l|m m m|n n n|ng ng ng|nx n n|ow ow ow|oy oy oy|p p p|pau sil sil|pcl cl sil
q|r r r|s s s|sh sh sh|t t t|tcl cl sil|th th th|uh uh uh|uw uw uw|ux uw uw|v v v|w w w|y y y|z z z|zh zh sh
"""
ROWS = [row.split() for row in TABLE.strip().replace("\n", "|").split("|")]

PHN = "0 3200 h#\n3200 4000 q\n4000 4800 ax-h\n4800 6400 tcl\n6400 8000 t\n"
SPEAKERS = ("faem0", "falk0", "falr0", "fvmh0", "madc0", "maeb0", "marc0", "mcpm0")


def sentence(folder: Path, name: str, *, upper: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"wav": "", "phn": PHN, "wrd": "4000 8000 at\n", "txt": "0 8000 At last.\n"}
    for kind, text in texts.items():
        file = f"{name}.{kind}"
        (folder / (file.upper() if upper else file)).write_text(text)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Return a folder laid out like the sample of the NLTK project."""
    for n, speaker in enumerate(SPEAKERS):
        for name in ("sa1", "sa2", f"sx{n}"):
            sentence(tmp_path / f"dr{n // 2 + 1}-{speaker}", name)
    return tmp_path


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Return a folder laid out like the CD."""
    for split, speaker in (("TRAIN", "FCJF0"), ("TEST", "MDAB0"), ("TEST", "FAKS0")):
        for name in ("sa1", "si1"):
            sentence(tmp_path / "TIMIT" / split / "DR1" / speaker, name, upper=True)
    return tmp_path / "TIMIT"


def items(source: Path, reader: Timit) -> dict[str, Item]:
    return {one.item.id: one.item for one in reader.find(source) if isinstance(one, FoundItem)}


def splits(source: Path, reader: Timit) -> dict[str, set[str]]:
    """Return the ids of each split; those in none under ``."""
    members: dict[str, set[str]] = {}
    for one in reader.find(source):
        assert isinstance(one, FoundItem)
        for name in one.splits or ("",):
            members.setdefault(name, set()).add(one.item.id)
    return members


def test_the_table_has_the_sizes_that_the_sets_are_named_after() -> None:
    assert len({row[0] for row in ROWS}) == 61
    assert len({row[1] for row in ROWS if row[1:]}) == 48
    assert len({row[2] for row in ROWS if row[1:]}) == 39


@pytest.mark.parametrize("phone_set, column", [("timit61", 0), ("timit48", 1), ("timit39", 2)])
def test_folding(phone_set: PhoneSet, column: int) -> None:
    phones = tuple(Interval(n, n + 1, row[0]) for n, row in enumerate(ROWS))
    expected = [Interval(n, n + 1, row[column]) for n, row in enumerate(ROWS) if row[column:]]
    assert list(folded(phones, phone_set)) == expected


def test_the_phones_must_be_chosen(sample: Path) -> None:
    with pytest.raises(UserError, match=r"--phones must be chosen \(timit61, timit48, timit39\)"):
        next(Timit().find(sample))


def test_a_sentence(sample: Path) -> None:
    assert items(sample, Timit("timit39"))["fvmh0-sx3"] == Item(
        id="fvmh0-sx3",
        audio=sample / "dr2-fvmh0" / "sx3.wav",
        speaker="fvmh0",
        language="en",
        text="At last.",
        phones=(Interval(0, 0.2, "sil"), Interval(0.25, 0.3, "ah"), Interval(0.3, 0.4, "sil"), Interval(0.4, 0.5, "t")),
        words=(Interval(0.25, 0.5, "at"),),
    )


def test_every_fourth_speaker_is_held_out_without_the_sentences_that_all_read(sample: Path) -> None:
    found = splits(sample, Timit("timit61"))
    assert found["test"] == {"fvmh0-sx3", "mcpm0-sx7"}
    assert found[""] == {"fvmh0-sa1", "fvmh0-sa2", "mcpm0-sa1", "mcpm0-sa2"}
    assert len(found["train"]) == 18


def test_test_speakers_and_shared_sentences_can_be_chosen(sample: Path) -> None:
    assert splits(sample, Timit("timit61", test_speakers=("FALK0",)))["test"] == {"falk0-sx1"}
    assert splits(sample, Timit("timit61", test_speakers=("falk0,marc0",)))["test"] == {"falk0-sx1", "marc0-sx6"}
    assert splits(sample, Timit("timit61", ("falk0",), "both"))["test"] == {"falk0-sa1", "falk0-sa2", "falk0-sx1"}
    none = splits(sample, Timit("timit61", ("falk0",), "none"))
    assert len(none["train"]) == 7
    assert len(none[""]) == 16


def test_a_speaker_who_is_not_there(sample: Path) -> None:
    with pytest.raises(UserError, match=r"--test-speakers nobody: not here\. There are faem0, falk0"):
        next(Timit("timit61", ("nobody", "falk0")).find(sample))


def test_the_official_split_and_upper_case(original: Path) -> None:
    found = splits(original, Timit("timit48"))
    assert found == {"train": {"fcjf0-sa1", "fcjf0-si1"}, "test": {"mdab0-si1", "faks0-si1"}, "": {"mdab0-sa1", "faks0-sa1"}}
    item = items(original, Timit("timit48"))["mdab0-si1"]
    assert item.text == "At last."
    assert [phone.label for phone in item.phones or ()] == ["sil", "ax", "cl", "t"]


def test_a_part_of_the_official_test_set(original: Path) -> None:
    found = splits(original, Timit("timit48", ("mdab0",), "both"))
    assert found["test"] == {"mdab0-sa1", "mdab0-si1"}
    assert found["train"] == {"fcjf0-sa1", "fcjf0-si1"}
    assert found[""] == {"faks0-sa1", "faks0-si1"}


def test_a_sentence_with_broken_labels_is_skipped(sample: Path) -> None:
    (sample / "dr1-faem0" / "sx0.phn").write_text("0 3200 h#\n3200 late q\n")
    skipped = [one for one in Timit("timit39").find(sample) if isinstance(one, Skipped)]
    assert [one.path.name for one in skipped] == ["sx0.wav"]
    assert "sx0.phn, line 2 is '3200 late q', not `first-sample last-sample label`" in skipped[0].reason


def test_audio_without_labels_is_found_all_the_same(sample: Path) -> None:
    for kind in ("phn", "wrd", "txt"):
        (sample / "dr1-faem0" / f"sx0.{kind}").unlink()
    item = items(sample, Timit("timit39"))["faem0-sx0"]
    assert item.phones is item.words is item.text is None


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("sx0.PHN", "0 3200 ah\n", "differ about one sentence"),
        ("sx0.txt", "0 3200 One.\n0 3200 Two.\n", "holds 2 texts"),
        ("sx0.phn", "0 3200 h#\n3200 1600 q\n", "line 2 is '3200 1600 q'"),
        ("sx0.phn", "-5 3200 h#\n", "line 1 is '-5 3200 h#'"),
    ],
)
def test_labels_that_contradict_are_not_taken(name: str, text: str, message: str, sample: Path) -> None:
    (sample / "dr1-faem0" / name).write_text(text)
    skipped = [one for one in Timit("timit39").find(sample) if isinstance(one, Skipped)]
    assert [one.path.name for one in skipped] == ["sx0.wav"]
    assert message in skipped[0].reason


def test_labels_may_be_in_any_encoding(sample: Path) -> None:
    text = "0 3200 Caf\u00e9.\n"
    for encoding in ("latin-1", "utf-8", "utf-8-sig", "utf-16"):
        (sample / "dr1-faem0" / "sx0.txt").write_bytes(text.encode(encoding))
        assert items(sample, Timit("timit39"))["faem0-sx0"].text == "Caf\u00e9."
