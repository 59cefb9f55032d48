"""Is one better than the other, by how much, and could it be chance? Paired differences of all that was measured of both alike."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foresay.draws import stream
from foresay.errors import UserError, at_least
from foresay.evaluation.probes.probe import GAIN
from foresay.fingerprint import of_saved
from foresay.loading import locate
from foresay.results import FEWEST, RESULTS, Direction, Result, middle, read_results, with_draws
from foresay.runs import read_weights
from foresay.settings import read_toml_file

Side: TypeAlias = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Measured:
    """What was measured: only numbers that agree in all of this are compared, but for what corpora are called."""

    measure: str
    protocol: str
    metric: str
    layer: str
    corpus: str = field(compare=False)
    split: str
    learnt_on: str = field(compare=False)
    """The corpus that a probe learnt on; empty where nothing was learnt."""
    data: str
    """A digest of what both corpora hold; their names, where an older version wrote none."""
    unit: str
    direction: Direction


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
    reason: str = ""
    """Why there is no interval, where there could be one."""
    improvement: float | None = None
    """P(B better): the share of draws in which B is the better one, of equal ones half; None where there is no interval or no better.
    Of error rates it is the probability of improvement of Bisani and Ney (ICASSP 2004)."""

    @property
    def value(self) -> float:
        """How much B has more than A."""
        return self.b - self.a

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def compare(a: Side, b: Side, *, measures: tuple[str, str] | None = None, seed: int = 0) -> list[Difference]:
    """Compare what `foresay evaluate` found of two runs, or of several runs on each side (other seeds of the same recipe).

    Each side: a run's folder (or `RUN@step`), or several. Whose number a line of `results.jsonl` is follows from weights and
    settings, not names: a run may have been renamed, moved or copied. What was measured of one side only is left out. An interval there is
    only of numbers that were drawn alike: of the same utterances (speakers, items), with the same seed.

    `measures`: what was measured of A is compared with something else of B, on the same corpus: `("wer:greedy", "wer:ngram")` of one
    recognizer says what the language model brings.

    Raises:
        UserError: a side has no results, or a run twice, or the two were never measured alike; a file is damaged.
    """
    at_least(0, seed=seed)
    of_a, of_b = (_runs(_models(side), measures, place) for place, side in enumerate((a, b)))
    runs = [*of_a, *of_b]
    common = [what for what in runs[0] if all(what in run for run in runs)]
    if not common:
        msg = (
            f"{_named(a)} and {_named(b)} have no measurement in common (measure, protocol, layer, and what corpora hold): "
            f"`foresay evaluate A B --corpus … --measures …` measures both alike{_other_data(runs)}"
        )
        raise UserError(msg)
    return [_difference(what, [run[what] for run in of_a], [run[what] for run in of_b], seed) for what in common]


BySeed: TypeAlias = dict[int, Result]
"""The number measured last with each seed, in the order of measuring."""


def _models(side: Side) -> list[str]:
    return [str(model) for model in ([side] if isinstance(side, str | Path) else side)]


def _runs(models: Sequence[str], measures: tuple[str, str] | None, side: int) -> list[dict[Measured, BySeed]]:
    """The numbers of each run of a side. One that came twice would count for two, and make intervals too narrow."""
    runs = [_numbers(model, measures, side) for model in models]
    known: dict[str, int] = {}
    for place, run in enumerate(runs):
        for weights in {row.model_fingerprint for by_seed in run.values() for row in by_seed.values()}:
            if (first := known.setdefault(weights, place)) != place:
                msg = f"{models[first]} and {models[place]} on one side have the same weights: give each run once, without its copies"
                raise UserError(msg)
    return runs


def _numbers(model: str, measures: tuple[str, str] | None, side: int) -> dict[Measured, BySeed]:
    """The numbers of a model, by what was measured: all of them, or those that `measures` names for its side."""
    folder = _folder(model)
    rows = [row for row in read_results(folder / RESULTS) if row.split != "train" and not row.metric.startswith(GAIN)]
    own = _own(model, rows)
    if measures:
        known = dict.fromkeys(f"{row.measure}:{row.protocol}" for row in own)
        own = [row for row in own if f"{row.measure}:{row.protocol}" == measures[side]]
        if not own:
            msg = f"{measures[side]} was not measured of {model}: known are {', '.join(known)}"
            raise UserError(msg)
    found: dict[Measured, BySeed] = {}
    for row in with_draws(folder, own):
        by_seed = found.setdefault(_measured_by(row, measures) if measures else _measured(row), {})
        by_seed.pop(row.seed, None)  # of two alike the later counts
        by_seed[row.seed] = row
    return found


def _folder(model: str) -> Path:
    folder, at, step = model.rpartition("@")
    return Path(folder if at and step.isdigit() else model)


def _own(model: str, rows: Sequence[Result]) -> list[Result]:
    """The rows that are of the model's own weights. Where those are gone, of the last step of the only run that the rows name."""
    again = f"`foresay evaluate {model} --corpus … --measures …`"
    if not rows:
        msg = f"nothing was measured of {model}: {again} first"
        raise UserError(msg)
    try:
        description, weights = locate(model)
    except UserError:
        return _of_one_run(model, rows)
    identity = of_saved(read_weights(weights), read_toml_file(description))
    own = [row for row in rows if row.model_fingerprint == identity]
    if not own:
        others = ", ".join(dict.fromkeys(f"{row.model} at step {row.step}" for row in rows if row.step is not None)) or "no run"
        msg = (
            f"nothing was measured of {model} as it is now: what stands in its {RESULTS} is of other weights or settings ({others}), or "
            f"was written by a version that did not say of which: {again} measures it"
        )
        raise UserError(msg)
    return own


def _of_one_run(model: str, rows: Sequence[Result]) -> list[Result]:
    trained = [row for row in rows if row.step is not None and row.model_fingerprint]
    names = sorted({row.model for row in trained})
    if len(names) != 1:
        msg = (
            f"{model} holds no weights, and its {RESULTS} names {len(names)} trained models{': ' if names else ''}{', '.join(names)}. "
            "Whose numbers are meant cannot be known: give the folder of a run, with its model"
        )
        raise UserError(msg)
    last = max(row.step for row in trained if row.step is not None)
    return [row for row in trained if row.step == last]


def _measured_by(row: Result, measures: tuple[str, str]) -> Measured:
    """What was measured, by one of two measures: what a measure takes beside the corpus may differ."""
    return replace(_measured(row), measure=measures[0], protocol=measures[1], data=row.details.get("tested_on", row.data_fingerprint))


def _measured(row: Result) -> Measured:
    learnt_on = row.details.get("trained_on", "")
    return Measured(
        row.measure,
        row.protocol,
        row.metric,
        row.layer,
        row.corpus,
        row.split,
        learnt_on,
        row.data_fingerprint or f"{row.corpus} {learnt_on}",
        row.unit,
        row.direction,
    )


def _difference(what: Measured, a: Sequence[BySeed], b: Sequence[BySeed], seed: int) -> Difference:
    alike = [number for number in a[0] if all(number in run for run in (*a, *b))]  # seeds with which all were measured
    of_a, of_b = ([run[alike[-1]] if alike else list(run.values())[-1] for run in side] for side in (a, b))
    means = [float(np.mean([row.value for row in side])) for side in (of_a, of_b)]
    reason = _unpaired(of_a, of_b)
    if reason or of_a[0].drawn is None:
        return Difference(what, means[0], means[1], (len(a), len(b)), None, reason)
    drawn = _drawn_differences(of_a, of_b, seed)
    return Difference(what, means[0], means[1], (len(a), len(b)), middle(drawn), improvement=_improvement(drawn, what.direction))


def _unpaired(a: Sequence[Result], b: Sequence[Result]) -> str:
    """Say why the numbers of runs cannot be paired; nothing where they can, or have no interval by nature."""
    rows = [*a, *b]
    drawn = [row.drawn for row in rows if row.drawn is not None]
    few = min(drawn, key=lambda one: one.count, default=None)
    if few is None:
        return ""
    seeds = [" and ".join(map(str, sorted({row.seed for row in side}))) for side in (a, b)]
    faults = {
        f"{few.count} {few.what}, of which at least {FEWEST} are needed": few.count < FEWEST,
        f"drawn with other seeds (A {seeds[0]}, B {seeds[1]}): evaluate all with one --seed": len({row.seed for row in rows}) > 1,
        "drawn by other versions of Foresay: evaluate all with one": len({row.version for row in rows}) > 1,
        f"too few of the {few.what} count": any(row.low is None for row in rows),
        "the draws are not in artifacts/: the same `foresay evaluate` makes them again": any(row.draws is None for row in rows),
        _other_names(few.what, rows): len(set(drawn)) > 1,
    }
    return next((why for why, found in faults.items() if found), "")


def _other_names(what: str, rows: Sequence[Result]) -> str:
    """Say which utterances some count and others do not."""
    sets: list[set[str]] = [set(row.draws.names) for row in rows if row.draws is not None]
    lacking = sorted(set().union(*sets) - set(sets[0]).intersection(*sets)) if sets else []
    some = f": {', '.join(lacking[:3])}{', …' if len(lacking) > 3 else ''}" if lacking else ""  # noqa: PLR2004 - enough to look at
    return f"other {what} were drawn; {len(lacking):,} count in one only{some}"


def _drawn_differences(a: Sequence[Result], b: Sequence[Result], seed: int) -> NDArray[np.float64]:
    """Draw utterances, alike for both sides, and the runs of each side, again: B minus A in each draw (draws,)."""
    random = stream("runs", seed)
    sides = []
    for side in (a, b):
        table = np.stack([row.draws.values for row in side if row.draws is not None])  # (runs, draws)
        chosen = random.integers(len(table), size=table.shape)
        sides.append(np.take_along_axis(table, chosen, axis=0).mean(axis=0))
    return np.asarray(sides[1] - sides[0])


def _improvement(drawn: NDArray[np.float64], direction: Direction) -> float | None:
    """In which share of differences (draws,) B is the better one; equal ones count half."""
    sign = {"higher": 1, "lower": -1, "none": 0}[direction]
    return float(np.mean(np.sign(sign * drawn) / 2 + 0.5)) if sign else None


def _other_data(runs: Sequence[Mapping[Measured, BySeed]]) -> str:
    """Add what differs where only the content of corpora does."""
    named = [{astuple(replace(what, data="")): what.corpus for what in run} for run in runs]
    alike = sorted({corpus for what, corpus in named[0].items() if all(what in run for run in named)})
    what = "what stands in these manifests was not the same, or the search was not"
    return f". Both were measured on {' and '.join(alike)}, but {what}" if alike else ""


def _named(side: Side) -> str:
    return ", ".join(_models(side))
