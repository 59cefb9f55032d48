"""Vocabularies: text to numbers and back."""

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from foresay.errors import UserError
from foresay.settings import read_toml, write_toml
from foresay.text.vocabulary import BLANK, WORD, Kind, Orthography, Vocabulary, is_special

TEXTS = ("the cat sat on the mat", "a cat's hat", "the black cat ate that")
WORDS = st.lists(st.text(alphabet="abchelmnorst'k", min_size=1, max_size=8), max_size=6)


def _vocabulary(kind: Kind) -> Vocabulary:
    return Vocabulary.of_texts(kind, [*TEXTS, "a b c h e l m n o r s t ' k"], size=40)


@pytest.mark.parametrize("kind", get_args(Kind))
@given(words=WORDS)
def test_text_to_numbers_to_text_is_the_identity(kind: Kind, words: list[str]) -> None:
    text = " ".join(" ".join(word) if kind == "phones" else word for word in words)
    vocabulary = _vocabulary(kind)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert 0 not in ids
    assert not vocabulary.missing(text)


def test_letters_by_hand() -> None:
    vocabulary = Vocabulary.of_texts("letters", ["cab", " a\tb "])
    assert vocabulary.symbols == (BLANK, "|", "a", "b", "c")
    assert vocabulary.boundary == 1
    assert vocabulary.encode(" ab  ca\n") == [2, 3, 1, 4, 2]
    assert vocabulary.decode([0, 1, 2, 0, 3, 1, 1, 4, 2, 1]) == "ab ca"
    assert vocabulary.encode("") == []


def test_phones_and_special_symbols_by_hand() -> None:
    vocabulary = Vocabulary(("<pad>", "<s>", "AH", "K", "<unk>"), "phones")
    assert vocabulary.encode("K AH") == [3, 2]
    assert vocabulary.decode([0, 1, 3, 4, 2]) == "K AH"
    assert vocabulary.missing("<s> AH <s>") == Counter({"<s>": 2})
    assert vocabulary.boundary is None
    assert [is_special(symbol) for symbol in ("<s>", "<>", "<", "s>")] == [True, False, False, False]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_symbols_outside_are_counted_and_shown(kind: Kind) -> None:
    vocabulary = _vocabulary(kind)
    text = "a x a" if kind == "phones" else "axe xx"
    count = 1 if kind == "phones" else 3
    assert vocabulary.missing(text) == Counter({"x": count})
    with pytest.raises(UserError, match=rf"has {count} symbols that the vocabulary.* lacks: 'x' \({count}\)"):
        vocabulary.encode(text)


@pytest.mark.parametrize("kind, mark", [("letters", "|"), ("bpe", WORD)])
def test_the_mark_of_a_word_within_one_is_refused(kind: Kind, mark: str) -> None:
    with pytest.raises(UserError, match="within a word|lacks"):
        _vocabulary(kind).encode(f"a{mark}b")


def test_subwords_are_merged_as_the_library_merges_them() -> None:
    vocabulary = Vocabulary.of_texts("bpe", TEXTS, size=30)
    assert len(vocabulary) == 30
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    marked = [" ".join(WORD + word for word in text.split()) for text in TEXTS]
    library.train_from_iterator(marked, trainers.BpeTrainer(vocab_size=29, show_progress=False))
    for text, words in zip(TEXTS, marked, strict=True):
        assert [vocabulary.symbols[number] for number in vocabulary.encode(text)] == library.encode(words).tokens
    assert vocabulary.symbols[vocabulary.encode("the")[0]] == f"{WORD}the"
    assert vocabulary.decode(vocabulary.encode("the catthe")) == "the catthe"


def test_of_two_merges_the_earlier_is_done_first() -> None:
    vocabulary = Vocabulary((BLANK, "a", "b", "c", WORD, "ab", "bc", "bcb", f"{WORD}ab"), "bpe")
    assert [vocabulary.symbols[number] for number in vocabulary.encode("abc bcb")] == [f"{WORD}ab", "c", WORD, "bcb"]


def test_settings_keep_it() -> None:
    for kind in get_args(Kind):
        vocabulary = _vocabulary(kind)
        table = read_toml(write_toml({"symbols": list(vocabulary.symbols), "kind": kind}), "test")
        assert Vocabulary(tuple(table["symbols"]), table["kind"]) == vocabulary


@pytest.mark.parametrize(
    "symbols, kind, why",
    [
        (("a", "b"), "letters", "symbol 0 of a vocabulary is the blank"),
        ((), "phones", "symbol 0"),
        ((BLANK, "a", "a"), "phones", "'a' twice"),
        ((BLANK, ""), "phones", "empty symbol"),
        ((BLANK, "a b"), "phones", "white space"),
        ((BLANK, "ab"), "letters", "'ab' is no letter"),
    ],
)
def test_what_is_no_vocabulary_is_refused(symbols: tuple[str, ...], kind: Kind, why: str) -> None:
    with pytest.raises(UserError, match=why):
        Vocabulary(symbols, kind)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_no_text_no_vocabulary(kind: Kind) -> None:
    with pytest.raises(UserError, match="there is no text"):
        Vocabulary.of_texts(kind, ["", " "])
    assert Vocabulary((BLANK,), kind).encode("") == []


def test_too_few_subwords_and_a_boundary_in_the_texts() -> None:
    with pytest.raises(UserError, match="4 letters do not fit into 4 subwords"):
        Vocabulary.of_texts("bpe", ["abc"], size=4)
    assert Vocabulary.of_texts("bpe", ["abc"], size=5).symbols == (BLANK, "a", "b", "c", WORD)
    with pytest.raises(UserError, match="is the boundary between words"):
        Vocabulary.of_texts("letters", ["a|b"])


def test_an_orthography_normalizes_before_it_spells_and_leaves_phones_as_they_are() -> None:
    assert Orthography.symbols_of("letters", "plain", "drop", ["A cab 7!"]) == ("<blank>", "|", "a", "b", "c")
    letters = Orthography(Vocabulary(("<blank>", "|", "a", "b", "c"), "letters"), "plain", "drop")
    assert letters.normalized("A Cab, 7") == "a cab"
    assert letters.spell("A Cab, 7") == [2, 1, 4, 2, 3]
    assert letters.text_of(letters.spell("A Cab, 7")) == "a cab"
    assert letters.missing("A Dab!") == {"d": 1}
    assert letters.dropped("A Cab 77") == {"7": 2}
    phones = Orthography(Vocabulary(("<blank>", "AH", "b"), "phones"), "plain", "refuse")
    assert phones.normalized("AH b") == "AH b"
    assert phones.spell("AH b") == [1, 2]
    assert phones.missing("AH 7") == {"7": 1}
    assert not phones.dropped("AH 7")
