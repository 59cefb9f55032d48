"""Transcripts in other programs' formats: what is written is what was said, at its times."""

import json
import re

import pytest

from foresay.corpora.alignments import read_textgrid
from foresay.encoding.transcripts import Transcript
from foresay.encoding.word_times import Word
from foresay.reports.transcripts import LINE, WRITERS, as_ctm, as_jsonl, as_srt, as_textgrid, as_txt

WORDS = (Word("so", 0.1, 0.3, 0.9), Word('"quoted"', 0.35, 0.8, 0.5), Word("late", 3661.5, 3662.0, 1.0))
SAID = Transcript("a/b c.wav", 'so "quoted" late', 3700.0, WORDS, -3.5)


def test_plain_text_and_json() -> None:
    assert as_txt(SAID) == 'a/b c.wav\tso "quoted" late\n'
    line = json.loads(as_jsonl(SAID))
    assert (line["id"], line["text"], line["words"][2]) == (SAID.id, SAID.text, [3661.5, 3662.0, "late"])
    assert line["confidence"] == [0.9, 0.5, 1.0]
    assert SAID.confidence == pytest.approx(0.8)


def test_ctm_has_a_line_a_word() -> None:
    assert as_ctm(SAID).splitlines()[0] == "a/b_c.wav 1 0.10 0.20 so 0.900"
    assert len(as_ctm(SAID).splitlines()) == 3


def test_subtitles_break_at_pauses_and_where_they_are_too_long() -> None:
    text = as_srt(SAID)
    assert '1\n00:00:00,100 --> 00:00:00,800\nso "quoted"\n' in text
    assert "2\n01:01:01,500 --> 01:01:02,000\nlate\n" in text
    many = tuple(Word("word", 0.3 * n, 0.3 * n + 0.2, 1.0) for n in range(40))
    lines = re.findall(r"^word.*$", as_srt(Transcript("x", "", 20.0, many, 0.0)), re.MULTILINE)
    assert max(map(len, lines)) <= LINE
    assert " ".join(lines) == " ".join(["word"] * 40)


def test_a_textgrid_is_read_back(tmp_path) -> None:  # noqa: ANN001
    path = tmp_path / "said.TextGrid"
    path.write_text(as_textgrid(SAID))
    tiers = read_textgrid(path)
    found = [interval for tier in tiers.values() for interval in tier if interval.label]
    assert [(round(i.start, 3), round(i.end, 3), i.label) for i in found] == [(w.start, w.end, w.text) for w in WORDS]


def test_nothing_said_is_written_too() -> None:
    nothing = Transcript("x", "", 1.0, (), 0.0)
    assert WRITERS["srt"](nothing) == ""
    assert "size = 1\n" in WRITERS["textgrid"](nothing)
