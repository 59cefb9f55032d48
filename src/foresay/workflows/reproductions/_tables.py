"""What the tables of a paper done again are made of: numbers out of the runs' folders."""

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from scipy.stats import t as students_t

from foresay.reports.wording import amount
from foresay.results import RESULTS, Result, read_results


def rows_at_end(run: Path, measure: str, layer: str) -> Iterator[Result]:
    """Read what was measured last of a run at its end, of what it did not learn from."""
    own = [row for row in read_results(run / RESULTS) if row.step is not None and row.split != "train"]
    end = max((row.step for row in own if row.step is not None), default=0)
    found = {(r.corpus, r.metric): r for r in own if (r.step, r.measure, r.layer) == (end, measure, layer)}
    yield from found.values()


def mean_and_interval(values: Sequence[float], *, unit: str, signed: bool = False) -> str:
    """Write the mean over seeds with its 95 % interval (Student's t); of one seed there is none. Nothing of no values."""
    if not values:
        return ""
    mean = amount(statistics.mean(values), unit=unit, signed=signed)
    if len(values) == 1:
        return mean
    reach = float(students_t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    low, high = (amount(statistics.mean(values) + side, unit=unit, signed=signed) for side in (-reach, reach))
    return f"{mean} [{low}, {high}]"


def mean_and_spread(values: Sequence[float], *, unit: str) -> str:
    """Write the mean over several seeds, ± their standard deviation."""
    return f"{amount(statistics.mean(values), unit=unit)} ± {amount(statistics.stdev(values), unit=unit)}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
