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
    found = ById(Path("f"), {"anna/001": 1, "002": 2, "eva/003": 3, "adam/003": 4})
    assert found.get("anna/001") == 1
    assert found.get("anna/002") == 2
    assert found.get("eva/003") == 3
    assert found.get("003") is None  # of whom?
    assert found.get("anna/004") is None
    assert found.unclaimed() == ["adam/003"]
    assert found.get("anna/002") == 2  # the same again


def test_what_may_be_of_two_items_is_refused() -> None:
    found = ById(Path("list.txt"), {"001": 1})
    assert found.get("anna/001") == 1
    with pytest.raises(UserError, match=r"list\.txt: utterance '001' may be 'anna/001' or 'eva/001'"):
        found.get("eva/001")


def test_split_lists(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("103-1240-0000\n\n 103-1240-0001 \n")
    found = read_list(tmp_path / "train.txt")
    assert found.get("103-1240-0001")
    assert not found.get("103-1240-0002")
    assert found.unclaimed() == ["103-1240-0000"]
    with pytest.raises(UserError, match=r"there is no file .*gone\.txt: --split takes NAME=FILE"):
        read_list(tmp_path / "gone.txt")


def test_names_that_only_end_alike_are_of_others() -> None:
    found = ById(Path("f"), {"eva/001.wav": 1, "data/anna/002.flac": 2})
    assert found.get("anna/001") is None
    assert found.get("eva/001") == 1
    assert found.get("anna/002") == 2


def phones_of(timetable: Timetable, item_id: str) -> tuple[Interval, ...] | None:
    (side,) = timetable.sides(item_id)
    return side.phones


def words_of(timetable: Timetable, item_id: str) -> tuple[Interval, ...] | None:
    (side,) = timetable.sides(item_id)
    return side.words


@pytest.mark.parametrize(
    "channels, recorded, made",
    [
        ("1", 1, [("", None)]),
        ("A", 1, [("", None)]),
        ("1", 2, [("", None)]),  # what aligners write who know of no channels
        ("B", 2, [("-A", 0), ("-B", 1)]),
        ("AB", 2, [("-A", 0), ("-B", 1)]),
        ("12", 2, [("-1", 0), ("-2", 1)]),
        ("01", 2, [("-0", 0), ("-1", 1)]),
        ("AB", 1, [("", None)]),
        ("AC", 2, [("", None)]),
        ("1A", 2, [("", None)]),
    ],
)
def test_channels(channels: str, recorded: int, made: list[tuple[str, int | None]], tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text("".join(f"a {channel} 0 1 {channel}\n" for channel in channels))
    timetable = Timetable(Times(ctm=tmp_path / "a.ctm"))
    sides = timetable.sides("a", recorded)
    assert [(side.name, side.channel) for side in sides] == made
    for side in sides:
        if side.channel is not None:
            assert (side.phones is None) == (side.name[1:] not in channels)
            assert not side.phones or side.phones[0].label == side.name[1:]
    assert bool(timetable.problems) == (channels in {"AC", "1A"} or (channels, recorded) == ("AB", 1))


def test_two_speakers_in_a_textgrid_are_not_one(tmp_path: Path) -> None:
    two = GRID.replace("exists> 2", "exists> 3") + '"IntervalTier" "eva - phones" 0 1 1 0 1 "y"\n'
    (tmp_path / "a.TextGrid").write_text(two)
    (tmp_path / "b.TextGrid").write_text(two.replace("eva", "anna"))
    timetable = Timetable(Times(textgrids=tmp_path))
    assert phones_of(timetable, "a") is None
    assert phones_of(timetable, "b") is None
    first, second = timetable.problems.values()
    assert "phones of several speakers (anna - phones, eva - phones)" in first
    assert "has 2 tiers called 'anna - phones'" in second


def test_two_textgrids_of_one_utterance_are_refused(tmp_path: Path) -> None:
    for name in ("a.TextGrid", "a.textgrid"):
        (tmp_path / name).write_text(GRID)
    with pytest.raises(UserError, match="are of the same utterance"):
        Timetable(Times(textgrids=tmp_path))


def test_files_of_times_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text(";; nothing\n")
    (tmp_path / "grids").mkdir()
    for times in (Times(ctm=tmp_path / "a.ctm"), Times(textgrids=tmp_path / "grids")):
        with pytest.raises(UserError, match="holds no times"):
            Timetable(times)
    (tmp_path / "list.txt").write_text("# nobody\n")
    with pytest.raises(UserError, match="lists nothing"):
        read_list(tmp_path / "list.txt")


def test_no_times() -> None:
    timetable = Timetable(Times())
    assert timetable.phone_set is None
    assert phones_of(timetable, "a") is None
    assert words_of(timetable, "a") is None


def test_ctm_files(tmp_path: Path) -> None:
    (tmp_path / "kaldi.ctm").write_text("a 1 0 1 x\n")
    (tmp_path / "words.ctm").write_text("a 1 0 0.5 ex\n")
    timetable = Timetable(Times(ctm=tmp_path / "kaldi.ctm", word_ctm=tmp_path / "words.ctm"))
    assert timetable.phone_set == "kaldi"
    assert phones_of(timetable, "a") == (Interval(0, 1, "x"),)
    assert words_of(timetable, "a") == (Interval(0, 0.5, "ex"),)
    assert [source.source.name for source in timetable.sources] == ["kaldi.ctm", "words.ctm"]


def test_textgrids_are_found_below_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mfa" / "19" / "198"
    folder.mkdir(parents=True)
    (folder / "19-198-0000.TextGrid").write_text(GRID)
    (folder / "19-198-0001.TextGrid").write_text("oops")
    (folder / "19-198-0002.TextGrid").write_text(GRID.replace("phones", "phonemes"))
    timetable = Timetable(Times(textgrids=tmp_path / "mfa"))
    assert timetable.phone_set == "mfa"
    assert phones_of(timetable, "19-198-0000") == (Interval(0, 1, "x"),)
    assert words_of(timetable, "19-198-0000") == (Interval(0, 0.5, "ex"),)
    assert timetable.problems == {}
    assert phones_of(timetable, "19-198-0001") is None
    assert phones_of(timetable, "19-198-0002") is None
    assert words_of(timetable, "19-198-0002") == (Interval(0, 0.5, "ex"),)
    assert phones_of(timetable, "19-198-0003") is None
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


def test_texts_of_festival_kaldi_and_ljspeech(tmp_path: Path) -> None:
    path = tmp_path / "texts"
    lines = (
        '( ru_01 "Она читала, (тихо)." )',
        "",
        "wavs/LJ01.wav|In 1455|In fourteen fifty-five",
        "19-198-0000 NORTHANGER ABBEY",
        "silent",
    )
    path.write_text("\n".join(lines))
    timetable = Timetable(Times(texts=path))
    assert timetable.text("ru_01") == "Она читала, (тихо)."
    assert timetable.text("wavs/LJ01") == "In fourteen fifty-five"
    assert timetable.text("train/19/19-198-0000") == "NORTHANGER ABBEY"
    assert timetable.text("silent") is None
    assert [source.names for source in timetable.sources] == [["ru_01", "wavs/LJ01.wav", "19-198-0000"]]


@pytest.mark.parametrize(
    "text, message",
    [("a one\na two\n", "line 2: another text of a than before"), ("a\n\nb\n", "holds no texts: --texts"), (None, "there is no file")],
)
def test_files_of_texts_that_are_none_are_refused(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "texts"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        Timetable(Times(texts=path))
