"""Results as a table in the terminal: rows that were measured in the same way stand together, the best in bold."""

import sys
from collections.abc import Sequence

from foresay.reports.comparisons import CONTROL
from foresay.reports.wording import GAIN, amount, gains, heading, too_few
from foresay.results import Result

BOLD, PLAIN = "\033[1m", "\033[0m"


def print_results(results: Sequence[Result], *, headlines: bool = False) -> None:
    """Print a table for each measure, protocol, metric and corpus, of what was tested (not of what was learnt from).

    `headlines`: of each measure only what is said first.
    """
    tested = [result for result in results if result.split != "train"]
    kinds = dict.fromkeys((r.measure, r.protocol, r.metric, r.corpus) for r in tested if not r.metric.startswith(GAIN))
    for kind in kinds:
        measure, protocol, metric, corpus = kind
        rows = [r for r in tested if (r.measure, r.protocol, r.metric, r.corpus) == kind]
        if headlines and not rows[0].headline:
            continue
        differences = [(measure, protocol, name, corpus) for name in gains(metric)]
        gained = {_place(r): r for r in tested if (r.measure, r.protocol, r.metric, r.corpus) in differences}
        print(f"\n{measure}:{protocol}, {heading(metric, rows[0].unit)} on {corpus}, with 95 % intervals")
        _print_rows(rows, gained)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells, the head first, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(_line(row, widths))


def _print_rows(rows: Sequence[Result], gained: dict[tuple[str, int | None, str], Result]) -> None:
    header = ["model", "updates", "layer", rows[0].metric, "", GAIN if gained else "", ""]
    lines = [[r.model, f"{r.step:,}" if r.step is not None else "", r.layer, *_cells(r), *_gain(gained.get(_place(r)))] for r in rows]
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    sign = {"lower": -1, "higher": 1, "none": 0}[rows[0].direction]
    rated = [place for place, row in enumerate(rows) if sign and not row.details.get(CONTROL)]
    best = max(rated, key=lambda place: sign * rows[place].value, default=None)
    print(_line(header, widths))
    for place, line in enumerate(lines):
        emphasis = (BOLD, PLAIN) if place == best and sys.stdout.isatty() else ("", "")
        print(_line(line, widths).join(emphasis))


def _place(result: Result) -> tuple[str, int | None, str]:
    return result.model, result.step, result.layer


def _cells(result: Result, *, signed: bool = False) -> tuple[str, str]:
    value = amount(result.value, unit=result.unit, signed=signed)
    if result.low is None or result.high is None:
        return value, f"no interval: {too_few(result.drawn)}" if result.drawn else ""
    low, high = (amount(end, unit=result.unit, signed=signed) for end in (result.low, result.high))
    return value, f"[{low}, {high}]"


def _gain(result: Result | None) -> tuple[str, str]:
    return _cells(result, signed=True) if result else ("", "")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
