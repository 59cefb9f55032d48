"""Vocabularies: the symbols of a recognizer by number, the blank first; letters with a word boundary, phones, or byte-pair subwords.

    letters   THE CAT    ->  T H E | C A T              | stands between words
    phones    DH AH K AE ->  DH AH K AE                 the text is phones with spaces between them
    bpe       THE CAT    ->  _THE _C AT                 subwords (arXiv:1508.07909), _ is U+2581 and begins a word

A vocabulary is a tuple of symbols and a kind, plain settings that a model keeps. A name in angle brackets, as the blank has, is never
part of a text. Subwords are kept in the order in which they were merged, and nothing else is needed to merge a word again.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from foresay.errors import UserError
from foresay.extras import optional
from foresay.text.normalization import Normalizer, Outside

BLANK = "<blank>"
BOUNDARY = "|"
WORD = "\N{LOWER ONE EIGHTH BLOCK}"
"""The mark that begins a word among subwords."""
SUBWORDS = 500

Kind: TypeAlias = Literal["letters", "phones", "bpe"]
Unit: TypeAlias = Literal["words", "letters", "phones", "bpe"]
"""What a language model predicts: whatever stands between spaces, be it words or phones; letters; subwords."""
_SHOWN = 8


@dataclass(frozen=True)
class Vocabulary:
    """V symbols by their numbers; number 0 is the blank."""

    symbols: tuple[str, ...]
    kind: Kind

    def __post_init__(self) -> None:
        if not self.symbols or not is_special(self.symbols[0]):
            msg = f"symbol 0 of a vocabulary is the blank, in angle brackets such as {BLANK}, not {self.symbols[:1]}"
            raise UserError(msg)
        repeated = [symbol for symbol, count in Counter(self.symbols).items() if count > 1]
        if repeated or not all(symbol and symbol == "".join(symbol.split()) for symbol in self.symbols):
            what = f"{repeated[0]!r} twice" if repeated else "an empty symbol, or white space in one"
            msg = f"the vocabulary has {what}: each symbol has one number"
            raise UserError(msg)
        if self.kind == "letters" and (wrong := [s for s in self.symbols if len(s) > 1 and not is_special(s)]):
            msg = f"{wrong[0]!r} is no letter, but the vocabulary is of letters: its kind is perhaps `phones` or `bpe`"
            raise UserError(msg)

    def __len__(self) -> int:
        return len(self.symbols)

    @classmethod
    def of_texts(cls, kind: Kind, texts: Iterable[str], *, size: int = SUBWORDS) -> Self:
        """Collect the symbols of texts, sorted; of subwords, at most `size` with the blank.

        Raises:
            UserError: there is no text, or the boundary stands in one.
        """
        if kind == "bpe":
            return cls((BLANK, *_learned(texts, size - 1)), kind)
        found: set[str] = set()
        for text in texts:
            found |= set(text.split()) if kind == "phones" else set("".join(text.split()))
        _refuse_none(found)
        if kind == "phones":
            return cls((BLANK, *sorted(found)), kind)
        if BOUNDARY in found:
            msg = f"{BOUNDARY!r} stands in the texts, and is the boundary between words: normalize them first"
            raise UserError(msg)
        return cls((BLANK, BOUNDARY, *sorted(found)), kind)

    @property
    def boundary(self) -> int | None:
        """The number of the word boundary, where there is one."""
        return self._numbers.get(BOUNDARY)

    def split(self, text: str) -> list[str]:
        """Split a text into symbols, known or not."""
        words = text.split()
        if self.kind == "phones":
            return words
        if self.kind == "bpe":
            return [part for word in words for part in self._subwords(word)]
        return [letter for word in words for letter in (BOUNDARY, *_letters(word, BOUNDARY))][1:]

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's symbols; `decode` gives it back, with one space for any white space.

        Raises:
            UserError: it has symbols that the vocabulary lacks; they are shown, counted.
        """
        spelled = self.split(text)
        try:
            return [self._numbers[symbol] for symbol in spelled]
        except KeyError as error:
            lacking = self.missing(text)
            shown = ", ".join(f"{symbol!r} ({count})" for symbol, count in lacking.most_common(_SHOWN))
            msg = (
                f"{text[:60]!r} has {sum(lacking.values())} symbols that the vocabulary of {len(self)} {self.kind} lacks: {shown}. "
                "Normalize the text as that of the vocabulary was, its case too, or make a vocabulary of both"
            )
            raise UserError(msg) from error

    def decode(self, ids: Iterable[int]) -> str:
        """Write numbers as text; the blank and other symbols in angle brackets are nothing."""
        symbols = [self.symbols[number] for number in ids]
        symbols = [symbol for symbol in symbols if not is_special(symbol)]
        if self.kind == "phones":
            return " ".join(symbols)
        mark = BOUNDARY if self.kind == "letters" else WORD
        return " ".join("".join(symbols).replace(mark, " ").split())

    def words(self, ids: Sequence[int]) -> list[range]:
        """Cut the numbers of a text into words: of each the places of its symbols. A phone is a word.

        >>> Vocabulary(("<blank>", "|", "a", "b"), "letters").words([2, 3, 1, 2])
        [range(0, 2), range(3, 4)]
        """
        if self.kind == "phones":
            return [range(place, place + 1) for place in range(len(ids))]
        if self.kind == "bpe":
            begins = [place for place, number in enumerate(ids) if place == 0 or self.symbols[number].startswith(WORD)]
            return list(itertools.starmap(range, zip(begins, [*begins[1:], len(ids)], strict=True)))
        edges = [-1, *(place for place, number in enumerate(ids) if number == self.boundary), len(ids)]
        return [range(before + 1, after) for before, after in itertools.pairwise(edges) if after > before + 1]

    def missing(self, text: str) -> Counter[str]:
        """Count the symbols of a text that the vocabulary lacks; of subwords, letters."""
        spelled = self.split(text)
        return Counter(s for symbol in spelled if symbol not in self._numbers for s in ([*symbol] if self.kind == "bpe" else [symbol]))

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols) if not is_special(symbol)}

    def _subwords(self, word: str) -> list[str]:
        """Merge the letters of a word: time and again the two neighbors that make the earliest symbol."""
        never = len(self.symbols)
        parts = [WORD, *_letters(word, WORD)]
        while len(parts) > 1:
            ranks = [self._numbers.get(left + right, never) for left, right in itertools.pairwise(parts)]
            rank = min(ranks)
            if rank == never:
                break
            place = ranks.index(rank)
            parts[place : place + 2] = [self.symbols[rank]]
        return parts


@dataclass(frozen=True)
class Orthography:
    """How transcripts are written: normalized by a profile, which phones have none of, and spelled in a vocabulary."""

    vocabulary: Vocabulary
    profile: str
    outside: Outside
    """What becomes of characters that the profile has not."""
    pronounced: bool = False
    """Whether the transcripts are words, though the symbols are phones: a lexicon pronounces them."""

    @classmethod
    def symbols_of(cls, kind: Kind, profile: str, outside: Outside, texts: Iterable[str]) -> tuple[str, ...]:
        """Collect the symbols of transcripts."""
        return Vocabulary.of_texts(kind, [_written(kind, profile, outside, text) for text in texts]).symbols

    def normalized(self, text: str) -> str:
        """Write a transcript as a recognizer of these symbols writes it."""
        return _written("letters" if self.pronounced else self.vocabulary.kind, self.profile, self.outside, text)

    def missing(self, text: str) -> Counter[str]:
        """Count the symbols of a transcript that the vocabulary lacks."""
        return self.vocabulary.missing(self.normalized(text))

    def dropped(self, text: str) -> Counter[str]:
        """Count the characters of a transcript that the normalization leaves out."""
        if self.vocabulary.kind == "phones" and not self.pronounced:
            return Counter()
        normalizer = Normalizer(self.profile, self.outside)
        normalizer(text)
        return normalizer.dropped

    def spell(self, text: str) -> list[int]:
        """Return the symbols of a transcript.

        Raises:
            UserError: it has one that the vocabulary lacks.
        """
        return self.vocabulary.encode(self.normalized(text))

    def text_of(self, tokens: Sequence[int]) -> str:
        """Write symbols as text."""
        return self.vocabulary.decode(tokens)


def _written(kind: Kind, profile: str, outside: Outside, text: str) -> str:
    return text if kind == "phones" else Normalizer(profile, outside)(text)


def split_text(text: str, unit: Unit) -> list[str]:
    """Split a text into what a language model predicts; letters with the boundary between words. Subwords take a `Vocabulary`.

    >>> split_text("a cat", "words"), split_text("a cat", "letters")
    (['a', 'cat'], ['a', '|', 'c', 'a', 't'])
    """
    return list(BOUNDARY.join(text.split())) if unit == "letters" else text.split()


def is_special(symbol: str) -> bool:
    """Whether a symbol is no part of any text: `<blank>`, `<s>`, `<pad>`."""
    return symbol.startswith("<") and symbol.endswith(">") and len(symbol) > 2  # noqa: PLR2004 - more than the brackets


def _letters(word: str, mark: str) -> list[str]:
    """Spell a word. The mark of the words within one would be read as a space, so that it gets a name that no vocabulary has."""
    return [letter if letter != mark else f"{mark} within a word" for letter in word]


def _learned(texts: Iterable[str], size: int) -> list[str]:
    """Learn subwords with the library `tokenizers`: letters first, then what was merged, in that order."""
    with optional("tokenizers", "bpe", "a vocabulary of subwords"):
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # noqa: PLC0415 - an extra
    words = [" ".join(WORD + word for word in text.split()) for text in texts]
    letters = {letter for text in words for letter in text} - {" "}
    _refuse_none(letters)
    if size < len(letters):
        msg = f"{len(letters)} letters do not fit into {size + 1} subwords with the blank: ask for more, or normalize the texts"
        raise UserError(msg)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(words, trainers.BpeTrainer(vocab_size=size, show_progress=False))
    numbered: dict[str, int] = tokenizer.get_vocab()
    return sorted(numbered, key=numbered.__getitem__)


def _refuse_none(found: set[str]) -> None:
    if not found:
        msg = "there is no text to make a vocabulary of: has the manifest texts? (`foresay corpus stats` counts them)"
        raise UserError(msg)
