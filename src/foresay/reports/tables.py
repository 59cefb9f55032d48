"""The section of results: every comparison as a picture of bars and a table, the best in bold."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from foresay.reports.canvas import INK, PAPER, SOFT, dot, draw, series_color
from foresay.reports.comparisons import CONTROL, Comparison, Line
from foresay.reports.figures import figures
from foresay.reports.markup import Html, join, row, table, tag
from foresay.reports.wording import PERCENT, amount, heading, listed, spread

PALE = 0.35
"""Opacity of what was not trained."""


def results_section(comparisons: Sequence[Comparison]) -> Html:
    """What is said first of every measure in one table; then measure by measure, as bars, tables and pictures."""
    if not comparisons:
        command = "foresay evaluate RUN --corpus TEST.jsonl --train-corpus TRAIN.jsonl --measures probe:paper --layers z,c"
        first = "Nothing was measured yet. This measures how well phones can be read off the layers: "
        return tag("p", first, tag("code", command), class_="missing")
    measures = [list(group) for _, group in groupby(comparisons, key=lambda comparison: comparison.kind._replace(metric=""))]
    said_first = [comparison for measure in measures for comparison in _headlines(measure) if not comparison.seen]
    parts = [_overview(said_first)] if len(said_first) > 1 else []
    return join([*parts, *(_measure(measure, f"results-{i}") for i, measure in enumerate(measures, start=1))])


def _headlines(measure: Sequence[Comparison]) -> list[Comparison]:
    """What is said first of a measure."""
    return [comparison for comparison in measure if comparison.declared.headline]


def _overview(comparisons: Sequence[Comparison]) -> Html:
    """A row for every layer of every model, a column for what is said first of every measure."""
    text = "What is said first of every measure, with 95% intervals; the best is bold, and where intervals overlap it may be chance."
    several = len({comparison.kind.corpus for comparison in comparisons}) > 1
    ways: dict[str, set[str]] = {}
    for one in comparisons:
        ways.setdefault(one.kind.measure, set()).add(one.kind.protocol)
    titles = []
    for one in comparisons:
        where = [one.kind.protocol] * (len(ways[one.kind.measure]) > 1) + [f"on {one.kind.corpus}"] * several
        titles.append(f"{', '.join([one.title, *where])}: {_axis(one)}")
    wide = _wide(comparisons, titles)
    return join([tag("p", text, class_="caption"), wide])


def _measure(measure: Sequence[Comparison], name: str) -> Html:
    """A measure: what is said first of it at large, everything else in a table, and its pictures."""
    first = _headlines(measure)
    rest = [comparison for comparison in measure if comparison not in first]
    parts = [tag("h3", measure[0].title)]
    if measure[0].explanation:
        parts.append(tag("p", measure[0].explanation))
    parts.append(tag("p", _where(measure[0]), class_="caption"))
    for number, comparison in enumerate(first):
        drawn = not comparison.seen and len(comparison.lines) > 1
        bars = [_draw(comparison, f"{name}-{number}")] if drawn else []
        parts += [tag("h4", comparison.metric), tag("div", *bars, _table(comparison), class_="beside")]
    if rest:
        numbers = _wide(rest, [_axis(comparison) for comparison in rest])
        parts.append(tag("details", tag("summary", "More numbers"), numbers) if first else numbers)
    return tag("div", *parts, figures(measure, name))


def _wide(comparisons: Sequence[Comparison], titles: Sequence[str]) -> Html:
    """Several numbers of the same models in one table, the best of each in bold where there is a best."""
    named = {(line.run, line.label, line.layer): line for comparison in comparisons for line in comparison.lines}
    columns = [{(line.run, line.label, line.layer): line for line in comparison.lines} for comparison in comparisons]
    rows = []
    for key, line in named.items():
        cells = [_cell(column.get(key), comparison) for column, comparison in zip(columns, comparisons, strict=True)]
        rows.append(row(_named(line), line.layer, *cells))
    return table(["", "layer", *titles], rows, class_="results wide")


def _cell(line: Line | None, comparison: Comparison) -> str:
    """A value over its interval, or nothing."""
    if line is None:
        return ""
    value, between = amount(line.result.value, unit=comparison.declared.unit), spread(line.result)
    return join([tag("b", value) if line is comparison.best else value, *([tag("small", between)] if between else [])])


def _where(comparison: Comparison) -> str:
    """Protocol and corpus, and what the measure says of itself where it says the same of every line."""
    kind = comparison.kind
    details = [line.result.details for line in comparison.lines]
    alike = {key: value for key, value in details[0].items() if all(other.get(key) == value for other in details)}
    sentence = f"Protocol {kind.protocol}, on {kind.corpus} ({kind.split})"
    facts = [f"{alike[key]:,} {key}" for key in ("frames", "items", "classes") if isinstance(alike.get(key), int)]
    learnt = [one for one in details if "trained_on" in one]
    if len({one["trained_on"] for one in learnt}) == 1 and not comparison.seen:
        who = "controls " if len(learnt) < len(details) and all(one.get(CONTROL) for one in learnt) else ""
        facts.append(f"{who}learned on {learnt[0]['trained_on']}")
    unseen = alike.get("unseen_phones")
    note = f" Never learned, so never right: {listed([str(phone) for phone in unseen])}." if unseen else ""
    return f"{'; '.join([sentence, ', '.join(facts)]) if facts else sentence}.{note}"


def _table(comparison: Comparison) -> Html:
    unit, best = comparison.declared.unit, comparison.best
    gains = any(line.gain for line in comparison.lines)
    rows = []
    for line in comparison.lines:
        value = amount(line.result.value, unit=unit)
        cells = [line.layer, tag("b", value) if line is best else value, spread(line.result), *([_gain(line)] if gains else [])]
        rows.append(row(_named(line), *cells, class_="best" if line is best else None))
    head = ["", "layer", _axis(comparison), "95% interval", *(["gain over untrained"] if gains else [])]
    return table(head, rows, class_="results")


def _draw(comparison: Comparison, name: str) -> Html:
    """Draw bars with intervals, in the order of the table: references gray, untrained copies pale, runs in their colors."""
    lines = comparison.lines
    scale = 100.0 if comparison.declared.unit == PERCENT else 1.0

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        for place, line in enumerate(lines):
            result = line.result
            color, pale = (SOFT, True) if line.run is None else (series_color(line.run), line.untrained)
            axes.barh(place, scale * result.value, height=0.68, color=PAPER, linewidth=0)  # or the grid would shine through
            axes.barh(place, scale * result.value, height=0.68, color=color, alpha=PALE if pale else 1.0, linewidth=0)
            if result.low is not None and result.high is not None:
                axes.hlines(place, scale * result.low, scale * result.high, color=INK, linewidth=1.4)
        axes.set_yticks(range(len(lines)), labels=[f"{line.label} {line.layer}".rstrip() for line in lines])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(_axis(comparison))

    description = f"{comparison.title}: {comparison.metric} with 95% intervals"
    return draw(name, description, (4.2, 0.6 + 0.31 * len(lines)), paint)


def _axis(comparison: Comparison) -> str:
    """The metric and its unit."""
    return heading(comparison.metric, comparison.declared.unit)


def _named(line: Line) -> Html:
    """The label of a line, with its run's color."""
    return join([dot(line.run, pale=line.untrained), line.label])


def _gain(line: Line) -> str:
    if line.gain is None:
        return ""
    between = spread(line.gain)
    return amount(line.gain.value, unit=line.gain.unit, signed=True) + (f" ({between})" if between else "")
