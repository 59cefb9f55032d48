"""Recognizers side by side: Table 11 and Table 12 on the page, escaped, with sound; groups and confusions as figures."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import soundfile

from foresay.evaluation.recognition.kept import Group
from foresay.reports.comparisons import compare
from foresay.reports.error_analysis import Analysis, analyses, differently_written, table_11, utterances, wrong_words
from foresay.reports.errors import errors_section
from foresay.reports.page import page
from foresay.reports.phone_confusions import by_class, folded, shares
from foresay.reports.record import read_records
from foresay.statistics.word_errors import Confusion, confusion
from reference.html_checker import Checker
from reference.recognized_run import SPOKEN, write_recognized

GREEDY = ("TE CAT SAT", "ANY ONE MAY <SEA> IT", "A & B C")
NGRAM = ("THE CAT SAT", "ANYONE MAY <SEE> IT TODAY", "A B")


def read(*folders: Path) -> list[Analysis]:
    return analyses(compare(read_records(folders)))


def section(*folders: Path) -> str:
    return errors_section(compare(read_records(folders)))


def test_protocols_of_one_model_stand_side_by_side(tmp_path: Path) -> None:
    (one,) = read(write_recognized(tmp_path / "asr", {"greedy": GREEDY, "ngram": NGRAM}, training={"THE": 3}))
    assert (one.title, one.corpus, one.unit) == ("Word errors", "corpus/test", "word")
    assert [(system.name, system.color) for system in one.systems] == [("asr, greedy", 0), ("asr, ngram", 1)]
    assert list(one.systems[0].rates) == ["word error rate", "deletion error rate"]
    assert table_11(one.systems, "substitutions", 1) == (["asr, greedy"], [["<SEE> -> <SEA> (1)"]])
    assert table_11(one.systems, "deletions", 9) == (["asr, greedy", "asr, ngram"], [["TODAY (1)", "& (1)"]])
    assert table_11(one.systems, "splits", 9) == (["asr, greedy"], [["ANYONE -> ANY ONE (1)"]])
    assert table_11(one.systems, "joins", 9) == ([], [])
    head, rows = wrong_words(one.systems[0])
    assert head == ["word", "spoken", "wrong", "share", "in training"]
    assert rows[2:] == [["THE", 1, 1, "100%", 3], ["TODAY", 1, 1, "100%", "never"]]


def test_runs_keep_their_own_colors(tmp_path: Path) -> None:
    folders = [write_recognized(tmp_path / name, {"greedy": GREEDY}) for name in ("one", "two")]
    (one,) = read(*folders)
    assert [(system.name, system.color) for system in one.systems] == [("one", 0), ("two", 1)]


def test_transcripts_are_of_the_same_utterances_lowest_rate_first(tmp_path: Path) -> None:
    (one,) = read(write_recognized(tmp_path / "asr", {"greedy": GREEDY, "ngram": NGRAM}))
    found = utterances(one.systems, 6)
    assert [each.id for each in found] == ["u0", "u2", "u1"]  # 1/6; 1/3 each; 4/10 of them and of equals the first
    assert found[2].reference == "anyone may <see> it today"
    assert [line.text for line in found[2].transcripts] == ["ANY ONE may <SEA> it *", "anyone may <see> it today"]
    assert [line.errors for line in found[2].transcripts] == [4, 0]
    assert [each.sound is None for each in found] == [False, True, False]
    assert [each.id for each in utterances(one.systems, 6, playable=True)] == ["u0", "u1"]
    assert [each.id for each in utterances(one.systems, 1)] == ["u2"]


def test_where_no_sound_was_kept_transcripts_are_shown_without(tmp_path: Path) -> None:
    folder = write_recognized(tmp_path / "asr", {"greedy": GREEDY}, sounds=())
    assert len(utterances(read(folder)[0].systems, 6, playable=True)) == 3
    assert "<audio" not in section(folder)


def test_utterances_that_one_system_lacks_are_left_out(tmp_path: Path) -> None:
    few = write_recognized(tmp_path / "few", {"greedy": GREEDY[:1]}, spoken=SPOKEN[:1], sounds=())
    other = write_recognized(tmp_path / "other", {"greedy": GREEDY[1:]}, spoken=("", *SPOKEN[2:]))
    every = write_recognized(tmp_path / "every", {"greedy": GREEDY})
    assert [each.id for each in utterances(read(every, few)[0].systems, 6)] == ["u0"]
    assert utterances(read(few, other)[0].systems, 6) == []
    assert "Transcripts" not in section(few, other)


def test_other_normalizations_are_reported(tmp_path: Path) -> None:
    upper = write_recognized(tmp_path / "upper", {"greedy": GREEDY})
    lower = write_recognized(tmp_path / "lower", {"greedy": GREEDY}, spoken=[text.lower() for text in SPOKEN])
    other = write_recognized(tmp_path / "other", {"greedy": GREEDY}, spoken=["THE CAT'S AT", *SPOKEN[1:]])
    assert not differently_written(read(upper, lower)[0].systems)
    assert differently_written(read(upper, other)[0].systems)
    assert "their rates do not compare" in section(upper, other)


def test_the_page_is_valid_escaped_and_plays(tmp_path: Path) -> None:
    folder = write_recognized(tmp_path / "<asr>", {"greedy": GREEDY, "ngram": NGRAM})
    html = page(read_records([folder]))
    checker = Checker(html)
    assert len(checker.ids) == len(set(checker.ids))
    assert "What is recognized wrongly" in checker.text
    assert "anyone may <see> it today" in checker.text
    assert "<see>" not in html
    assert '<span class="wrong">ANY ONE</span> may <span class="wrong">&lt;SEA&gt;</span> it <span class="wrong">*</span>' in html
    assert "4 of 5" in checker.text
    sounds = [soundfile.read(io.BytesIO(base64.b64decode(found))) for found in re.findall(r"data:audio/flac;base64,([^\"]*)", html)]
    assert [(len(sound), rate) for sound, rate in sounds] == [(800, 8000)] * 2
    np.testing.assert_allclose(sounds[1][0], 1000 / 32768)
    assert page(read_records([folder])) == html


def test_groups_are_drawn_for_all_systems(tmp_path: Path) -> None:
    groups = {
        "length": [Group("3", 6, 2, 0.2, 0.4), Group("4 to 12", 5, 1, None, None)],
        "frequency": [Group("0", 3, 1, None, None), Group("1,000 and more", 3, 1, 0.1, 0.2)],
        "speaker": [Group(f"speaker {number}", 3, 1, None, None) for number in range(3)],
    }
    folder = write_recognized(tmp_path / "asr", {"greedy": GREEDY}, groups=groups)
    html = section(folder)
    for text in ("4 to 12", "1,000 and more", "By how often training had the word", "speaker 2", "By length of the utterance (words)"):
        assert f">{text}<" in html
    assert "--train-corpus" not in html
    assert "--train-corpus" in section(write_recognized(tmp_path / "other", {"greedy": GREEDY}))


def test_what_has_no_error_and_no_groups(tmp_path: Path) -> None:
    html = section(write_recognized(tmp_path / "asr", {"greedy": SPOKEN}, groups={}))
    assert "There is no error." in html
    assert "Where the errors are" not in html


def test_what_recognizes_nothing_has_no_section(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("")
    assert section(tmp_path) == ""
    assert "What is recognized wrongly" not in page(read_records([tmp_path]))


def test_phones_are_neither_split_nor_joined_and_their_confusions_are_drawn(tmp_path: Path) -> None:
    folder = write_recognized(tmp_path / "asr", {"greedy": ("k a w", "sil")}, spoken=("k aw", "sil"), unit="phone")
    (one,) = read(folder)
    assert table_11(one.systems, "splits", 9) == ([], [])
    assert table_11(one.systems, "insertions", 9) == (["asr"], [["a (1)"]])
    html = section(folder)
    assert "Phones most often wrong" in html
    assert "Confusions of phones, asr" in html
    assert ">too many<" in html
    assert "Confusions" not in section(write_recognized(tmp_path / "words", {"greedy": GREEDY}))


def test_phones_stand_by_broad_class() -> None:
    found = by_class(confusion([(["t", "aa", "s"], ["aa", "z", "s"])]))
    assert found.said == found.written == ("aa", "s", "z", "t")
    assert found.counts.tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 0]]
    classes, counts = folded(found)
    assert classes == ["vowel", "fricative", "stop"]
    assert counts.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]
    assert folded(Confusion((), (), np.zeros((1, 1), dtype=np.int64)))[0] == []
    assert shares(np.array([[1, 3], [0, 0]])).tolist() == [[0.25, 0.75], [0.0, 0.0]]


def test_of_an_empty_hypothesis_every_word_is_missing(tmp_path: Path) -> None:
    (one,) = read(write_recognized(tmp_path / "asr", {"greedy": ("", "", "")}))
    assert [each.transcripts[0].text for each in utterances(one.systems, 3)] == ["* * *", "* * * * *", "* * *"]


def test_searches_have_columns_of_their_own_in_the_overview(tmp_path: Path) -> None:
    folder = write_recognized(tmp_path / "asr", {"greedy": GREEDY, "ngram": NGRAM})
    said = Checker(page(read_records([folder]))).text
    assert "Word errors, greedy: word error rate (%)" in said
    assert "Word errors, ngram: word error rate (%)" in said
