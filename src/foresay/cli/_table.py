"""Results as a table in the terminal: what was measured alike stands together, the best in bold."""

import sys
from collections.abc import Sequence

from foresay.reports.wording import GAIN, amount, gains, headline, is_share, lower_is_better, rates
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
        if headlines and metric not in headline(measure, [m for of, _, m, _ in kinds if of == measure]):
            continue
        rows = [r for r in tested if (r.measure, r.protocol, r.metric, r.corpus) == kind]
        differences = [(measure, protocol, name, corpus) for name in gains(metric)]
        gained = {_place(r): r for r in tested if (r.measure, r.protocol, r.metric, r.corpus) in differences}
        unit = " (%)" if is_share(metric) else ""
        print(f"\n{measure}:{protocol}, {metric}{unit} on {corpus}, with 95 % intervals")
        _print_rows(rows, gained, metric)


def _print_rows(rows: Sequence[Result], gained: dict[tuple[str, int | None, str], Result], metric: str) -> None:
    header = ["model", "updates", "layer", metric, "", GAIN if gained else "", ""]
    lines = [
        [r.model, f"{r.step:,}" if r.step is not None else "", r.layer, *_cells(r, metric), *_gain(gained.get(_place(r)), metric)]
        for r in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    best = (min if lower_is_better(metric) else max)(range(len(rows)), key=lambda i: rows[i].value) if rates(metric) else None
    print(_line(header, widths))
    for place, line in enumerate(lines):
        emphasis = (BOLD, PLAIN) if place == best and sys.stdout.isatty() else ("", "")
        print(_line(line, widths).join(emphasis))


def _place(result: Result) -> tuple[str, int | None, str]:
    return result.model, result.step, result.layer


def _cells(result: Result, metric: str, *, signed: bool = False) -> tuple[str, str]:
    if result.low is None or result.high is None:
        return amount(result.value, metric, signed=signed), ""
    low, high = (amount(end, metric, signed=signed) for end in (result.low, result.high))
    return amount(result.value, metric, signed=signed), f"[{low}, {high}]"


def _gain(result: Result | None, metric: str) -> tuple[str, str]:
    return _cells(result, metric, signed=True) if result else ("", "")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
