"""Word errors as one reads them: which word became which, which were split or joined, and transcripts with their errors in capitals.

    reference    tonight anyone can see it
    hypothesis   to night any one can sea it       2 splits and 1 substitution: 2 + 2 + 1 = 5 errors

An alignment of single words hides compounds: of `any one` for `anyone` it makes a substitution and an insertion. Here a stretch of errors
that spells a word of the other side is one split or one join, where that takes no more errors than the alignment has: the errors of
all pieces add up to the edit distance. The forms are those of Tables 11 and 12 of wav2vec 2.0 (arXiv:2006.11477, appendix E).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.statistics.edit_distance import align

Kind: TypeAlias = Literal["match", "substitution", "deletion", "insertion", "split", "join"]
PARTS = 6
"""Words that may be one, at most."""
DELETED = "*"
"""What stands in a transcript where a word is missing."""


class Compared(NamedTuple):
    """An utterance: what was said and what was recognized."""

    id: str
    speaker: str
    reference: str
    hypothesis: str


class Piece(NamedTuple):
    """Words of the reference, and what stands for them in the hypothesis: one each, or none on one side, or several for one."""

    said: tuple[str, ...]
    written: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Which kind of error it is, or a match."""
        if not self.said or not self.written:
            return "deletion" if self.said else "insertion"
        if len(self.said) != len(self.written):
            return "split" if len(self.written) > 1 else "join"
        return "match" if self.said == self.written else "substitution"

    @property
    def errors(self) -> int:
        """Edits of words that it takes."""
        return 0 if self.said == self.written else max(len(self.said), len(self.written))

    @property
    def text(self) -> str:
        """What became of what: `anyone -> any one`, or the word that is too many or missing."""
        return " -> ".join(" ".join(side) for side in self if side)


Pair: TypeAlias = tuple[str | None, str | None]


def pieces(reference: Sequence[str], hypothesis: Sequence[str], *, compounds: bool = True) -> list[Piece]:
    """Cut both into pieces that stand for each other, in order. Their errors add up to the edit distance.

    Without `compounds` there are no splits and joins: symbols such as phones make no others when they are written together.
    """
    if not compounds:
        return [_piece(pair) for pair in _pairs(reference, hypothesis)]
    found: list[Piece] = []
    errors: list[Pair] = []
    for pair in [*_pairs(reference, hypothesis), None]:
        if pair is None or pair[0] == pair[1]:
            found += _with_compounds(errors)
            errors = []
        else:
            errors.append(pair)
        if pair is not None and pair[0] == pair[1]:
            found.append(_piece(pair))
    return found


def _pairs(reference: Sequence[str], hypothesis: Sequence[str]) -> Iterator[Pair]:
    for said, written in align(reference, hypothesis).alignment:
        yield None if said is None else reference[said], None if written is None else hypothesis[written]


def _piece(pair: Pair) -> Piece:
    said, written = pair
    return Piece(() if said is None else (said,), () if written is None else (written,))


def _with_compounds(errors: Sequence[Pair]) -> Iterator[Piece]:
    """Find the splits and joins of a stretch of errors, from left to right; what lies between them is aligned again."""
    said, written = [s for s, _ in errors if s is not None], [w for _, w in errors if w is not None]
    left = len(errors)  # so many errors may be made of what is left
    while compound := _first_compound(said, written, left):
        i, j, piece = compound
        yield from map(_piece, _pairs(said[:i], written[:j]))
        yield piece
        left -= max(i, j) + piece.errors
        said, written = said[i + len(piece.said) :], written[j + len(piece.written) :]
    yield from map(_piece, _pairs(said, written))


def _first_compound(said: Sequence[str], written: Sequence[str], most: int) -> tuple[int, int, Piece] | None:
    """Where the first split or join begins in both, and the piece, if with it there are at most so many errors."""
    splits, wholes = _places(written, range(2, PARTS + 1)), _places(written, range(1, 2))
    for i in range(len(said)):
        candidates = [(1, count, j) for j, count in splits.get(said[i], ())]
        for count in range(2, min(PARTS, len(said) - i) + 1):
            candidates += [(count, 1, j) for j, _ in wholes.get("".join(said[i : i + count]), ())]
        for many, few, j in candidates:
            rest = max(len(said) - i - many, len(written) - j - few)
            if max(i, j) + max(many, few) + rest <= most:
                return i, j, Piece(tuple(said[i : i + many]), tuple(written[j : j + few]))
    return None


def _places(words: Sequence[str], counts: Iterable[int]) -> dict[str, list[tuple[int, int]]]:
    """Where words stand that are, written together, a string: (first, how many)."""
    found: dict[str, list[tuple[int, int]]] = {}
    for count in counts:
        for first in range(len(words) - count + 1):
            found.setdefault("".join(words[first : first + count]), []).append((first, count))
    return found


def frequent_errors(cut: Iterable[Sequence[Piece]], most: int) -> dict[str, list[list[object]]]:
    """Count the errors of each kind in utterances cut into pieces: [how often, what], the most frequent first, equal ones by alphabet."""
    kinds: tuple[Kind, ...] = ("substitution", "deletion", "insertion", "split", "join")
    counters: dict[Kind, Counter[str]] = {kind: Counter() for kind in kinds}
    for utterance in cut:
        for piece in utterance:
            if piece.errors:
                counters[piece.kind][piece.text] += 1
    return {
        f"frequent_{kind}s": [[count, what] for what, count in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))[:most]]
        for kind, counter in counters.items()
    }


class WordCount(NamedTuple):
    """A word of the references."""

    word: str
    spoken: int
    errors: int
    """How often it was not recognized: something else, nothing, or in parts."""
    seen: int | None
    """How often the training text has it; None: nobody said."""


def words_by_errors(cut: Iterable[Sequence[Piece]], training: Mapping[str, int] | None) -> list[WordCount]:
    """List the words of the references that were ever wrong, those with most errors first, equal ones by alphabet."""
    spoken, errors = Counter[str](), Counter[str]()
    for utterance in cut:
        for piece in utterance:
            spoken.update(piece.said)
            errors.update(piece.said if piece.errors else ())
    order = sorted(errors, key=lambda word: (-errors[word], word))
    return [WordCount(word, spoken[word], errors[word], None if training is None else training.get(word, 0)) for word in order]


def marked(cut: Sequence[Piece]) -> list[tuple[str, bool]]:
    """Write a hypothesis in the form of Table 12: small letters, errors in capitals, `*` for each missing word; and which are errors."""
    found = []
    for piece in cut:
        wrong = piece.errors > 0
        words = [word.upper() if wrong else word.lower() for word in piece.written] or [DELETED] * len(piece.said)
        found += [(word, wrong) for word in words]
    return found


def spread(rates: Sequence[float], count: int) -> list[int]:
    """Choose utterances at equally spaced quantiles of their error rates, none by hand: their places, the lowest rate first.

    Of `count` parts of equal size that the order of rates is cut into, the middle one of each; of equal rates the first.

    Examples:
        >>> spread([0.5, 0.0, 0.1, 0.9, 0.2, 0.3], 3)
        [2, 5, 3]
    """
    order = sorted(range(len(rates)), key=lambda place: (rates[place], place))
    count = min(count, len(order))
    return [order[int((part + 0.5) * len(order) / count)] for part in range(count)]


class Confusion(NamedTuple):
    """How often each symbol was recognized as which."""

    said: tuple[str, ...]
    """R symbols of the references."""
    written: tuple[str, ...]
    """H symbols of the hypotheses."""
    counts: NDArray[np.int64]
    """(R + 1, H + 1): the last column counts deletions, the last row insertions."""


def confusion(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Confusion:
    """Count the pairs of symbols in alignments of references with hypotheses; symbols are sorted."""
    counter: Counter[Pair] = Counter(pair for reference, hypothesis in pairs for pair in _pairs(reference, hypothesis))
    said = tuple(sorted({one for one, _ in counter if one is not None}))
    written = tuple(sorted({other for _, other in counter if other is not None}))
    rows, columns = ({symbol: place for place, symbol in enumerate([*side, None])} for side in (said, written))
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for (one, other), count in counter.items():
        counts[rows[one], columns[other]] = count
    return Confusion(said, written, counts)
