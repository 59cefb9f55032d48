"""Lexica: how words are spelled in the symbols of a recognizer, as letters, phones or subwords; a word may have several spellings.

hello<TAB>h e l l o        a word, a tab, its symbols
HELLO  HH AH0 L OW1        the CMU dictionary: also its comments (;;;), its further pronunciations HELLO(2), and stress, which is dropped
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from foresay.errors import UserError
from foresay.files import text_lines, write_list
from foresay.text.vocabulary import Vocabulary

Spelling: TypeAlias = tuple[str, ...]

_COMMENTS = (";;;", "##")
_VARIANT = re.compile(r"(?<=.)\(\d+\)$")
_STRESS = re.compile(r"(?<=[A-Z])[012]$")
_SHOWN = 5


@dataclass(frozen=True)
class Lexicon:
    """Words, each with its spellings, in the order in which they were given."""

    spellings: Mapping[str, tuple[Spelling, ...]]

    def __post_init__(self) -> None:
        if not self.spellings:
            msg = "the lexicon is empty: a line is a word, a tab, and the symbols of its spelling with spaces between them"
            raise UserError(msg)
        for word, spellings in self.spellings.items():
            if not word or word.split() != [word]:
                msg = f"{word!r} is no word of a lexicon: it is empty, or there is white space in it"
                raise UserError(msg)
            if not spellings or not all(spellings):
                msg = f"the word {word!r} has no spelling, or an empty one: give it its symbols, or leave it out"
                raise UserError(msg)
            if len(set(spellings)) < len(spellings):
                msg = f"the word {word!r} has the same spelling twice: leave one out"
                raise UserError(msg)

    def __len__(self) -> int:
        return len(self.spellings)

    @property
    def words(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.spellings)

    @classmethod
    def read(cls, path: Path | str, *, stress: bool = False) -> Self:
        """Read a lexicon, with tabs or as the CMU dictionary is written.

        Args:
            path: of the file.
            stress: whether the digits are kept that the CMU dictionary writes on vowels.

        Raises:
            UserError: it is empty, or a line has no spelling, or a spelling twice; the message names the line.
        """
        found: dict[str, list[Spelling]] = {}
        for number, line in enumerate(text_lines(Path(path)), 1):
            if not line.strip() or line.startswith(_COMMENTS):
                continue
            word, spelling = _entry(line, stress=stress)
            if not word or not spelling:
                msg = f"{path}, line {number}: {line[:60]!r} has no {'spelling' if word else 'word'}; a line is a word, a tab, its symbols"
                raise UserError(msg)
            if spelling in found.setdefault(word, []) and "\t" in line:
                msg = f"{path}, line {number}: {word!r} is spelled {' '.join(spelling)!r} a second time: leave the line out"
                raise UserError(msg)
            if spelling not in found[word]:  # of the CMU dictionary, some differ in stress only
                found[word].append(spelling)
        if not found:
            msg = f"{path} holds no words: a line is a word, a tab, and the symbols of its spelling with spaces between them"
            raise UserError(msg)
        return cls({word: tuple(spellings) for word, spellings in found.items()})

    @classmethod
    def spelled(cls, words: Iterable[str], vocabulary: Vocabulary) -> Self:
        """Spell words in the letters or subwords of a vocabulary.

        Raises:
            UserError: a word has letters that it lacks.
        """
        return cls({word: (tuple(vocabulary.symbols[number] for number in vocabulary.encode(word)),) for word in dict.fromkeys(words)})

    @classmethod
    def pronounced(cls, words: Iterable[str], pronounce: Callable[[str], Sequence[str]]) -> Self:
        """Ask for the phones of each word: `functools.partial(foresay.audio.voice.pronounce, voice=…)` asks eSpeak NG."""
        return cls({word: (tuple(pronounce(word)),) for word in dict.fromkeys(words)})

    def write(self, path: Path | str) -> None:
        """Write it with tabs, a line a spelling."""
        write_list(Path(path), (f"{word}\t{' '.join(spelling)}" for word, several in self.spellings.items() for spelling in several))

    def with_words(self, other: Self) -> Self:
        """Add the words that another lexicon has and this one has not."""
        return type(self)({**other.spellings, **self.spellings})

    def encode(self, vocabulary: Vocabulary) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return the spellings of each word in the numbers of a vocabulary.

        Raises:
            UserError: a symbol is outside of it.
        """
        numbers = {symbol: number for number, symbol in enumerate(vocabulary.symbols) if number}
        lacking = Counter(
            symbol for several in self.spellings.values() for spelling in several for symbol in spelling if symbol not in numbers
        )
        if lacking:
            symbol, _ = lacking.most_common(1)[0]
            word = next(word for word, several in self.spellings.items() if any(symbol in spelling for spelling in several))
            shown = ", ".join(f"{symbol!r} ({count})" for symbol, count in lacking.most_common(_SHOWN))
            msg = (
                f"the lexicon spells words in symbols that the vocabulary of {len(vocabulary)} {vocabulary.kind} lacks: {shown}, such as "
                f"in {word!r}. Usual causes: capital against small letters, phones against letters, or another set of phones"
            )
            raise UserError(msg)
        return {
            word: tuple(tuple(numbers[symbol] for symbol in spelling) for spelling in several) for word, several in self.spellings.items()
        }

    def missing(self, words: Iterable[str]) -> Counter[str]:
        """Count the words that the lexicon lacks: what it is used for will never write them."""
        return Counter(word for word in words if word not in self.spellings)


def _entry(line: str, *, stress: bool) -> tuple[str, Spelling]:
    """Split a line into a word and its spelling."""
    if "\t" in line:
        word, _, symbols = line.partition("\t")
        return word.strip(), tuple(symbols.split())
    word, *phones = line.partition(" #")[0].split()
    return _VARIANT.sub("", word), tuple(phone if stress else _STRESS.sub("", phone) for phone in phones)
