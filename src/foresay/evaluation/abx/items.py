"""The tokens that ABX compares: read from an item file, or made from a corpus's phone times.

An item file has a header and a line for each token, times in seconds (Libri-Light, ZeroSpeech):

    #file onset offset #phone prev-phone next-phone speaker
    1272-128104-0000 0.2900 0.4200 AH0 W N 1272
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from foresay.corpora.manifest import Interval, Item, Manifest
from foresay.corpora.phones import checked_phones
from foresay.errors import UserError
from foresay.files import text_lines

HEADER = "#file onset offset #phone prev-phone next-phone speaker"
NO_PHONES = ("sil", "SIL", "sp", "SP", "spn", "SPN", "spn_S", "h#", "pau", "epi", "")
"""Labels of what is no phone, in TIMIT, the Montreal Forced Aligner and others."""
EDGE = "#"
"""What stands before the first phone of a recording and after the last."""
SAME_TIME = 1e-3
"""Seconds: phones that are as close follow each other."""

Unit = Literal["phone", "triphone"]


class Token(NamedTuple):
    """A line of an item file."""

    file: str
    onset: float
    offset: float
    phone: str
    previous: str
    next: str
    speaker: str


@dataclass(frozen=True, eq=False)
class Items:
    """N tokens, column by column."""

    file: NDArray[np.str_]
    """(N,) ids of recordings."""
    onset: NDArray[np.float64]
    """(N,) seconds."""
    offset: NDArray[np.float64]
    phone: NDArray[np.str_]
    previous: NDArray[np.str_]
    """(N,) the phone before, which with the one after is the token's context."""
    next: NDArray[np.str_]
    speaker: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.file)

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> Self:
        """Turn lines into columns."""
        columns: list[Any] = [np.array(column) for column in zip(*tokens, strict=True)]
        return cls(*columns)

    def select(self, chosen: NDArray[Any]) -> Self:
        """Keep some tokens: a mask (N,) or indices."""
        return type(self)(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def read_items(path: Path | str) -> Items:
    """Read an item file; one that lost its header is read from its first line on.

    Raises:
        UserError: there is none, it is not UTF-8, it has no tokens, its columns are others, or a line is something else.
    """
    if not Path(path).is_file():
        msg = f"there is no item file {path}. ZeroSpeech and Libri-Light publish theirs; without one, tokens are made from phone times"
        raise UserError(msg)
    lines = [(line, f"{path}, line {number}") for number, line in enumerate(text_lines(Path(path)), start=1) if line.strip()]
    if lines and _is_header(*lines[0]):
        lines = lines[1:]
    tokens = [_token(line, where) for line, where in lines]
    if not tokens:
        msg = f"{path} holds no tokens: an item file has a header (`{HEADER}`) and a line for each token"
        raise UserError(msg)
    return Items.of(tokens)


def items_of(manifest: Manifest, unit: Unit, no_phones: Sequence[str] = NO_PHONES) -> Items:
    """Make tokens of a corpus's phone times.

    `phone`: from a phone's start to its end. `triphone`: from the start of the phone before to the end of the phone after, where both are
    phones and follow without a gap. What bears one of the labels `no_phones` is never in the middle.

    Raises:
        UserError: the corpus has no phones, or times of them that cannot be right, or recordings whose speaker nobody knows.
    """
    checked_phones(manifest)
    tokens = [token for item in manifest if item.phones for token in _tokens(item, unit, set(no_phones))]
    if not tokens:
        what = "no two neighboring phones" if any(item.phones for item in manifest) else "no phone times"
        msg = (
            f"{manifest.name} has {what}, of which ABX makes its tokens. Import the corpus with phones "
            "(`foresay corpus import timit … --phones timit39`) or with alignments, or give an item file "
            "(`--option abx.items=dev-clean.item`)"
        )
        raise UserError(msg)
    nameless = sorted({token.file for token in tokens if not token.speaker})
    if nameless:
        msg = (
            f"{manifest.name} does not say who speaks in {len(nameless)} recordings ({nameless[0]}, …): ABX compares within and across "
            'speakers, so every item needs a "speaker". `foresay corpus import folder` takes it from the folder or from the file\'s name'
        )
        raise UserError(msg)
    return Items.of(tokens)


def _is_header(line: str, where: str) -> bool:
    """Whether a line names the columns, in our order, or is a comment. A hash before a name means nothing."""
    names, expected = ([name.lstrip("#") for name in words.split()] for words in (line, HEADER))
    if "onset" not in names:
        return line.startswith("#") and not (len(names) == len(expected) and names[1][:1].isdecimal())
    if len(names) != len(expected) or any(name in expected and name != place for name, place in zip(names, expected, strict=True)):
        msg = f"{where} names the columns {line!r}; they must be `{HEADER}`"
        raise UserError(msg)
    return True


def _token(line: str, where: str) -> Token:
    try:
        file, onset, offset, *labels = line.split()
        token = Token(file, float(onset), float(offset), *labels)
    except (TypeError, ValueError) as error:
        msg = f"{where} is {line!r}; a line of an item file is `file onset offset phone previous-phone next-phone speaker`"
        raise UserError(msg) from error
    if not 0.0 <= token.onset < token.offset < np.inf:
        msg = f"{where}: a token from {onset} s to {offset} s cannot be; times are in seconds, and the end comes after the start"
        raise UserError(msg)
    return token


def _tokens(item: Item, unit: Unit, no_phones: set[str]) -> Iterator[Token]:
    edge_before, edge_after = Interval(0.0, 0.0, EDGE), Interval(item.duration, item.duration, EDGE)
    phones = [edge_before, *(item.phones or ()), edge_after]
    for (before, here), (_, after) in pairwise(pairwise(phones)):
        onset, offset = here.start, here.end
        if unit == "triphone":
            gap = max(here.start - before.end, after.start - here.end)
            if gap > SAME_TIME or EDGE in {before.label, after.label} or no_phones & {before.label, after.label}:
                continue
            onset, offset = before.start, after.end
        if here.label not in no_phones and onset < offset:
            yield Token(item.id, onset, offset, here.label, before.label, after.label, item.speaker or "")
