"""Pictures of what results carry beside their number: histograms (the paper's Figure 3), curves over K (Figure 4), maps.

A result says by the names in its details what can be drawn of it; this file knows no measure:
`histogram` {from, to, counts}; `clusters` [K, …] with `values` and `intervals`; `points` [[x, y], …] with `labels` and `phones`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foresay.reports.canvas import DASHES, SERIES, SOFT, draw, series_color
from foresay.reports.comparisons import Comparison, Line
from foresay.reports.markup import Html, join, tag
from foresay.reports.wording import unit

MOST_MAPS = 6
MOST_NAMED = 24
"""Phones whose names stand on a map: the most frequent."""
MARKERS = "os^vD"


def figures(comparison: Comparison, name: str) -> Html:
    """Draw all that the lines of a comparison carry."""
    histograms = [line for line in comparison.lines if "histogram" in line.result.details]
    curves = [line for line in comparison.lines if len(line.result.details.get("clusters", ())) > 1]
    maps = [line for line in comparison.lines if "points" in line.result.details and not line.untrained][:MOST_MAPS]
    parts = []
    if histograms:
        parts.append(_histograms(comparison, histograms, f"{name}-histogram"))
    if curves:
        parts.append(_curves(comparison, curves, f"{name}-curve"))
    parts += [_map(line, f"{name}-map-{place}") for place, line in enumerate(maps)]
    return tag("div", *parts, class_="panels") if parts else join([])


def _look(line: Line, place: int) -> dict[str, Any]:
    """Color by run, dashes by layer; what was not trained is thin, what is no run is gray."""
    color = SOFT if line.run is None else series_color(line.run)
    return {"color": color, "linestyle": DASHES[place % len(DASHES)], "linewidth": 0.8 if line.untrained else 1.5}


def _dashes(lines: Sequence[Line]) -> dict[str, int]:
    return {layer: place for place, layer in enumerate(dict.fromkeys(line.result.layer for line in lines if line.run is not None))}


def _histograms(comparison: Comparison, lines: Sequence[Line], name: str) -> Html:
    dashes = _dashes(lines)

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        for place, line in enumerate(lines):
            found = line.result.details["histogram"]
            counts = np.asarray(found["counts"], dtype=np.float64)
            edges = np.linspace(found["from"], found["to"], len(counts) + 1)
            density = counts / max(counts.sum(), 1.0) / np.diff(edges)
            look = _look(line, dashes.get(line.result.layer, place))
            axes.plot((edges[1:] + edges[:-1]) / 2, density, **look, label=f"{line.label} {line.layer}".rstrip())
        axes.set(title=f"{comparison.metric}", xlabel=comparison.metric, ylabel="density")
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")

    return draw(name, f"Histogram: {comparison.metric}", (4.8, 3.0), paint)


def _curves(comparison: Comparison, lines: Sequence[Line], name: str) -> Html:
    dashes = _dashes(lines)
    scale = 100.0 if unit(comparison.kind.metric) else 1.0

    def paint(figure: Any) -> None:  # noqa: ANN401
        axes = figure.subplots()
        for place, line in enumerate(lines):
            details, look = line.result.details, _look(line, dashes.get(line.result.layer, place))
            clusters, values = details["clusters"], scale * np.asarray(details["values"])
            axes.plot(clusters, values, **look, marker=".", label=f"{line.label} {line.layer}".rstrip())
            if len(details.get("intervals", ())) == len(clusters):
                low, high = scale * np.asarray(details["intervals"]).T
                axes.fill_between(clusters, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(lines[0].result.details["clusters"], labels=[str(k) for k in lines[0].result.details["clusters"]])
        axes.minorticks_off()
        axes.set(title=comparison.metric, xlabel="clusters K", ylabel=comparison.metric + (" (%)" if scale > 1 else ""))
        axes.legend(loc="best")

    return draw(name, f"{comparison.metric} over the number of clusters", (4.8, 3.2), paint)


def _map(line: Line, name: str) -> Html:
    details = line.result.details
    points, labels = np.asarray(details["points"], dtype=np.float64), np.asarray(details["labels"])
    phones = list(details["phones"])
    by_count = np.argsort(-np.bincount(labels[labels >= 0], minlength=len(phones)), kind="stable")
    title = f"{line.label} {line.layer}".rstrip()

    def paint(figure: Any) -> None:  # noqa: ANN401
        axes = figure.subplots()
        for place, phone in enumerate(by_count):
            own = points[labels == phone]
            if not len(own):
                continue
            color, marker = SERIES[place % len(SERIES)], MARKERS[place // len(SERIES) % len(MARKERS)]
            axes.scatter(own[:, 0], own[:, 1], s=5, color=color, marker=marker, alpha=0.6, linewidth=0)
            if place < MOST_NAMED:
                axes.annotate(phones[phone], np.median(own, axis=0), ha="center", va="center", fontsize=8, fontweight="bold")
        axes.set(title=title, xticks=[], yticks=[])
        axes.grid(visible=False)

    return draw(name, f"Map of phones, {title}", (4.6, 4.2), paint)
