"""When each phone or word is heard, in the formats it is written in, and the label of a moment."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from foresay.corpora.manifest import Interval
from foresay.errors import UserError

PHONE_FILE_FRAME = 0.01
"""Seconds that a number of a phone file stands for: 160 samples at 16 kHz."""

# A TextGrid is a run of numbers and of strings in double quotes (a quote inside is doubled); the long form names them, the short does not.
TEXTGRID_TOKEN = re.compile(r'"(?P<text>(?:[^"]|"")*)"|(?<![\w.\[-])(?P<number>-?\d+(?:\.\d+)?(?:e-?\d+)?)(?![\w.\]])')


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


def read_textgrid(path: Path) -> dict[str, tuple[Interval, ...]]:
    """Read the interval tiers of a Praat TextGrid, long or short form, by name. Intervals without a label are left out.

    Raises:
        UserError: it is not a TextGrid.
    """
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig", errors="replace")
    tokens = (found["number"] or f'"{found["text"]}' for found in TEXTGRID_TOKEN.finditer(text))
    try:
        return _tiers(tokens)
    except (StopIteration, ValueError) as error:
        msg = f"{path} is not a TextGrid, or ends too early: Praat and the Montreal Forced Aligner write such files"
        raise UserError(msg) from error


def _tiers(tokens: Iterator[str]) -> dict[str, tuple[Interval, ...]]:
    """Read the tiers from the tokens, of which strings begin with a quote."""
    if [next(tokens), next(tokens)] != ['"ooTextFile', '"TextGrid']:
        raise ValueError
    _times = next(tokens), next(tokens)
    tiers = {}
    for _ in range(int(next(tokens))):
        kind, name = next(tokens), next(tokens)
        _times = next(tokens), next(tokens)
        count = int(next(tokens))
        if kind == '"IntervalTier':
            intervals = [Interval(float(next(tokens)), float(next(tokens)), _string(next(tokens))) for _ in range(count)]
            tiers[_string(name)] = tuple(interval for interval in intervals if interval.label)
        else:
            for _ in range(2 * count):  # a point is a time and a label
                next(tokens)
    return tiers


def _string(token: str) -> str:
    if not token.startswith('"'):
        raise ValueError
    return token[1:].replace('""', '"').strip()


def read_ctm(path: Path) -> dict[str, tuple[Interval, ...]]:
    """Read a NIST CTM file: `utterance channel start duration label` a line, in any order; `;;` begins a comment.

    Raises:
        UserError: a line is something else.
    """
    found: dict[str, list[Interval]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip() and not line.startswith(";;"):
            try:
                utterance, _channel, start, duration, label = line.split()[:5]
                found.setdefault(utterance, []).append(Interval(float(start), float(start) + float(duration), label))
            except ValueError as error:
                msg = f"{path}, line {number} is {line!r}; a CTM line is `utterance channel start duration label`, times in seconds"
                raise UserError(msg) from error
    return {utterance: tuple(sorted(intervals)) for utterance, intervals in found.items()}


def read_phone_file(path: Path) -> dict[str, tuple[Interval, ...]]:
    """Read a phone file of the CPC papers: `utterance p0 p1 …`, a number every 10 ms. What stays the same is one phone.

    Raises:
        UserError: a line is something else.
    """
    found = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            utterance, *phones = line.split() or [""]
            if not all(phone.isdecimal() for phone in phones) or bool(utterance) != bool(phones):
                msg = f"{path}, line {number} begins {line[:40]!r}; a phone file has `utterance p0 p1 …`, a whole number for each 10 ms"
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
