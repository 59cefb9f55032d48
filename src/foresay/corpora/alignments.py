"""Alignments: the times of phones and words, their file formats, and the label at a time."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from foresay.corpora.manifest import Interval
from foresay.errors import UserError
from foresay.files import read_text, text_lines

Intervals: TypeAlias = tuple[Interval, ...]

PHONE_FILE_FRAME = 0.01
"""Seconds that a number of a phone file stands for: 160 samples at 16 kHz."""

NO_CONFIDENCE = {"NA", "UNK", "-"}
"""What stands in a CTM where a confidence is not known."""

# A TextGrid is a run of numbers and of strings in double quotes (a quote inside is doubled); the long form names them, the short does not.
# What is said beside them counts only if it stands alone as a number: not `[1]:`, nor what follows a `!`.
TEXTGRID_TOKEN = re.compile(
    r'"(?P<text>(?:[^"]|"")*)"|(?<!\S)!.*|(?<![^\s=])(?P<number>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?!\S)'
)


def labels_at(intervals: Sequence[Interval], times: npt.NDArray[np.float64], vocabulary: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Return the class of the interval that holds each time: (T,) seconds, ascending -> (T,).

    It is -1 where there is no interval, or where its label is not in the vocabulary. An interval holds its start and not its end; where two
    overlap, the later in the list counts.
    """
    labels = np.full(len(times), -1, dtype=np.int64)
    firsts = np.searchsorted(times, [interval.start for interval in intervals])
    lasts = np.searchsorted(times, [interval.end for interval in intervals])
    for interval, first, last in zip(intervals, firsts, lasts, strict=True):
        labels[first:last] = vocabulary.get(interval.label, -1)
    return labels


def read_textgrid(path: Path) -> dict[str, Intervals]:
    """Read the interval tiers of a Praat TextGrid, long or short form, by name. Intervals without a label are left out.

    Raises:
        UserError: it is not a TextGrid, holds times that cannot be, or two tiers of one name.
    """
    found = TEXTGRID_TOKEN.finditer(read_text(path))
    tokens = (token["number"] or f'"{token["text"]}' for token in found if not token[0].startswith("!"))
    try:
        tiers = list(_tiers(tokens))
    except (StopIteration, ValueError) as error:
        what = f": {error}" if isinstance(error, _ImpossibleTimesError) else ""
        msg = (
            f"{path} is not a TextGrid, or ends too early{what}: Praat (`Save as text file`, or short text file) and the Montreal Forced "
            f"Aligner write such files"
        )
        raise UserError(msg) from error
    names = Counter(name for name, _ in tiers)
    if twice := [name for name, count in names.items() if count > 1]:
        msg = f"{path} has {names[twice[0]]} tiers called {twice[0]!r}: which one is meant? Rename or remove the others"
        raise UserError(msg)
    return dict(tiers)


def _tiers(tokens: Iterator[str]) -> Iterator[tuple[str, Intervals]]:
    """Read the interval tiers from the tokens, of which strings begin with a quote."""
    kinds = next(tokens, ""), next(tokens, "")
    if kinds[0] not in {'"ooTextFile', '"ooTextFile short'} or kinds[1] != '"TextGrid':
        raise ValueError
    # `next` without a default would end the generator in silence.
    take = partial(_take, tokens)
    _times = take(), take()
    for _ in range(int(take())):
        kind, name = take(), take()
        _times = take(), take()
        count = int(take())
        if kind == '"IntervalTier':
            intervals = [_interval(float(take()), float(take()), _string(take())) for _ in range(count)]
            yield _string(name), tuple(interval for interval in intervals if interval.label)
        elif kind != '"TextTier':
            raise ValueError
        else:
            for _ in range(2 * count):  # a point is a time and a label
                take()


def _take(tokens: Iterator[str]) -> str:
    token = next(tokens, None)
    if token is None:
        raise ValueError
    return token


def _string(token: str) -> str:
    if not token.startswith('"'):
        raise ValueError
    return token[1:].replace('""', '"').strip()


class _ImpossibleTimesError(ValueError):
    """An interval that no recording has."""


def _interval(start: float, end: float, label: str) -> Interval:
    if not 0 <= start <= end < math.inf:
        msg = f"an interval from {start:g} to {end:g} s cannot be"
        raise _ImpossibleTimesError(msg)
    return Interval(start, end, label)


def read_ctm(path: Path) -> dict[str, dict[str, Intervals]]:
    """Read a NIST CTM file: `utterance channel start duration label` a line, in any order; `;;` begins a comment.

    What may follow, a confidence and more, is left. Returns the intervals by utterance and channel.

    Raises:
        UserError: a line is something else, holds times that cannot be, or alternatives.
    """
    found: dict[str, dict[str, list[Interval]]] = {}
    for number, line in enumerate(text_lines(path), start=1):
        if line.strip() and not line.lstrip().startswith(";;"):
            try:
                utterance, channel, start, duration, label, *rest = line.split()
                if rest:
                    _check_confidence(rest[0])
                interval = _interval(float(start), float(start) + float(duration), label)
            except ValueError as error:
                why = f" ({error})" if isinstance(error, _ImpossibleTimesError) else ""
                msg = (
                    f"{path}, line {number} is {line!r}{why}; a CTM line is `utterance channel start duration label`, times in seconds, "
                    f"perhaps with a confidence; alternatives are not read"
                )
                raise UserError(msg) from error
            found.setdefault(utterance, {}).setdefault(channel, []).append(interval)
    return {
        utterance: {channel: tuple(sorted(intervals)) for channel, intervals in sorted(channels.items())}
        for utterance, channels in found.items()
    }


def _check_confidence(column: str) -> None:
    """See to it that a label of two words is not taken for one and its confidence."""
    if column.upper().strip("<>") not in NO_CONFIDENCE:
        float(column)


def read_phone_file(path: Path) -> dict[str, Intervals]:
    """Read a phone file of the CPC papers: `utterance p0 p1 …`, a number every 10 ms. What stays the same is one phone.

    Raises:
        UserError: a line is something else, or an utterance stands twice.
    """
    found: dict[str, Intervals] = {}
    for number, line in enumerate(text_lines(path), start=1):
        utterance, *phones = line.split() or [""]
        if not all(phone.isdecimal() for phone in phones) or bool(utterance) != bool(phones):
            msg = f"{path}, line {number} begins {line[:40]!r}; a phone file has `utterance p0 p1 …`, a whole number for each 10 ms"
            raise UserError(msg)
        if utterance in found:
            msg = f"{path}, line {number} is the second of utterance {utterance!r}: which one is meant? Remove the other"
            raise UserError(msg)
        if phones:
            found[utterance] = tuple(_runs(phones))
    return found


def _runs(phones: Sequence[str]) -> Iterator[Interval]:
    begin = 0
    for phone, run in groupby(phones):
        end = begin + len(list(run))
        yield Interval(round(begin * PHONE_FILE_FRAME, 2), round(end * PHONE_FILE_FRAME, 2), phone)
        begin = end
