"""Say by how much one run is better than another, and whether that may be chance.

Each side is a run, or several with commas between (the same recipe with other seeds).

Example:
    foresay evaluate runs/cpc runs/acpc --corpus corpus/test.jsonl --train-corpus corpus/train.jsonl --measures probe:converged
    foresay compare runs/cpc runs/acpc
"""

from dataclasses import dataclass

import tyro

from foresay.reports.wording import amount, is_share, lower_is_better, rates
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
    header = ("measure", "metric", "layer", "corpus", "A", "B", "B - A", "95 %", "")
    lines = [header, *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"A: {options.a}\nB: {options.b}\n")
    for line in lines:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\nIntervals are of the paired difference. Where zero lies within, the numbers do not say which is better.")


def _cells(one: Difference) -> tuple[str, ...]:
    what = one.what
    interval = (
        "no interval" if one.interval is None else "[{}, {}]".format(*(amount(end, what.metric, signed=True) for end in one.interval))
    )
    better = "undecided"
    if one.certain and not rates(what.metric):
        better = "B more" if one.value > 0 else "A more"
    elif one.certain:
        better = "A better" if (one.value > 0) == lower_is_better(what.metric) else "B better"
    return (
        f"{what.measure}:{what.protocol}",
        what.metric + (" (%)" if is_share(what.metric) else ""),
        what.layer,
        what.corpus,
        amount(one.a, what.metric),
        amount(one.b, what.metric),
        amount(one.value, what.metric, signed=True),
        interval,
        better,
    )
