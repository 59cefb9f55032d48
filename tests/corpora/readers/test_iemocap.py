"""IEMOCAP on a tiny copy of its layout."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.workflows.corpus import Imported, import_corpus
from reference.tiny_corpora import clip, items, lines

EMOTIONS = ("neu", "hap", "exc", "ang", "sad", "fru", "xxx")
HEAD = ("% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", "")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a dialogue of 14 utterances in each session: every emotion by both speakers."""
    source = tmp_path_factory.mktemp("made")
    for session in range(1, 6):
        folder, dialogue = source / f"Session{session}", f"Ses0{session}F_impro01"
        names = [f"{dialogue}_{speaker}{n:03}" for speaker in "FM" for n in range(len(EMOTIONS))]
        judged = [f"[{n}.5000 - {n}.9000]\t{name}\t{EMOTIONS[n % 7]}\t[2.5, 2.5, 2.5]" for n, name in enumerate(names)]
        lines(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", *HEAD, *judged, "C-E2:\tNeutral;\t()")
        lines(folder / "dialog" / "EmoEvaluation" / f"._{dialogue}.txt", "a Macintosh's")
        lines(folder / "dialog" / "EmoEvaluation" / "Categorical" / f"{dialogue}_e1.txt", judged[0])
        for name in names:
            clip(folder / "sentences" / "wav" / dialogue / f"{name}.wav")
    return source


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "source"))


@pytest.fixture(scope="module")
def imported(made: Path) -> Imported:
    return import_corpus("iemocap", made, made.parent / "er")


def test_four_classes_and_excited_is_happy(imported: Imported) -> None:
    assert imported.manifests["fold1/test"].labels == {"angry": 2, "happy": 4, "neutral": 2, "sad": 2}
    assert imported.manifests["manifest"].labels == {"angry": 10, "fru": 10, "happy": 20, "neutral": 10, "sad": 10, "xxx": 10}
    assert not imported.skipped


def test_each_session_is_tested_in_one_fold(imported: Imported) -> None:
    folder = imported.manifests["manifest"].path.parent
    tested = Counter[str]()
    for fold in range(1, 6):
        splits = {split: {item.id for item in items(folder, f"fold{fold}/{split}")} for split in ("train", "valid", "test")}
        assert {split: len(ids) for split, ids in splits.items()} == {"train": 32, "valid": 8, "test": 10}
        assert imported.manifests[f"fold{fold}/valid"].labels == {"angry": 1, "happy": 3, "neutral": 2, "sad": 2}
        assert len(splits["train"] | splits["valid"] | splits["test"]) == 50
        assert {name[:5] for name in splits["test"]} == {f"Ses0{fold}"}
        assert f"Ses0{fold}" not in {name[:5] for name in splits["train"] | splits["valid"]}
        tested.update(splits["test"])
    assert len(tested) == 50


def test_the_speaker_is_who_speaks(imported: Imported) -> None:
    folder = imported.manifests["manifest"].path.parent
    assert {item.id[:-3]: item.speaker for item in items(folder, "fold2/test")} == {
        "Ses02F_impro01_F": "Ses02F",
        "Ses02F_impro01_M": "Ses02M",
    }


def test_a_missing_session(source: Path, tmp_path: Path) -> None:
    shutil.rmtree(source / "Session3")
    with pytest.raises(UserError, match="Session3/dialog/EmoEvaluation is not a folder"):
        import_corpus("iemocap", source, tmp_path / "er")
    assert not (tmp_path / "er").exists()


def test_an_empty_class_is_refused(source: Path, tmp_path: Path) -> None:
    judgements = source / "Session2" / "dialog" / "EmoEvaluation" / "Ses02F_impro01.txt"
    judgements.write_text(judgements.read_text().replace("\tsad\t", "\txxx\t"))
    with pytest.raises(UserError, match="fold2/test would have no utterances that are sad"):
        import_corpus("iemocap", source, tmp_path / "er")


def test_what_was_judged_and_is_missing_is_skipped(source: Path, tmp_path: Path) -> None:
    (source / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / "Ses01F_impro01_F000.wav").unlink()
    found = import_corpus("iemocap", source, tmp_path / "er")
    assert [one.path.stem for one in found.skipped] == ["Ses01F_impro01_F000"]
    assert found.manifests["fold1/test"].items == 9
