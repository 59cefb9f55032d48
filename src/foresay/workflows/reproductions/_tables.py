"""What the tables of a paper done again are made of: numbers out of the runs' folders."""

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from scipy.stats import t as students_t

from foresay.reports.wording import amount
from foresay.results import Result, read_results
from foresay.workflows.evaluate import RESULTS


def rows_at_end(run: Path, measure: str, layer: str) -> Iterator[Result]:
    """Read what was measured last of a run at its end, of what it did not learn from."""
    own = [row for row in read_results(run / RESULTS) if row.step is not None and row.split != "train"]
    end = max((row.step for row in own if row.step is not None), default=0)
    found = {(r.corpus, r.metric): r for r in own if (r.step, r.measure, r.layer) == (end, measure, layer)}
    yield from found.values()


def mean_and_interval(values: Sequence[float], metric: str, *, signed: bool = False) -> str:
    """Write the mean over seeds with its 95 % interval (Student's t); of one seed there is none. Nothing of no values."""
    if not values:
        return ""
    mean = amount(statistics.mean(values), metric, signed=signed)
    if len(values) == 1:
        return mean
    reach = float(students_t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    low, high = (amount(statistics.mean(values) + side, metric, signed=signed) for side in (-reach, reach))
    return f"{mean} [{low}, {high}]"


def mean_and_spread(values: Sequence[float], metric: str) -> str:
    """Write the mean over several seeds, ± their standard deviation."""
    return f"{amount(statistics.mean(values), metric)} ± {amount(statistics.stdev(values), metric)}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
