r"""N-gram models as ARPA files, which other toolkits read and write.

    \data\
    ngram 1=4
    ngram 2=2

    \1-grams:
    -0.52   the   -0.30       log10 p, the words, log10 of the back-off weight, with tabs between them
    …
    \end\

In the tables (`ngram_tables.py`) all is in nats. Files of KenLM, SRILM and others are read, gzipped too, where their name ends in .gz.
"""

import gzip
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.errors import UserError
from foresay.files import writing
from foresay.text.ngram_tables import END, NEVER, SPECIAL, UNKNOWN, Keys, NGrams, Numbers

_NATS = math.log(10)
_GZIP, _KENLM = b"\x1f\x8b", b"mmap lm"


def write_arpa(grams: NGrams, path: Path | str) -> None:
    """Write an ARPA file, gzipped where its name ends in .gz; read again, it is the same to the last bit."""
    names, size = grams.names, len(grams.names)
    with writing(Path(path)) as plain, _zipped(plain, path) as file:
        counts = "".join(f"ngram {order}={len(keys)}\n" for order, keys in enumerate(grams.keys, 1))
        file.write(f"\\data\\\n{counts}".encode())
        contexts: Sequence[str] = ("",)
        for order, keys in enumerate(grams.keys, 1):
            firsts, lasts = (keys // size).tolist(), (keys % size).tolist()
            contexts = [f"{contexts[first]} {names[last]}".lstrip(" ") for first, last in zip(firsts, lasts, strict=True)]
            numbers = (grams.log_probabilities[order - 1] / np.float64(_NATS)).tolist()
            file.write(f"\n\\{order}-grams:\n".encode())
            if order == len(grams.keys):
                file.writelines(f"{p:.9g}\t{gram}\n".encode() for p, gram in zip(numbers, contexts, strict=True))
                continue
            weights = (grams.backoffs[order - 1] / np.float64(_NATS)).tolist()
            file.writelines(
                f"{p:.9g}\t{gram}\n".encode() if gram in {END, UNKNOWN} else f"{p:.9g}\t{gram}\t{weight:.9g}\n".encode()
                for p, gram, weight in zip(numbers, contexts, weights, strict=True)
            )
        file.write(b"\n\\end\\\n")


def _zipped(file: BinaryIO, path: Path | str) -> AbstractContextManager[BinaryIO | gzip.GzipFile]:
    """Write through gzip, where a name asks for it; without the time, so that equal models are equal files."""
    return gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) if str(path).endswith(".gz") else nullcontext(file)


def read_arpa(path: Path | str) -> NGrams:
    """Read an ARPA file.

    Raises:
        UserError: it is none, or was cut short, or something in it cannot be; the message names the line where there is one.
    """
    with _opened(Path(path)) as lines:
        counts = _header(lines, path)
        sections = [_section(lines, order, counts, path) for order in range(1, len(counts) + 1)]
    words, ids = _vocabulary(sections[0], path)
    size = len(words) + len(SPECIAL)
    found: list[_Table] = []
    for order, section in enumerate(sections, 1):
        found.append(_table(section, order, ids, [table.keys for table in found], size, path))
    for order, table in enumerate(found[:-1], 1):
        _refuse_lost_weights(table, found[order].keys // size, sections[order - 1], path)
    return NGrams(
        words,
        tuple(table.keys for table in found),
        tuple(table.log_probabilities for table in found),
        tuple(np.nan_to_num(table.backoffs) for table in found[:-1]),
    )


@dataclass
class _Section:
    """The lines of an order, in columns."""

    first_line: list[int]
    probabilities: list[str]
    grams: list[str]
    """Words, with one space between them."""
    weights: list[str]


@dataclass
class _Table:
    keys: Keys
    log_probabilities: Numbers
    backoffs: Numbers
    """Not a number where there is none."""
    rows: NDArray[np.int64]
    """Where each stands in its section."""


_Lines: TypeAlias = Iterator[tuple[int, str]]


@contextmanager
def _opened(path: Path) -> Iterator[_Lines]:
    """Open a file; its lines that are not blank, numbered."""
    try:
        raw = path.open("rb")
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise UserError(msg) from error
    with raw:
        begin = raw.read(len(_KENLM))
        raw.seek(0)
        if begin == _KENLM:
            msg = f"{path} is a binary file of KenLM, from which n-grams cannot be read back: give the ARPA file that it was made of"
            raise UserError(msg)
        zipped = begin[: len(_GZIP)] == _GZIP
        if zipped != (path.suffix == ".gz"):
            msg = f"{path} is {'gzipped, and its name does not end' if zipped else 'not gzipped, though its name ends'} in .gz: rename it"
            raise UserError(msg)
        text = io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if zipped else raw, encoding="utf-8-sig", newline="\n")
        try:
            yield ((number, line) for number, line in enumerate((line.rstrip("\r\n") for line in text), 1) if line.strip())
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            msg = f"{path} is damaged, or no ARPA file in UTF-8: {error}"
            raise UserError(msg) from error


def _header(lines: _Lines, path: Path | str) -> list[int]:
    """Read how many n-grams there are of each order."""
    number, line = next((entry for entry in lines if not entry[1].startswith("#")), (0, ""))
    if line.strip() != "\\data\\":
        why = "is in the format iARPA of IRSTLM: convert it (compile-lm --text=yes)" if line.startswith("iARPA") else "is no ARPA file"
        msg = f"{path} {why}: its first line must be \\data\\, and line {number} is {line[:40]!r}"
        raise UserError(msg)
    counts: list[int] = []
    for number, line in lines:  # noqa: B007 - the last is named
        order, equals, count = line.removeprefix("ngram ").partition("=")
        if not line.startswith("ngram ") or not equals:
            if line.strip() == "\\1-grams:" and counts:
                return counts
            break
        if order.strip() != str(len(counts) + 1) or not count.strip().isdecimal():
            break
        counts.append(int(count))
    msg = f"{path}, line {number}: {line[:40]!r} where `ngram {len(counts) + 1}=…` or \\1-grams: was expected: no order is left out"
    raise UserError(msg)


def _section(lines: _Lines, order: int, counts: Sequence[int], path: Path | str) -> _Section:
    """Read the n-grams of an order, and the line that ends them."""
    ending = "\\end\\" if order == len(counts) else f"\\{order + 1}-grams:"
    section = _Section([], [], [], [])
    for number, line in lines:
        if line.startswith("\\"):
            if line.strip() != ending:
                msg = f"{path}, line {number}: {line[:40]!r} where {ending} was expected"
                raise UserError(msg)
            break
        fields = [field for field in line.replace("\t", " ").split(" ") if field]
        if not order + 1 <= len(fields) <= order + 2:
            msg = f"{path}, line {number}: {line[:80]!r} is no {order}-gram: a line is log10 p, {order} words, perhaps a back-off weight"
            raise UserError(msg)
        section.first_line.append(number)
        section.probabilities.append(fields[0])
        section.grams.append(" ".join(UNKNOWN if word == UNKNOWN.upper() else word for word in fields[1 : order + 1]))
        section.weights.append(fields[order + 1] if len(fields) > order + 1 else "nan")
    else:
        msg = f"{path} ends before {ending}: it was cut short. Copy or download it again"
        raise UserError(msg)
    if len(section.grams) != counts[order - 1]:
        msg = f"{path} has {len(section.grams):,} {order}-grams, and its header says {counts[order - 1]:,}: was it edited?"
        raise UserError(msg)
    return section


def _vocabulary(unigrams: _Section, path: Path | str) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the W words, sorted, and the numbers of all M symbols."""
    for special in SPECIAL:
        if special not in unigrams.grams:
            msg = f"{path} lacks {special} among its 1-grams. Add it, with log10 p -99 if it never comes, and count it in the header"
            raise UserError(msg)
    words = tuple(sorted(set(unigrams.grams) - set(SPECIAL)))
    return words, {name: number for number, name in enumerate((*words, *SPECIAL))}


def _table(section: _Section, order: int, ids: dict[str, int], below: Sequence[Keys], size: int, path: Path | str) -> _Table:
    """Sort the n-grams of an order."""
    try:
        words = np.array([ids[word] for gram in section.grams for word in gram.split(" ")], dtype=np.int64).reshape(-1, order)
    except KeyError as error:
        row = next(row for row, gram in enumerate(section.grams) if error.args[0] in gram.split(" "))
        msg = f"{path}, line {section.first_line[row]}: {error.args[0]!r} is not among the 1-grams"
        raise UserError(msg) from error
    places = words[:, 0]
    for last, shorter in enumerate(below, 1):
        if last > 1:
            places = _places(shorter, places * size + words[:, last - 1], section, last, path)
    keys = places * size + words[:, -1] if order > 1 else places
    rows = np.argsort(keys, kind="stable")
    keys = keys[rows]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        one, other = (section.first_line[rows[twice[0] + step]] for step in (0, 1))
        msg = f"{path}, lines {one} and {other}: the same {order}-gram {section.grams[rows[twice[0]]]!r}"
        raise UserError(msg)
    log_probabilities, weights = (_numbers(column, section, path) for column in (section.probabilities, section.weights))
    wrong = np.flatnonzero(~(log_probabilities <= 0))
    if len(wrong):
        row = wrong[0]
        msg = f"{path}, line {section.first_line[row]}: log10 p is {section.probabilities[row]}, which must be a number, 0 or less"
        raise UserError(msg)
    endless = np.flatnonzero(weights == np.inf)
    if len(endless):
        row = endless[0]
        msg = f"{path}, line {section.first_line[row]}: log10 of the back-off weight is {section.weights[row]}, which must be finite"
        raise UserError(msg)
    return _Table(keys, _in_nats(log_probabilities[rows]), _in_nats(weights[rows]), rows)


def _places(keys: Keys, wanted: Keys, section: _Section, order: int, path: Path | str) -> Keys:
    """Find n-grams by their keys."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    lost = np.flatnonzero(keys[at] != wanted) if len(keys) else np.arange(len(wanted))
    if len(lost):
        gram = section.grams[lost[0]]
        msg = (
            f"{path}, line {section.first_line[lost[0]]}: {gram!r} begins with {' '.join(gram.split(' ')[:order])!r}, which is not among "
            f"the {order}-grams, so that it could never be reached ({len(lost):,} are like it). Some ways to prune do that: prune less, or "
            "estimate the model from its text"
        )
        raise UserError(msg)
    return at


def _numbers(column: Sequence[str], section: _Section, path: Path | str) -> NDArray[np.float64]:
    try:
        return np.array(column, dtype=np.float64)
    except ValueError:
        for row, value in enumerate(column):
            try:
                float(value)
            except ValueError as error:
                msg = f"{path}, line {section.first_line[row]}: {value!r} is no number"
                raise UserError(msg) from error
        raise


def _in_nats(log10: NDArray[np.float64]) -> Numbers:
    return (np.maximum(log10, NEVER) * _NATS).astype(np.float32)


def _refuse_lost_weights(table: _Table, contexts: Keys, section: _Section, path: Path | str) -> None:
    """Refuse an n-gram that others begin with, and that has no back-off weight."""
    lost = np.flatnonzero(np.isnan(table.backoffs) & (np.bincount(contexts, minlength=len(table.keys)) > 0))
    if len(lost):
        row = table.rows[lost[0]]
        msg = (
            f"{path}, line {section.first_line[row]}: {section.grams[row]!r} has no back-off weight, though longer n-grams begin with it "
            f"({len(lost):,} are like it). The column was lost: write the file again"
        )
        raise UserError(msg)
