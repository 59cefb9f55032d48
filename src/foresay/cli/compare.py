"""Say by how much one run is better than another, and whether that may be chance.

Each side is a run (or RUN@step), or several with commas between (the same recipe with other seeds).

Example:
    foresay evaluate runs/cpc runs/acpc --corpus corpus/test.jsonl --train-corpus corpus/train.jsonl --measures probe:converged
    foresay compare runs/cpc runs/acpc
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from foresay.reports.wording import amount, heading
from foresay.workflows.compare import Difference, compare


@dataclass(frozen=True)
class Options:
    """Which two."""

    a: tyro.conf.Positional[str]
    """A run, or several with commas between."""
    b: tyro.conf.Positional[str]
    """The other one, or several."""
    seed: int = 0
    """Of the draws of runs, where there are several."""


def run(arguments: list[str]) -> None:
    """Print a table of differences."""
    options = tyro.cli(Options, prog="foresay compare", args=arguments, description=__doc__)
    found = compare(options.a.split(","), options.b.split(","), seed=options.seed)
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


def _cells(one: Difference, reasons: Sequence[str]) -> tuple[str, ...]:
    what = one.what
    if one.interval is not None:
        interval = "[{}, {}]".format(*(amount(end, unit=what.unit, signed=True) for end in one.interval))
    else:
        interval = f"none ({reasons.index(one.reason) + 1})" if one.reason else "none"
    more = "B" if one.value > 0 else "A"
    better = {"higher": f"{more} better", "lower": f"{'A' if more == 'B' else 'B'} better", "none": f"{more} more"}[what.direction]
    return (
        f"{what.measure}:{what.protocol}",
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
