"""Normalization: what it writes, what it counts, what it refuses."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresay.errors import UserError
from foresay.text.normalization import PROFILES, Normalizer


@pytest.mark.parametrize(
    "profile, text, expected",
    [
        ("librispeech", "He said: \N{LEFT DOUBLE QUOTATION MARK}Don\N{RIGHT SINGLE QUOTATION MARK}t!", "HE SAID DON'T"),
        ("librispeech", "twenty-one\tmen\n", "TWENTY ONE MEN"),
        ("librispeech", "the U.S.A. won.Then", "THE USA WON THEN"),
        ("en", "\N{FULLWIDTH LATIN CAPITAL LETTER A}\N{LATIN SMALL LIGATURE FI}ne 'tis", "afine 'tis"),
        ("de", "GRÜẞE, Straße", "grüße straße"),
        ("ru", "Ёлка и ЕЛЬ", "ёлка и ель"),
        ("plain", "Ἀθῆναι, Kraków — naïve", "ἀθῆναι kraków naïve"),
        ("plain", "  ", ""),
    ],
)  # fmt: skip
def test_what_is_spoken_alike_is_written_alike(profile: str, text: str, expected: str) -> None:
    assert Normalizer(profile)(text) == expected


def test_what_is_dropped_is_counted_by_character() -> None:
    normalizer = Normalizer("librispeech", "drop")
    assert normalizer("Well, well! 'A' cat ' costs 30 €.") == "WELL WELL 'A' CAT COSTS"
    assert normalizer.every(["a, b", "7"]) == ["A B", ""]
    assert normalizer.dropped == Counter({",": 2, "!": 1, "'": 1, "3": 1, "0": 1, "€": 1, ".": 1, "7": 1})


def test_digits_symbols_and_other_letters_are_refused_by_name_and_number() -> None:
    with pytest.raises(UserError, match=r"line 2 has '1' \(DIGIT ONE\) 2 times, '%' \(PERCENT SIGN\) 1 time, 'É' \(LATIN CAPITAL .*`drop`"):
        Normalizer("librispeech").every(["fine", "11 % of café"])
    assert Normalizer("fr")("café") == "café"


def test_a_letter_of_another_script_among_letters_that_look_alike_is_found() -> None:
    cyrillic = "\N{CYRILLIC SMALL LETTER A}"
    with pytest.raises(UserError, match="CYRILLIC SMALL LETTER A"):
        Normalizer("plain")(f"c{cyrillic}t")
    assert Normalizer("plain", "drop")(f"c{cyrillic}t") == "ct"
    assert Normalizer("plain")("cat кот") == "cat кот"


def test_mapping_writes_what_the_table_says_and_letters_without_their_accents() -> None:
    normalizer = Normalizer("en", "map", {"%": "percent", "1": "one"})
    assert normalizer("1% Straße, café Łódź") == "one percent strasse cafe lodz"
    assert normalizer.dropped == {",": 1}
    with pytest.raises(UserError, match=r"line 1 has '2' \(DIGIT TWO\).*the table does not map it"):
        normalizer.every(["2 cats"])


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UserError, match='did you mean "librispeech"'):
        Normalizer("libri-speech")


@given(st.text(), st.sampled_from(sorted(PROFILES)))
def test_it_changes_nothing_twice_and_keeps_no_stranger(text: str, profile: str) -> None:
    once = Normalizer(profile, "drop")(text)
    again = Normalizer(profile, "refuse")
    assert again(once) == once
    assert not again.dropped
    letters = PROFILES[profile]
    assert letters is None or set(once) <= {*letters, "'", " "}
