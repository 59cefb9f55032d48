"""Pictures of what results carry beside their number: histograms (the ACPC paper's Figure 3), curves over K (Figure 4), maps.

What was measured of several steps of a run is drawn over them (Figure 5).
A result says by the names in its details what can be drawn of it; this file knows no measure:
`histogram` {from, to, counts}; `values` and `intervals` of `clusters` [K, …]; `points` [[x, y], …] with `labels` and `phones`,
and, where some are audio and others images, `marks` with `modalities`.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, TypeAlias

import numpy as np

from foresay.reports.canvas import DASHES, SERIES, SOFT, draw, series_color
from foresay.reports.code_phones import code_pictures
from foresay.reports.comparisons import Comparison, Line
from foresay.reports.markup import Html, join, tag
from foresay.reports.wording import PERCENT, heading

ACROSS = 4
"""Panels side by side."""
MOST_MAPS = 6
MOST_NAMED = 24
"""Phones whose names stand on a map: the most frequent."""
MARKERS = "os^vD"
MODALITY_MARKERS = {"audio": "o", "image": "^"}


def figures(measure: Sequence[Comparison], name: str) -> Html:
    """Draw all that the lines of a measure's comparisons carry."""
    learning = {c.metric: list(c.lines) for c in measure if any(line.history for line in c.lines) and not c.seen}
    histograms, curves = _carrying(measure, "histogram"), _carrying(measure, "values")
    maps = [line for lines in _carrying(measure, "points").values() for line in lines if not line.untrained][:MOST_MAPS]
    parts = []
    if learning:
        parts.append(_grid(learning, _learning, f"Over the training: {measure[0].title}", f"{name}-learning"))
    if histograms:
        parts.append(_grid(histograms, _histogram, f"Histograms: {measure[0].title}", f"{name}-histograms"))
    if curves:
        parts.append(_grid(curves, _curve, f"Over the number of clusters: {measure[0].title}", f"{name}-curves"))
    if maps:
        parts.append(tag("div", *(_map(line, f"{name}-map-{place}") for place, line in enumerate(maps)), class_="panels"))
    return join([*parts, *code_pictures(measure, name)])


def _carrying(measure: Sequence[Comparison], key: str) -> dict[str, list[Line]]:
    """The lines that carry something to draw, by their metric; a curve of one point is none."""
    found = {}
    for comparison in measure:
        lines = [line for line in comparison.lines if len(line.result.details.get(key, ())) > 1]
        if lines:
            found[comparison.metric] = lines
    return found


Look: TypeAlias = Mapping[str, Any]
Painter: TypeAlias = Callable[[Any, str, list[tuple[Line, Look]]], None]


def _grid(lines: Mapping[str, list[Line]], paint_one: Painter, description: str, name: str) -> Html:
    """Draw a panel for each metric, and one legend for all."""
    layers = dict.fromkeys(line.result.layer for some in lines.values() for line in some if line.run is not None)
    references = dict.fromkeys(line.label for some in lines.values() for line in some if line.run is None)
    dashes = {key: DASHES[place % len(DASHES)] for keys in (layers, references) for place, key in enumerate(keys)}
    down = ceil(len(lines) / ACROSS)

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        grid = figure.subplots(down, ACROSS, squeeze=False).ravel()
        for axes, (metric, some) in zip(grid, lines.items(), strict=False):
            paint_one(axes, metric, [(line, _look(line, dashes)) for line in some])
        for axes in grid[len(lines) :]:
            axes.set_axis_off()
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=ACROSS)

    return tag(
        "div",
        draw(name, description, (11.0, 2.5 * down + 0.3 + 0.1 * len(next(iter(lines.values())))), paint, class_="picture wide"),
        class_="scroll",
    )


def _look(line: Line, dashes: Mapping[str, Any]) -> Look:
    """Color by run, dashes by layer; what was not trained is thin, what is no run is gray."""
    color, dash = (SOFT, dashes[line.label]) if line.run is None else (series_color(line.run), dashes[line.result.layer])
    return {"color": color, "linestyle": dash, "linewidth": 0.8 if line.untrained else 1.5}


def _learning(axes: Any, metric: str, lines: list[tuple[Line, Look]]) -> None:  # noqa: ANN401
    """Draw what was measured of several steps over them, and everything else as level lines."""
    unit = lines[-1][0].result.unit
    scale = 100.0 if unit == PERCENT else 1.0
    for line, look in lines:
        label = f"{line.label} {line.layer}".rstrip()
        if line.history:
            steps, values = [result.step for result in line.history], [scale * result.value for result in line.history]
            axes.plot(steps, values, **look, marker=".", label=label)
            if all(result.low is not None and result.high is not None for result in line.history):
                low, high = ([scale * getattr(result, end) for result in line.history] for end in ("low", "high"))
                axes.fill_between(steps, low, high, color=look["color"], alpha=0.15, linewidth=0)
        else:
            axes.axhline(scale * line.result.value, **look, label=label)
    axes.set(title=heading(metric, unit), xlabel="updates")


def _histogram(axes: Any, metric: str, lines: list[tuple[Line, Look]]) -> None:  # noqa: ANN401
    highest = 0.0
    for line, look in lines:
        found = line.result.details["histogram"]
        counts = np.asarray(found["counts"], dtype=np.float64)
        edges = np.linspace(found["from"], found["to"], len(counts) + 1)
        density = counts / max(counts.sum(), 1.0) / np.diff(edges)
        axes.plot((edges[1:] + edges[:-1]) / 2, density, **look, label=f"{line.label} {line.layer}".rstrip())
        highest = highest if line.untrained else max(highest, density.max())
    axes.set(title=metric, ylabel="density")
    axes.set_ylim(0.0, 1.08 * highest or None)  # an untrained copy may have all its mass at one place


def _curve(axes: Any, metric: str, lines: list[tuple[Line, Look]]) -> None:  # noqa: ANN401
    unit = lines[-1][0].result.unit
    scale = 100.0 if unit == PERCENT else 1.0
    for line, look in lines:
        details = line.result.details
        clusters, values = details["clusters"], scale * np.asarray(details["values"])
        axes.plot(clusters, values, **look, marker=".", label=f"{line.label} {line.layer}".rstrip())
        if len(details.get("intervals", ())) == len(clusters):
            low, high = scale * np.asarray(details["intervals"]).T
            axes.fill_between(clusters, low, high, color=look["color"], alpha=0.15, linewidth=0)
    counts = lines[0][0].result.details["clusters"]
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, labels=[str(k) for k in counts])
    axes.minorticks_off()
    axes.set(title=heading(metric, unit), xlabel="clusters K")


def _map(line: Line, name: str) -> Html:
    details = line.result.details
    points, labels = np.asarray(details["points"], dtype=np.float64), np.asarray(details["labels"])
    phones = list(details["phones"])
    title = f"{line.label} {line.layer}".rstrip()
    modalities = list(details.get("modalities", ()))
    by_count = np.argsort(-np.bincount(labels[labels >= 0], minlength=len(phones)), kind="stable")
    order = range(len(phones)) if modalities else by_count  # other maps draw other items, in the same colors
    marks = np.asarray(details.get("marks", np.full(len(points), -1)))

    def paint(figure: Any) -> None:  # noqa: ANN401
        axes = figure.subplots()
        unknown = points[labels < 0]
        axes.scatter(unknown[:, 0], unknown[:, 1], s=5, color=SOFT, alpha=0.6, linewidth=0)
        for place, phone in enumerate(order):
            own = labels == phone
            if not own.any():
                continue
            color, marker = SERIES[place % len(SERIES)], MARKERS[place // len(SERIES) % len(MARKERS)]
            for mark in np.unique(marks[own]):
                some = points[own & (marks == mark)]
                shape = marker if mark < 0 else MODALITY_MARKERS[modalities[mark]]
                axes.scatter(some[:, 0], some[:, 1], s=5 if mark < 0 else 16, color=color, marker=shape, alpha=0.6, linewidth=0)
                if place < MOST_NAMED:
                    middle = np.median(some, axis=0)
                    axes.annotate(phones[phone], middle, ha="center", va="center", fontsize=8, fontweight="bold")
        for modality in modalities:  # of which color does not matter
            axes.scatter([], [], s=16, color=SOFT, marker=MODALITY_MARKERS[modality], linewidth=0, label=modality)
        if modalities:
            figure.legend(loc="outside lower left", ncols=len(modalities))
        axes.set(title=title, xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

    return draw(name, f"Map of {'items' if modalities else 'phones'}, {title}", (4.6, 4.2), paint)
