"""What stands beside a corpus finds its utterance, or says that it cannot."""

from pathlib import Path

import pytest

from foresay.corpora.manifest import Interval
from foresay.corpora.utterances import ById, Times, Timetable, read_list
from foresay.errors import UserError

GRID = """File type = "ooTextFile"
Object class = "TextGrid"
0 1 <exists> 2
"IntervalTier" "anna - phones" 0 1 1 0 1 "x"
"IntervalTier" "anna - words" 0 1 1 0 0.5 "ex"
"""


def test_whole_ids_come_before_last_parts() -> None:
    told = ById(Path("f"), {"anna/001": 1, "002": 2, "eva/003": 3, "adam/003": 4})
    assert told.get("anna/001") == 1
    assert told.get("anna/002") == 2
    assert told.get("eva/003") == 3
    assert told.get("003") is None  # of whom?
    assert told.get("anna/004") is None
    assert told.unclaimed() == ["adam/003"]
    assert told.get("anna/002") == 2  # the same again


def test_what_may_be_of_two_items_is_refused() -> None:
    told = ById(Path("list.txt"), {"001": 1})
    assert told.get("anna/001") == 1
    with pytest.raises(UserError, match=r"list\.txt: utterance '001' may be 'anna/001' or 'eva/001'"):
        told.get("eva/001")


def test_split_lists(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("103-1240-0000\n\n 103-1240-0001 \n")
    told = read_list(tmp_path / "train.txt")
    assert told.get("103-1240-0001")
    assert not told.get("103-1240-0002")
    assert told.unclaimed() == ["103-1240-0000"]
    with pytest.raises(UserError, match=r"there is no file .*gone\.txt: --split takes NAME=FILE"):
        read_list(tmp_path / "gone.txt")


def test_no_times() -> None:
    timetable = Timetable(Times())
    assert timetable.phone_set is None
    assert timetable.phones("a") is None
    assert timetable.words("a") is None


def test_ctm_files(tmp_path: Path) -> None:
    (tmp_path / "kaldi.ctm").write_text("a 1 0 1 x\n")
    (tmp_path / "words.ctm").write_text("a 1 0 0.5 ex\n")
    timetable = Timetable(Times(ctm=tmp_path / "kaldi.ctm", word_ctm=tmp_path / "words.ctm"))
    assert timetable.phone_set == "kaldi"
    assert timetable.phones("a") == (Interval(0, 1, "x"),)
    assert timetable.words("a") == (Interval(0, 0.5, "ex"),)
    assert [source.source.name for source in timetable.sources] == ["kaldi.ctm", "words.ctm"]


def test_textgrids_are_found_below_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mfa" / "19" / "198"
    folder.mkdir(parents=True)
    (folder / "19-198-0000.TextGrid").write_text(GRID)
    (folder / "19-198-0001.TextGrid").write_text("oops")
    (folder / "19-198-0002.TextGrid").write_text(GRID.replace("phones", "phonemes"))
    timetable = Timetable(Times(textgrids=tmp_path / "mfa"))
    assert timetable.phone_set == "mfa"
    assert timetable.phones("19-198-0000") == (Interval(0, 1, "x"),)
    assert timetable.words("19-198-0000") == (Interval(0, 0.5, "ex"),)
    assert timetable.problems == {}
    assert timetable.phones("19-198-0001") is None
    assert timetable.phones("19-198-0002") is None
    assert timetable.words("19-198-0002") == (Interval(0, 0.5, "ex"),)
    assert timetable.phones("19-198-0003") is None
    problems = list(timetable.problems.values())
    assert "0001.TextGrid is not a TextGrid" in problems[0]
    assert "0002.TextGrid has no tier `phones`; its tiers are phonemes, words" in problems[1]


def test_phones_come_from_one_place(tmp_path: Path) -> None:
    for name in ("a.txt", "a.ctm"):
        (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=r"from one of --phone-files, --textgrids and --ctm, not from .*a\.txt and .*a\.ctm"):
        Timetable(Times(phone_files=tmp_path / "a.txt", ctm=tmp_path / "a.ctm"))


def test_a_file_of_times_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*gone\.ctm, in which the times"):
        Timetable(Times(ctm=tmp_path / "gone.ctm"))
