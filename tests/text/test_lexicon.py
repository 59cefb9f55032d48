"""Lexica: read, written, made, and put into numbers."""

from collections import Counter
from pathlib import Path

import pytest

from foresay.audio.voice import Voice, pronounce
from foresay.errors import UserError
from foresay.text.lexicon import Lexicon
from foresay.text.vocabulary import BLANK, Vocabulary

CMU = """\
;;; a comment
HELLO  HH AH0 L OW1
HELLO(2)  HH EH0 L OW1
READ  R EH1 D # past
READ(2)  R IY1 D
CONTENT  K AA1 N T EH0 N T
CONTENT(2)  K AA0 N T EH1 N T
(2)X  T UW1
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "lexicon.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_cmu_dictionary_with_several_pronunciations_and_without_stress(tmp_path: Path) -> None:
    lexicon = Lexicon.read(_file(tmp_path, CMU))
    assert lexicon.words == ("HELLO", "READ", "CONTENT", "(2)X")
    assert lexicon.spellings["HELLO"] == (("HH", "AH", "L", "OW"), ("HH", "EH", "L", "OW"))
    assert lexicon.spellings["READ"] == (("R", "EH", "D"), ("R", "IY", "D"))
    assert len(lexicon.spellings["CONTENT"]) == 1
    stressed = Lexicon.read(_file(tmp_path, CMU), stress=True)
    assert stressed.spellings["CONTENT"] == (("K", "AA1", "N", "T", "EH0", "N", "T"), ("K", "AA0", "N", "T", "EH1", "N", "T"))


def test_with_tabs_a_word_is_taken_as_it_stands_and_written_again(tmp_path: Path) -> None:
    text = "a(2)\ta |\nthe\tt h e |\nthe\tt h i |\n"
    lexicon = Lexicon.read(_file(tmp_path, text))
    assert lexicon.spellings == {"a(2)": (("a", "|"),), "the": (("t", "h", "e", "|"), ("t", "h", "i", "|"))}
    lexicon.write(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_text(encoding="utf-8") == text
    assert lexicon.missing(["the", "cat", "cat"]) == Counter({"cat": 2})


def test_numbers_of_a_vocabulary() -> None:
    vocabulary = Vocabulary((BLANK, "|", "a", "b"), "letters")
    lexicon = Lexicon({"ab": (("a", "b", "|"), ("b", "|"))})
    assert lexicon.encode(vocabulary) == {"ab": ((2, 3, 1), (3, 1))}
    assert Lexicon.spelled(["ab", "a", "ab"], vocabulary).encode(vocabulary) == {"ab": ((2, 3),), "a": ((2,),)}
    with pytest.raises(UserError, match=r"lacks: 'A' \(2\), 'C' \(1\), such as in 'AC'.*capital against small"):
        Lexicon({"AC": (("A", "C"), ("A", "b"))}).encode(vocabulary)
    with pytest.raises(UserError, match=BLANK):
        Lexicon({"a": ((BLANK, "a"),)}).encode(vocabulary)
    with pytest.raises(UserError, match=r"'c' \(1\)"):
        Lexicon.spelled(["cab"], vocabulary)


def test_another_lexicon_adds_only_words_that_are_missing() -> None:
    joined = Lexicon({"a": (("x",),)}).with_words(Lexicon({"a": (("y",),), "b": (("y",),)}))
    assert joined.spellings == {"a": (("x",),), "b": (("y",),)}
    assert len(joined) == 2


def test_espeak_pronounces() -> None:
    voice = Voice(accent="en-US", timbre="f1")
    lexicon = Lexicon.pronounced(["cat", "dog"], lambda word: pronounce(word, voice))
    assert lexicon.spellings["cat"] == (("k", "ae", "t"),)
    assert lexicon.spellings["dog"][0][::2] == ("d", "g")


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "holds no words"),
        (";;; nothing\n\n", "holds no words"),
        ("a\ta\nb\t\n", "line 2: .* has no spelling"),
        ("a\ta\nb\n", "line 2: .* has no spelling"),
        ("\ta b\n", "line 1: .* has no word"),
        ("a\ta |\nb\tb\na\ta |\n", r"line 3: 'a' is spelled 'a \|' a second time"),
        ("two words\ta b\n", "white space"),
    ],
)
def test_files_that_are_wrong_are_refused_by_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        Lexicon.read(_file(tmp_path, text))


@pytest.mark.parametrize(
    "spellings, why",
    [
        ({}, "is empty"),
        ({"": (("a",),)}, "no word of a lexicon"),
        ({"a": ()}, "no spelling"),
        ({"a": ((),)}, "an empty one"),
        ({"a": (("a",), ("a",))}, "same spelling twice"),
    ],
)
def test_what_is_no_lexicon_is_refused(spellings: dict[str, tuple[tuple[str, ...], ...]], why: str) -> None:
    with pytest.raises(UserError, match=why):
        Lexicon(spellings)
