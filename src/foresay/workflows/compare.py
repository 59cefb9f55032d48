"""Is one better than the other, by how much, and could it be chance? Paired differences of all that was measured of both alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.draws import stream
from foresay.errors import UserError
from foresay.evaluation.probe import GAIN
from foresay.metrics import Interval
from foresay.results import Result, load_draws, read_results
from foresay.workflows.evaluate import RESULTS


class Measured(NamedTuple):
    """What was measured: only numbers that agree in all of this are compared."""

    measure: str
    protocol: str
    metric: str
    layer: str
    corpus: str
    split: str
    learnt_on: str
    """The corpus that a probe learnt on; empty where nothing was learnt."""


@dataclass(frozen=True)
class Difference:
    """B minus A."""

    what: Measured
    a: float
    b: float
    """Means over the runs of each side."""
    seeds: tuple[int, int]
    """Runs on each side."""
    interval: tuple[float, float] | None
    """95 %: over utterances (or what else the measure draws again), alike for both, and over the runs where there are several."""

    @property
    def value(self) -> float:
        """How much B has more than A."""
        return self.b - self.a

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def compare(a: str | Path | Sequence[str | Path], b: str | Path | Sequence[str | Path], *, seed: int = 0) -> list[Difference]:
    """Compare what `foresay evaluate` found of two runs, or of several runs on each side (other seeds of the same recipe).

    Each side: a run's folder, or several. What was measured of one side only is left out.

    Raises:
        UserError: a side has no results, or the two were never measured alike.
    """
    sides = [_side(a), _side(b)]
    common = [what for what in sides[0] if what in sides[1]]
    if not common:
        msg = (
            f"{_named(a)} and {_named(b)} have no measurement in common (measure, protocol, layer, corpus): "
            "`foresay evaluate A B --corpus … --measures …` measures both alike"
        )
        raise UserError(msg)
    return [_difference(what, sides[0][what], sides[1][what], seed) for what in common]


class _Number(NamedTuple):
    value: float
    draws: NDArray[np.float64] | None


def _side(folders: str | Path | Sequence[str | Path]) -> dict[Measured, list[_Number]]:
    """The number of each kind of each run, of its last step, and of that the one measured last."""
    found: dict[Measured, list[_Number]] = {}
    for folder in map(Path, [folders] if isinstance(folders, str | Path) else folders):
        own = [row for row in read_results(folder / RESULTS) if _own(row, folder) and row.split != "train"]
        rows = {_measured(row): row for row in sorted(own, key=lambda row: row.step or 0)}
        if not rows:
            msg = f"nothing was measured of {folder}: `foresay evaluate {folder} --corpus … --measures …` first"
            raise UserError(msg)
        for what, row in rows.items():
            found.setdefault(what, []).append(_Number(row.value, load_draws(folder, row)))
    return found


def _own(row: Result, folder: Path) -> bool:
    """Whether a row is of the run itself: not a baseline's, nor the untrained copy's, nor a difference to that.

    A run is named by the last parts of its path.
    """
    return row.step is not None and str(folder.resolve()).endswith(row.model) and not row.metric.startswith(GAIN)


def _measured(row: Result) -> Measured:
    return Measured(row.measure, row.protocol, row.metric, row.layer, row.corpus, row.split, row.details.get("trained_on", ""))


def _difference(what: Measured, a: list[_Number], b: list[_Number], seed: int) -> Difference:
    means = [float(np.mean([number.value for number in side])) for side in (a, b)]
    return Difference(what, means[0], means[1], (len(a), len(b)), _interval(a, b, seed))


def _interval(a: list[_Number], b: list[_Number], seed: int) -> tuple[float, float] | None:
    """Draw utterances, alike for both sides, and the runs of each side, again."""
    draws = [[number.draws for number in side if number.draws is not None] for side in (a, b)]
    if [len(side) for side in draws] != [len(a), len(b)] or len({len(one) for side in draws for one in side}) != 1:
        return None
    random = stream("runs", seed)
    sides = []
    for side in draws:
        table = np.stack(side)  # (runs, draws)
        chosen = random.integers(len(table), size=table.shape)
        sides.append(np.take_along_axis(table, chosen, axis=0).mean(axis=0))
    return Interval(sides[1] - sides[0])


def _named(side: str | Path | Sequence[str | Path]) -> str:
    return str(side) if isinstance(side, str | Path) else ", ".join(map(str, side))
