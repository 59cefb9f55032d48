"""Times of phones and words: the label of a moment against a loop, and each format against a file written out by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresay.corpora.alignments import labels_at, read_ctm, read_phone_file, read_textgrid
from foresay.corpora.manifest import Interval
from foresay.errors import UserError

VOCABULARY = {"a": 0, "b": 1, "c": 2}

TIERS = {
    "phones": (Interval(0.0, 0.5, "h#"), Interval(0.75, 1.25, 'say "ah"')),
    "words": (Interval(0.5, 2.0, "7"),),
}

LONG = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "h#"
        intervals [2]:
            xmin = 0.5
            xmax = 0.75
            text = ""
        intervals [3]:
            xmin = 0.75
            xmax = 1.25
            text = "say \"\"ah\"\""
        intervals [4]:
            xmin = 1.25
            xmax = 2
            text = " "
    item [2]:
        class = "TextTier"
        name = "events"
        xmin = 0
        xmax = 2
        points: size = 1
        points [1]:
            number = 0.4
            mark = "click"
    item [3]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 5e-1
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 2
            text = "7"
"""

SHORT = """\
File type = "ooTextFile"
Object class = "TextGrid"

0
2
<exists>
3
"IntervalTier"
"phones"
0
2
4
0
0.5
"h#"
0.5
0.75
""
0.75
1.25
"say \"\"ah\"\""
1.25
2
" "
"TextTier"
"events"
0
2
1
0.4
"click"
"IntervalTier"
"words"
0
2
2
0
0.5
""
0.5
2
"7"
"""


@given(
    bounds=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from("abcx")), max_size=6),
    times=st.lists(st.integers(0, 300), max_size=20),
)
def test_the_label_of_a_moment(bounds: list[tuple[int, int, str]], times: list[int]) -> None:
    intervals = [Interval(min(a, b) / 10, max(a, b) / 10, label) for a, b, label in bounds]
    moments = np.array(sorted(times)) / 100
    expected = []
    for time in moments:
        labels = [VOCABULARY.get(label, -1) for start, end, label in intervals if start <= time < end]
        expected.append(labels[-1] if labels else -1)
    found = labels_at(intervals, moments, VOCABULARY)
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_an_interval_holds_its_start_and_not_its_end() -> None:
    intervals = [Interval(0.1, 0.2, "a"), Interval(0.2, 0.3, "b")]
    assert labels_at(intervals, np.array([0.0, 0.1, 0.15, 0.2, 0.3]), VOCABULARY).tolist() == [-1, 0, 0, 1, -1]


@pytest.mark.parametrize("text", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_textgrids(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_bytes(text.encode(encoding))
    assert read_textgrid(tmp_path / "a.TextGrid") == TIERS


@pytest.mark.parametrize("text", ["", "hello", LONG[:700], LONG.replace("TextGrid", "Sound"), LONG.replace("0.75", '"0.75"')])
def test_what_is_no_textgrid_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(text)
    with pytest.raises(UserError, match=r"a\.TextGrid is not a TextGrid, or ends too early"):
        read_textgrid(tmp_path / "a.TextGrid")


def test_the_oldest_short_form(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(SHORT.replace('File type = "ooTextFile"\nObject class = ', '"ooTextFile short"\n'))
    assert read_textgrid(tmp_path / "a.TextGrid") == TIERS


def test_times_that_cannot_be_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(SHORT.replace("1.25\n2\n", "1.25\n1\n"))
    with pytest.raises(UserError, match=r"a\.TextGrid .*an interval from 1\.25 to 1 s cannot be"):
        read_textgrid(tmp_path / "a.TextGrid")


def test_two_tiers_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(SHORT.replace('"words"', '"phones"'))
    with pytest.raises(UserError, match="has 2 tiers called 'phones'"):
        read_textgrid(tmp_path / "a.TextGrid")


def test_ctm(tmp_path: Path) -> None:
    text = ";; a comment\nu2 1 0.50 0.25 b 0.9\nu1 A 0 1 x <unk>\nu2 1 0.25 0.25 a NA lex anna\n\nu1 B 1 0 y\n"
    expected = {
        "u1": {"A": (Interval(0, 1, "x"),), "B": (Interval(1, 1, "y"),)},
        "u2": {"1": (Interval(0.25, 0.5, "a"), Interval(0.5, 0.75, "b"))},
    }
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "a.ctm").write_text(text, encoding=encoding)
        assert read_ctm(tmp_path / "a.ctm") == expected


def test_the_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_bytes("u1 1 0 1 a\nu1 1 1 1 \xe9\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"a\.ctm, line 2: byte 0xe9 is not UTF-8"):
        read_ctm(tmp_path / "a.ctm")
    (tmp_path / "a.txt").write_bytes("u1 1 2\n".encode("utf-16-le"))
    with pytest.raises(UserError, match=r"a\.txt, line 1 holds a byte 0"):
        read_phone_file(tmp_path / "a.txt")


def test_an_utterance_stands_once_in_a_phone_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("u1 1 2\nu1 3 4\n")
    with pytest.raises(UserError, match="line 2 is the second of utterance 'u1'"):
        read_phone_file(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "line", ["u1 1 0.5 0.25", "u1 1 half 0.25 a", "0.5 0.75 a", "u1 1 0.5 0.25 good morning", "u1 1 0 1 <ALT_BEGIN> <ALT>"]
)
def test_a_wrong_ctm_line_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text(f"u1 1 0.5 0.25 a\n{line}\n")
    with pytest.raises(UserError, match=rf"a\.ctm, line 2 is '{line}'; a CTM line is `utterance channel start duration label`"):
        read_ctm(tmp_path / "a.ctm")


def test_phone_files(tmp_path: Path) -> None:
    (tmp_path / "phones.txt").write_text("103-1240-0000 0 0 0 12 12 40 0\n\n103-1240-0001 7\n")
    assert read_phone_file(tmp_path / "phones.txt") == {
        "103-1240-0000": (Interval(0.0, 0.03, "0"), Interval(0.03, 0.05, "12"), Interval(0.05, 0.06, "40"), Interval(0.06, 0.07, "0")),
        "103-1240-0001": (Interval(0.0, 0.01, "7"),),
    }


def test_a_phone_file_gives_the_label_of_every_frame(tmp_path: Path) -> None:
    phones = np.random.default_rng(0).integers(0, 3, 5000)
    (tmp_path / "phones.txt").write_text(f"u {' '.join(map(str, phones))}\n")
    intervals = read_phone_file(tmp_path / "phones.txt")["u"]
    centers = (160 * np.arange(5000) + 79) / 16_000  # of CPC's frames
    assert np.array_equal(labels_at(intervals, centers, {"0": 0, "1": 1, "2": 2}), phones)


@pytest.mark.parametrize("line", ["u1 3 4 five", "u1", "u1 3 -4", "u1 0.5 1.5"])
def test_a_wrong_phone_file_line_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "phones.txt").write_text(f"u0 1 2\n{line}\n")
    with pytest.raises(UserError, match=rf"phones\.txt, line 2 begins '{line}.*a whole number for each 10 ms"):
        read_phone_file(tmp_path / "phones.txt")


@pytest.mark.parametrize("number", ["2.5e-01", "2.5E-01", "+0.25", ".25", "25e-2", "0.025e+1", "2.5e-1 ! 9 a comment"])
def test_every_way_to_write_a_number_in_a_textgrid(number: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(SHORT.replace('0.5\n"h#"\n0.5\n', f'{number}\n"h#"\n{number}\n'))
    assert read_textgrid(tmp_path / "x")["phones"][0] == Interval(0, 0.25, "h#")


@pytest.mark.parametrize("number", ["0,5", "0.5s", "nan", "1.2.3", "0.5e", "1e+-3", "0x1"])
def test_what_is_no_number_in_a_textgrid_is_never_taken_for_another(number: str, tmp_path: Path) -> None:
    for old in ('0.5\n"h#"', '0.4\n"click"'):
        (tmp_path / "x").write_text(SHORT.replace(old, old.replace(old.partition("\n")[0], number)))
        with pytest.raises(UserError, match="not a TextGrid"):
            read_textgrid(tmp_path / "x")
