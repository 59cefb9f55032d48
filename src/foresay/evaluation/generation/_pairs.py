"""Pairs of recordings, of which one is right: does a model of speech find it the likelier one? (ZeroSpeech 2021, arXiv:2011.11588)

    RIGHT.wav --> units --> log p of each by those before it --> mean, or sum     1 where RIGHT has the higher one,
    WRONG.wav --> units --> log p of each by those before it --> mean, or sum     1/2 where they are equal, or else 0

Several voices say a pair: its score is the mean over them, and an accuracy the mean over pairs. An interval draws pairs again. What needs
no model stands beside it: `length` (the one with fewer units is right), `unigram` and `bigram` (n-grams of the units of --train-corpus).
What these reach is no knowledge of the language.

A `gold.csv` says which recording is right; `filename` is what the id of an item ends with. `foresay corpus import folder DIR DIR` makes
the manifest of a data set that was unpacked into DIR. The protocol `official` keeps the faults of the published scorer, but refuses
recordings that are missing; `repaired` leaves their pairs out, and says how many.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.contracts import Extractor, TokenModel
from foresay.corpora.manifest import Manifest
from foresay.corpora.reader import table, without_suffix
from foresay.corpora.utterances import ById
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.generation._units import (
    Units,
    count_units,
    encode_units,
    joined,
    said_of_training,
    said_of_windows,
    score_symbols,
    score_units,
    token_model,
)
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import Metric, Result
from foresay.statistics.intervals import bootstrap, bootstrap_difference

Row: TypeAlias = Mapping[str, str]
"""Of a `gold.csv`: by column."""

MODEL, LENGTH, UNIGRAM, BIGRAM = "language model", "length", "unigram", "bigram"
ACCURACY, BY_SUM, GAIN = "accuracy", "accuracy by sum", "gain over bigram"
CONTROL = "control"
"""The detail that marks a row of a model as none of its making."""
NAMED = 5


@dataclass(frozen=True)
class PairProtocol:
    """Which pairs, and how they are counted."""

    name: str
    gold: str
    """File that says which recording is right: its path from the folder of the manifest."""
    published: bool = False
    """Whether the faults of the published scorer are kept."""


class Pair(NamedTuple):
    """A right and a wrong recording."""

    id: str
    """Pairs of an id differ in their voice."""
    voice: str
    right: str
    """The name of a recording."""
    wrong: str
    kinds: Mapping[str, str] = {}
    """What else the accuracy is given by: the kind of error, say."""


@dataclass(frozen=True)
class Judged:
    """What became of the pairs."""

    ids: Sequence[str]
    """(N,)"""
    values: NDArray[np.float64]
    """(N,) of each id the mean over its voices: from 0 to 1."""
    ties: int
    """Pairs of equal scores."""


class _Found(NamedTuple):
    """Pairs of which both recordings are there."""

    pairs: Sequence[Pair]
    places: Mapping[str, int]
    """Of recordings, by their names."""
    lacking: Sequence[str]
    """Names of recordings that are not there, or last less than a unit."""
    left_out: int
    """Pairs."""


def judge(pairs: Sequence[Pair], scores: Mapping[str, float]) -> Judged:
    """Compare the scores of the recordings of pairs, by their names; take the mean over the voices of an id."""
    values: dict[str, list[float]] = defaultdict(list)
    for pair in pairs:
        right, wrong = scores[pair.right], scores[pair.wrong]
        values[pair.id].append(0.5 if right == wrong else float(right > wrong))
    ties = sum(scores[pair.right] == scores[pair.wrong] for pair in pairs)
    return Judged(list(values), np.array([np.mean(own) for own in values.values()]), ties)


class PairMeasure(Measure[PairProtocol], ABC):
    """Share of pairs of which the right recording is found the likelier one."""

    by_layer = False
    beside = ("*/*/gold.csv",)
    metrics: ClassVar[Mapping[str, Metric]] = {
        ACCURACY: Metric("higher", "%", headline=True),
        BY_SUM: Metric("higher", "%"),
        GAIN: Metric("higher", "%"),
    }

    def __init__(self, protocol: PairProtocol) -> None:
        super().__init__(protocol)
        self.files = [Path(protocol.gold)] if Path(protocol.gold).is_absolute() else []

    @abstractmethod
    def pairs(self, manifest: Manifest) -> list[Pair]:
        """List the pairs that belong to a corpus.

        Raises:
            UserError: nothing says which they are, or a recording has no counterpart.
        """

    def some(self, pairs: Sequence[Pair]) -> Mapping[str, Sequence[Pair]]:  # noqa: ARG002 - some measures have them
        """Some of the pairs, by the metric that is their accuracy."""
        return {}

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a language model of units."""
        return isinstance(model, TokenModel)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Score the pairs of `corpora.test`; n-grams are counted in `corpora.train`.

        Raises:
            UserError: a model is no language model of units, there is no corpus to count in, or no pair is there.
        """
        train, test = corpora.both(f"the control of {self.name}, an n-gram of units,")
        found = self._find(test)
        return [row for subject in with_untrained(subjects) for row in self._rows(subject, found, train, test, seed, device)]

    def _find(self, manifest: Manifest) -> _Found:
        pairs = self.pairs(manifest)
        names = dict.fromkeys(name for pair in pairs for name in (pair.right, pair.wrong))
        places = find_recordings(manifest, names, self.protocol.gold)
        whole = [pair for pair in pairs if pair.right in places and pair.wrong in places]
        if not whole:
            msg = (
                f"{manifest.name} has no pair of {self.protocol.gold or self.name} (it begins with {next(iter(names), 'none')!r}): "
                f"give the manifest of the whole data set (`foresay corpus import folder DIR DIR`), or --option {self.name}.gold=PATH"
            )
            raise UserError(msg)
        return _Found(whole, places, sorted(names.keys() - places.keys()), len(pairs) - len(whole))

    def _rows(self, subject: Subject, found: _Found, train: Manifest, test: Manifest, seed: int, device: str) -> Iterator[Result]:
        started = perf_counter()
        model = token_model(subject, self.name)
        units = encode_units(subject, test, device, set(found.places.values()))
        counted = encode_units(subject, train, device)
        found = self._long_enough(found, units, test)
        scored = {
            MODEL: score_units(model, units, device),
            BIGRAM: score_symbols(count_units(counted, 2), units),
            UNIGRAM: score_symbols(count_units(counted, 1), units),
        }
        means = {name: {place: float(row.double().mean()) for place, row in rows.items()} for name, rows in scored.items()}
        means[LENGTH] = {place: -float(len(own)) for place, own in units.items()}
        judged = {name: judge(found.pairs, _by_name(scores, found.places)) for name, scores in means.items()}
        where = Where("test", test, seed, started, Population("pairs", judged[MODEL].ids))
        about, windows = _lengths(found, units) | self._left_out(found), said_of_windows(model, units)
        learnt = {name: {"trained_on": train.name} if name in {UNIGRAM, BIGRAM} else {} for name in means}
        for name, scores in means.items():
            named, said = _by_name(scores, found.places), joined(about, windows if name == MODEL else {}, learnt[name])
            yield self._accuracy(
                subject, name, ACCURACY, judged[name], where, ties=judged[name].ties, by=_by_kind(found.pairs, named), **said
            )
            for metric, pairs in self.some(found.pairs).items():
                part = judge(pairs, named)
                over = where._replace(over=Population("pairs", part.ids))
                yield self._accuracy(subject, name, metric, part, over, pairs=len(part.ids), **learnt[name])
        for name, rows in scored.items():
            sums = {place: float(row.double().sum()) for place, row in rows.items()}
            yield self._accuracy(subject, name, BY_SUM, judge(found.pairs, _by_name(sums, found.places)), where, **learnt[name])
        ours, control, ones = judged[MODEL].values, judged[BIGRAM].values, np.ones(len(judged[MODEL].ids))
        difference = bootstrap_difference(ours, ones, control, ones, seed=seed)
        gained, about = float((ours - control).mean()), {"trained_on": train.name, **said_of_training(subject, Corpora(test, train))}
        yield self.row(subject, MODEL, GAIN, gained, difference, where, **about)

    def _accuracy(self, subject: Subject, name: str, metric: str, judged: Judged, where: Where, **details: Any) -> Result:  # noqa: ANN401
        interval = bootstrap(judged.values, np.ones(len(judged.values)), seed=where.seed)
        control = {} if name == MODEL else {CONTROL: True}
        return self.row(subject, name, metric, float(judged.values.mean()), interval, where, **details, **control)

    def _long_enough(self, found: _Found, units: Units, manifest: Manifest) -> _Found:
        """Leave out pairs with a recording that lasts less than a unit; where the published scorer is followed, none may be left out."""
        short = {name for name, place in found.places.items() if place not in units}
        lacking = sorted({*found.lacking, *short})
        if lacking and self.protocol.published:
            msg = (
                f"{len(lacking):,} recordings of {self.protocol.gold} are not in {manifest.name}, or last less than a unit, such as "
                f"{lacking[0]!r}: the published scorer would count their pairs as lost. Complete the data set, or take {self.name}:repaired"
            )
            raise UserError(msg)
        pairs = [pair for pair in found.pairs if not {pair.right, pair.wrong} & short]
        if not pairs:
            msg = f"in every pair of {manifest.name} a recording lasts less than a unit: there is nothing to compare"
            raise UserError(msg)
        return _Found(pairs, found.places, lacking, found.left_out + len(found.pairs) - len(pairs))

    def _left_out(self, found: _Found) -> dict[str, Any]:
        """Say what is left out."""
        if not found.left_out:
            return {}
        first = ", ".join(found.lacking[:NAMED]) + (", …" if len(found.lacking) > NAMED else "")
        note = f"{self.name}: {found.left_out:,} pairs are left out, whose recordings are not there or last less than a unit: {first}"
        return {"left_out_pairs": found.left_out, "note": note}


def gold_rows(manifest: Manifest, gold: str, *columns: str) -> tuple[Path, list[Row]]:
    """Read some columns of a `gold.csv` and the names of recordings, without their ending; return where it lies, too.

    Raises:
        UserError: there is no such file, or it has not these columns.
    """
    path = manifest.path.parent / gold
    if not path.is_file():
        msg = (
            f"{path} says which recordings are right, and is not there: give a manifest that lies in the folder of the data set "
            "(`foresay corpus import folder DIR DIR`, `foresay corpus make spoken-pairs DIR`), or the path from its folder with "
            "--option MEASURE.gold=PATH"
        )
        raise UserError(msg)
    rows = table(path, "filename", *columns)
    return path, [{**row, "filename": without_suffix(row["filename"])} for row in rows]


def is_right(row: Row, where: Path) -> bool:
    """Whether a row is of the right recording of its pair.

    Raises:
        UserError: it does not say.
    """
    if row["correct"] in {"0", "1"}:
        return row["correct"] == "1"
    msg = f"{where}: {row['filename']} is {row['correct']!r}, and a recording is correct (1) or not (0)"
    raise UserError(msg)


def paired(rows: Sequence[Row], by: Sequence[str], where: Path, *, by_place: bool = False) -> list[tuple[Row, Row]]:
    """Put right rows and wrong ones together that are equal in some columns; or, as published scorers do, the first with the first.

    Raises:
        UserError: a row has no counterpart, or several.
    """
    right, wrong = ([row for row in rows if is_right(row, where) is kind] for kind in (True, False))
    if by_place:
        if len(right) != len(wrong):
            msg = f"{where} has {len(right)} correct rows and {len(wrong)} incorrect ones, which cannot be paired by place: was it cut?"
            raise UserError(msg)
        return list(zip(right, wrong, strict=True))
    halves = [{tuple(row[column] for column in by): row for row in half} for half in (right, wrong)]
    for half, known, others in zip((right, wrong), halves, reversed(halves), strict=True):
        for row in half:
            key = tuple(row[column] for column in by)
            if known[key] is not row or key not in others:
                what = "has no counterpart" if key not in others else f"is not the only one with correct = {row['correct']}"
                named = ", ".join(f"{column} {value}" for column, value in zip(by, key, strict=True))
                msg = f"{where}: {row['filename']} ({named}) {what}: a pair is a right recording and a wrong one. Was the file cut short?"
                raise UserError(msg)
    return [(row, halves[1][key]) for key, row in halves[0].items()]


def find_recordings(manifest: Manifest, names: Collection[str], gold: str) -> dict[str, int]:
    """Find recordings by what their ids end with, in the folder of a `gold.csv` if ids say in which they lie."""
    folder = Path(gold).parent.as_posix()
    inside = [place for place, name in enumerate(manifest.ids) if name.startswith(f"{folder}/")] or range(len(manifest))
    known = ById(manifest.path.parent / gold, {name: name for name in names})
    return {name: place for place in inside if (name := known.get(manifest.ids[place])) is not None}


def _by_kind(pairs: Sequence[Pair], scores: Mapping[str, float]) -> dict[str, dict[str, tuple[float, int]]]:
    """Return the accuracy of each kind of pair, and how many pairs are of it."""
    found: dict[str, dict[str, tuple[float, int]]] = {}
    for what in sorted({what for pair in pairs for what in pair.kinds}):
        for kind in sorted({pair.kinds[what] for pair in pairs}):
            values = judge([pair for pair in pairs if pair.kinds[what] == kind], scores).values
            found.setdefault(what, {})[kind] = float(values.mean()), len(values)
    return found


def _by_name(scores: Mapping[int, float], places: Mapping[str, int]) -> dict[str, float]:
    return {name: scores[place] for name, place in places.items() if place in scores}


def _lengths(found: _Found, units: Units) -> dict[str, Any]:
    """Count, and say how many units both members have on average."""
    right, wrong = ([len(units[found.places[name]]) for name in names] for names in zip(*(pair[2:4] for pair in found.pairs), strict=True))
    return {
        "pairs": len({pair.id for pair in found.pairs}),
        "voices": len({pair.voice for pair in found.pairs}),
        "comparisons": len(found.pairs),
        "units_right": float(np.mean(right)),
        "units_wrong": float(np.mean(wrong)),
    }
