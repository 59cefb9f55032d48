"""Say by how much one run is better than another, and whether that may be chance.

Each side is a run (or RUN@step), or several with commas between (the same recipe with other seeds).

Example:
    foresay evaluate runs/cpc runs/acpc --corpus corpus/test.jsonl --train-corpus corpus/train.jsonl --measures probe:converged
    foresay compare runs/cpc runs/acpc
    foresay compare runs/asr runs/asr --measures wer:greedy,wer:ngram
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from foresay.errors import UserError
from foresay.reports.wording import amount, heading
from foresay.workflows.compare import Difference, compare


@dataclass(frozen=True)
class Options:
    """Which two."""

    a: tyro.conf.Positional[str]
    """A run, or several with commas between."""
    b: tyro.conf.Positional[str]
    """The other one, or several."""
    measures: str | None = None
    """Two, with a comma between: what of A, and what of B. Default: whatever was measured of both alike."""
    seed: int = 0
    """Of the draws of runs, where there are several."""


def run(arguments: list[str]) -> None:
    """Print a table of differences."""
    options = tyro.cli(Options, prog="foresay compare", args=arguments, description=__doc__)
    found = compare(options.a.split(","), options.b.split(","), measures=_two(options.measures), seed=options.seed)
    reasons = list(dict.fromkeys(one.reason for one in found if one.reason))
    header = ("measure", "metric", "layer", "corpus", "A", "B", "B - A", "95 %", "P(B better)", "")
    lines = [header, *(_cells(one, reasons) for one in found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"A: {options.a}\nB: {options.b}\n")
    for line in lines:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\nIntervals are of the paired difference. Where zero lies within, the numbers do not say which is better.")
    print("P(B better) is the share of draws in which B is.")
    for number, reason in enumerate(reasons, start=1):
        print(f"({number}) no interval: {reason}")


def _two(measures: str | None) -> tuple[str, str] | None:
    if measures is None:
        return None
    if measures.count(",") != 1:
        msg = f"--measures takes what of A and what of B, with a comma between, such as wer:greedy,wer:ngram, not {measures!r}"
        raise UserError(msg)
    a, _, b = measures.partition(",")
    return a, b


def _cells(one: Difference, reasons: Sequence[str]) -> tuple[str, ...]:
    what = one.what
    if one.interval is not None:
        interval = "[{}, {}]".format(*(amount(end, unit=what.unit, signed=True) for end in one.interval))
    else:
        interval = f"none ({reasons.index(one.reason) + 1})" if one.reason else "none"
    more = "B" if one.value > 0 else "A"
    better = {"higher": f"{more} better", "lower": f"{'A' if more == 'B' else 'B'} better", "none": f"{more} more"}[what.direction]
    return (
        f"{what.measure}:{what.protocol}" if ":" not in what.measure else f"{what.measure}, {what.protocol}",
        heading(what.metric, what.unit),
        what.layer,
        what.corpus,
        amount(one.a, unit=what.unit),
        amount(one.b, unit=what.unit),
        amount(one.value, unit=what.unit, signed=True),
        interval,
        "" if one.improvement is None else f"{100 * one.improvement:.1f} %",
        better if one.certain else "undecided",
    )
