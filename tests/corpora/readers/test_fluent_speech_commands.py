"""Fluent Speech Commands on a tiny copy of its layout."""

from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.workflows.corpus import import_corpus
from reference.tiny_corpora import clip, items, lines

HEADER = ",path,speakerId,transcription,action,object,location"
ROWS = {
    "train": ["0,{}/s1/a1.wav,s1,Change language,change language,none,none", '1,{}/s1/a2.wav,s1,"Lights, on",activate,lights,kitchen'],
    "valid": ["0,{}/s2/b1.wav,s2,Switch on the lights,activate,lights,none"],
    "test": ["0,{}/s3/c1.wav,s3,Kitchen lights on,activate,lights,kitchen"],
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for split, rows in ROWS.items():
        written = [row.format("wavs/speakers") for row in rows]
        lines(tmp_path / "source" / "data" / f"{split}_data.csv", HEADER, *written)
        for row in written:
            clip(tmp_path / "source" / row.split(",")[1])
    return tmp_path / "source"


def test_commands_and_their_intents(source: Path, tmp_path: Path) -> None:
    found = import_corpus("fluent-speech-commands", source, tmp_path / "ic")
    assert {
        split: [(one.id, one.speaker, one.text, one.label) for one in items(tmp_path / "ic", split)] for split in ("train", "valid", "test")
    } == {
        "train": [
            ("s1/a1", "s1", "Change language", "change language | none | none"),
            ("s1/a2", "s1", "Lights, on", "activate | lights | kitchen"),
        ],
        "valid": [("s2/b1", "s2", "Switch on the lights", "activate | lights | none")],
        "test": [("s3/c1", "s3", "Kitchen lights on", "activate | lights | kitchen")],
    }
    assert not found.skipped


def test_a_missing_list(source: Path, tmp_path: Path) -> None:
    (source / "data" / "valid_data.csv").unlink()
    with pytest.raises(UserError, match=r"data has no valid_data\.csv: was the corpus unpacked there whole"):
        import_corpus("fluent-speech-commands", source, tmp_path / "ic")


def test_other_columns(source: Path, tmp_path: Path) -> None:
    lines(source / "data" / "test_data.csv", "path,speaker,transcription,action,object,place", "a.wav,s3,x,y,z,w")
    with pytest.raises(UserError, match=r"test_data\.csv has no column speakerId, location; its first line is 'path,speaker,"):
        import_corpus("fluent-speech-commands", source, tmp_path / "ic")
    lines(source / "data" / "test_data.csv", HEADER, "0,a.wav,s3,x,y")
    with pytest.raises(UserError, match=r"test_data\.csv, line 2 has fewer columns than the first"):
        import_corpus("fluent-speech-commands", source, tmp_path / "ic")


def test_a_class_without_training_is_refused(source: Path, tmp_path: Path) -> None:
    lines(source / "data" / "test_data.csv", HEADER, "0,wavs/speakers/s3/c1.wav,s3,Bring shoes,bring,lights,lights")
    with pytest.raises(UserError, match="c1.wav with the action 'bring' and the location 'lights', of which train_data.csv has none"):
        import_corpus("fluent-speech-commands", source, tmp_path / "ic")


def test_what_is_listed_and_missing_is_skipped(source: Path, tmp_path: Path) -> None:
    (source / "wavs/speakers/s1/a2.wav").unlink()
    found = import_corpus("fluent-speech-commands", source, tmp_path / "ic")
    assert [one.path.name for one in found.skipped] == ["a2.wav"]
    assert "there is no file" in found.skipped[0].reason
    assert [one.id for one in items(tmp_path / "ic", "train")] == ["s1/a1"]
    assert "a2.wav" in (tmp_path / "ic" / "skipped.tsv").read_text()
