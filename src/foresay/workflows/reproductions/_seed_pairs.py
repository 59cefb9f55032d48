"""Two models trained with the same seeds: one table of all that was measured of both, and whether it says which is better."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from foresay.reports.wording import MINUS, amount
from foresay.results import RESULTS, read_results
from foresay.workflows.compare import Difference, Measured, compare
from foresay.workflows.reproductions._tables import markdown, mean_and_spread, rows_at_end

BASELINE = "mfcc"
FEWEST_SEEDS = 5
"""Of fewer no interval is given: drawn again, they would be the same few over and over."""


class Question(NamedTuple):
    """A number that rates, and what it is called in a table."""

    measure: str
    metric: str
    title: str


QUESTIONS = (
    Question("probe", "accuracy", "phones right, %"),
    Question("abx", "error within speakers", "ABX error within speakers, %"),
    Question("abx", "error across speakers", "ABX error across speakers, %"),
    Question("clusters", "NMI", "NMI of clusters and phones"),
    Question("segmentation", "R-value", "boundaries: R-value"),
)


def paired_table(a: Sequence[Path], b: Sequence[Path], names: tuple[str, str]) -> str:
    """Compare the runs `a` with the runs `b`, in the order of their seeds; Markdown.

    Nothing is ranked whose interval holds 0, or where seeds are fewer than `FEWEST_SEEDS`.

    The interval draws seeds again, and what the measure draws: speakers (ABX), utterances (the others).
    """
    whole = [d for d in compare(a, b) if d.seeds == (len(a), len(b))]  # what was measured of some seeds only would pair unlike ones
    found = {(d.what.measure, d.what.metric, d.what.corpus, d.what.layer): d for d in whole}
    head = ["", "measured on", "layer", *names, f"{names[1]} {MINUS} {names[0]}", "seeds for it", "decided", BASELINE.upper()]
    corpora = dict.fromkeys(corpus for _, _, corpus, _ in found)
    layers = dict.fromkeys(layer for *_, layer in found)
    rows = [
        _row(question, found[key], a, b, names)
        for question in QUESTIONS
        for corpus in corpora
        for layer in layers
        if (key := (question.measure, question.metric, corpus, layer)) in found
    ]
    return markdown(head, rows)


def _row(question: Question, difference: Difference, a: Sequence[Path], b: Sequence[Path], names: tuple[str, str]) -> list[str]:
    what = difference.what
    sides = [[_value(run, what) for run in runs] for runs in (a, b)]
    sign = -1 if what.direction == "lower" else 1
    better = sum(sign * (second - first) > 0 for first, second in zip(*sides, strict=True))
    interval = difference.interval if len(a) >= FEWEST_SEEDS else None
    ends = "" if interval is None else " [{}, {}]".format(*(amount(end, unit=what.unit, signed=True) for end in interval))
    winner = names[sign * difference.value > 0] if interval is not None and difference.certain else "no"
    return [
        question.title,
        what.corpus,
        what.layer,
        *(mean_and_spread(side, unit=what.unit) for side in sides),
        amount(difference.value, unit=what.unit, signed=True) + ends,
        f"{better} of {len(sides[0])}",
        winner,
        _baseline(a[0], what),
    ]


def _value(run: Path, what: Measured) -> float:
    return next(r.value for r in rows_at_end(run, what.measure, what.layer) if (r.corpus, r.metric) == (what.corpus, what.metric))


def _baseline(run: Path, what: Measured) -> str:
    """What was measured last of the baseline beside a run."""
    wanted = (what.measure, what.metric, what.corpus, "test")
    rows = [r for r in read_results(run / RESULTS) if r.model == BASELINE and (r.measure, r.metric, r.corpus, r.split) == wanted]
    return amount(rows[-1].value, unit=what.unit) if rows else ""
