"""Results side by side: what was measured alike stands in one table, references first, the best in bold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from foresay.reports.canvas import INK, PAPER, SOFT, draw, series_color
from foresay.reports.markup import Html, join, row, table, tag
from foresay.reports.record import Record
from foresay.reports.wording import amount, interval, lower_is_better, unit
from foresay.results import Result

TITLES = {"probe": "Linear phone probe"}
"""Measures, by their names in `--measures`."""

GAIN = "gain"
"""A metric with this word in its name is a difference to the untrained copy: it stands beside its metric, not in a table of its own."""

UNTRAINED = " (untrained)"


class Kind(NamedTuple):
    """What must be alike for numbers to be compared."""

    measure: str
    protocol: str
    metric: str
    corpus: str
    split: str


@dataclass(frozen=True)
class Line:
    """A row of a comparison."""

    result: Result
    label: str
    run: int | None
    """The place of its run on the page, which gives its color; None for a reference, which no run trained."""
    gain: Result | None
    """Over its untrained copy."""

    @property
    def untrained(self) -> bool:
        """Whether this is a run's untrained copy."""
        return self.result.model.endswith(UNTRAINED)


@dataclass(frozen=True)
class Comparison:
    """Numbers that were measured alike."""

    kind: Kind
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """What was measured, in words."""
        return TITLES.get(self.kind.measure, self.kind.measure)

    @property
    def metric(self) -> str:
        """The metric, in words."""
        return self.kind.metric.replace("_", " ")

    @property
    def best(self) -> Line | None:
        """The best of all lines."""
        return self.best_of(self.lines)

    def best_of(self, lines: Iterable[Line]) -> Line | None:
        """Return the best of some lines, or None where no number has an interval: a count has no best."""
        measured = [line for line in lines if line.result.low is not None]
        sign = -1 if lower_is_better(self.kind.metric) else 1
        return max(measured, key=lambda line: sign * line.result.value, default=None)


def compare(records: Sequence[Record]) -> list[Comparison]:
    """Put the results of all runs side by side, in the order of measuring. What was measured twice counts as it was last."""
    latest: dict[tuple[Any, ...], tuple[int | None, Result]] = {}
    for place, record in enumerate(records):
        trained = {result.model for result in record.results if result.step is not None}
        for result in record.results:
            run = place if result.model.removesuffix(UNTRAINED) in trained else None
            latest[run, _kind(result), result.model, result.layer, result.step, result.seed] = run, result
    values = [pair for pair in latest.values() if GAIN not in pair[1].metric]
    gains = [pair for pair in latest.values() if GAIN in pair[1].metric]
    kinds = dict.fromkeys(_kind(result) for _, result in values)
    return [_comparison(kind, [pair for pair in values if _kind(pair[1]) == kind], gains, records) for kind in kinds]


def results_section(comparisons: Sequence[Comparison]) -> Html:
    """Every comparison as a picture and a table."""
    if not comparisons:
        command = "foresay evaluate RUN --corpus TEST.jsonl --train-corpus TRAIN.jsonl --measures probe:paper --layers z,c"
        return tag(
            "p",
            "Nothing was measured yet. This measures how well phones can be read off the layers: ",
            tag("code", command),
            class_="missing",
        )
    return join(
        tag("section", *_article(comparison, f"results-{i}"), class_="comparison") for i, comparison in enumerate(comparisons, start=1)
    )


def _comparison(
    kind: Kind, values: Sequence[tuple[int | None, Result]], gains: Sequence[tuple[int | None, Result]], records: Sequence[Record]
) -> Comparison:
    steps = len({result.step for _, result in values if result.step is not None}) > 1
    seeds = len({result.seed for _, result in values}) > 1
    lines = []
    for run, result in values:
        several = run is None or len({r.model.removesuffix(UNTRAINED) for at, r in values if at == run}) > 1
        name = result.model if several or run is None else records[run].name + (", untrained" if result.model.endswith(UNTRAINED) else "")
        label = (
            name + (f", {result.step:,} updates" if steps and result.step is not None else "") + (f", seed {result.seed}" if seeds else "")
        )
        mine = (run, result.model, result.layer, result.step, result.seed)
        gain = next((g for at, g in gains if (at, g.model, g.layer, g.step, g.seed) == mine and _same_measure(g, kind)), None)
        lines.append(Line(result, label, run, gain))
    lines.sort(key=lambda line: (line.run is not None, line.run or 0, not line.untrained))
    return Comparison(kind, tuple(lines))


def _article(comparison: Comparison, name: str) -> list[Html]:
    kind = comparison.kind
    best = comparison.best
    sign = unit(kind.metric)
    gains = any(line.gain for line in comparison.lines)
    rows = []
    for line in comparison.lines:
        result = line.result
        value = amount(result.value, kind.metric)
        cells = [
            "" if result.layer in {"", result.model} else result.layer,
            tag("b", value) if line is best else value,
            interval(result.low, result.high, kind.metric),
        ]
        if gains:
            cells += [_gain(line, kind.metric)]
        rows.append(row(_named(line), *cells, class_="best" if line is best else None))
    head = [
        "",
        "layer",
        f"{comparison.metric}{f' ({sign})' if sign else ''}",
        "95% interval",
        *(["over untrained"] if gains else []),
    ]
    where = f"Protocol {kind.protocol}, on {kind.corpus}, {kind.split}."
    picture = [_draw(comparison, name)] if best is not None and len(comparison.lines) > 1 else []
    return [
        tag("h3", f"{comparison.title}: {comparison.metric}"),
        tag("p", where, class_="where"),
        tag("div", *picture, table(head, rows, class_="results"), class_="beside"),
    ]


def _draw(comparison: Comparison, name: str) -> Html:
    """Draw bars with intervals, in the order of the table: references gray, untrained copies pale, runs in their colors."""
    metric = comparison.kind.metric
    lines = comparison.lines

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        scale = 100.0 if unit(metric) else 1.0
        for place, line in enumerate(lines):
            result = line.result
            color, pale = (SOFT, True) if line.run is None else (series_color(line.run), line.untrained)
            axes.barh(place, scale * result.value, height=0.68, color=PAPER, linewidth=0)  # or the grid would shine through
            axes.barh(place, scale * result.value, height=0.68, color=color, alpha=0.35 if pale else 1.0, linewidth=0)
            if result.low is not None and result.high is not None:
                axes.hlines(place, scale * result.low, scale * result.high, color=INK, linewidth=1.4)
        labels = [line.label if line.run is None else f"{line.label} {line.result.layer}" for line in lines]
        axes.set_yticks(range(len(lines)), labels=labels)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(left=min(0.0, *(scale * line.result.value for line in lines)))
        axes.set_xlabel(f"{comparison.metric} {f'({unit(metric)})' if unit(metric) else ''}")

    return draw(name, f"{comparison.title}: {comparison.metric} with 95% intervals", (5.0, 0.6 + 0.27 * len(lines)), paint)


def _named(line: Line) -> Html:
    """The label of a line, with its run's color."""
    dot = "reference" if line.run is None else f"series-{line.run % 6 + 1}"
    return join([tag("span", class_=f"dot {dot}{' pale' if line.untrained else ''}", aria_hidden="true"), line.label])


def _gain(line: Line, metric: str) -> str:
    if line.gain is None:
        return ""
    between = interval(line.gain.low, line.gain.high, metric)
    return amount(line.gain.value, metric, signed=True) + (f" ({between})" if between else "")


def _kind(result: Result) -> Kind:
    return Kind(result.measure, result.protocol, result.metric, result.corpus, result.split)


def _same_measure(gain: Result, kind: Kind) -> bool:
    """Whether a gain is one of this kind: everything but the metric is alike, and its metric names that of the kind or no other."""
    named = gain.metric.replace(GAIN, "").strip(" _-")
    return _kind(gain)._replace(metric="") == kind._replace(metric="") and (kind.metric in gain.metric or named in {"", "over_untrained"})
