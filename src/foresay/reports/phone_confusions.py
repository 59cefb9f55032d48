"""Which phones were recognized as which: a picture for each recognizer, and a table of broad classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import SMALL, SOFT, draw
from foresay.reports.error_analysis import System
from foresay.reports.markup import Html, row, table, tag
from foresay.statistics.word_errors import Confusion, confusion
from foresay.text.broad_classes import ORDER, broad_class

LEVELS = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)
"""Shares that are named beside their colors, which are as dark as the root of a share is large: rare confusions can be seen."""
LEAST = 0.005
"""Share below which a cell of the table of classes is left empty."""


def confusions(systems: Sequence[System], name: str) -> list[Html]:
    """Draw the confusions of each recognizer's phones, in the order of broad classes."""
    text = (
        "Each row is a phone that was said, as shares of what was recognized for it; the last column is what is missing, and the last "
        "row what is too many. Lines divide vowels, approximants, nasals, fricatives, affricates, stops and silence."
    )
    parts = []
    for place, system in enumerate(systems):
        found = by_class(confusion([(pair.reference.split(), pair.hypothesis.split()) for pair in system.kept.pairs]))
        if found.said:
            caption = tag("figcaption", tag("strong", system.name))
            picture = tag("figure", _picture(found, f"{name}-confusion-{place}", system.name), caption)
            parts.append(tag("div", picture, _classes(found), class_="panels"))
    return [tag("h4", "Confusions of phones"), tag("p", text, class_="caption"), *parts] if parts else []


def by_class(found: Confusion) -> Confusion:
    """Put phones in the order of their broad classes; both sides have all phones of either."""
    phones = sorted({*found.said, *found.written}, key=lambda phone: (ORDER.index(broad_class(phone)), phone))
    counts = np.zeros((len(phones) + 1, len(phones) + 1), dtype=np.int64)
    rows = [*(phones.index(phone) for phone in found.said), -1]
    columns = [*(phones.index(phone) for phone in found.written), -1]
    counts[np.ix_(rows, columns)] = found.counts
    return Confusion(tuple(phones), tuple(phones), counts)


def folded(found: Confusion) -> tuple[list[str], NDArray[np.int64]]:
    """Sum the counts of phones over broad classes: the C classes that there are, and their counts (C + 1, C + 1)."""
    classes = [name for name in ORDER if name in map(broad_class, found.said)]
    places = np.array([*(classes.index(broad_class(phone)) for phone in found.said), len(classes)])
    counts = np.zeros((len(classes) + 1, len(classes) + 1), dtype=np.int64)
    np.add.at(counts, (places[:, None], places[None]), found.counts)
    return classes, counts


def shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide the rows of (R, H) counts by their sums; what was never said is 0."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _picture(found: Confusion, name: str, title: str) -> Html:
    classes = [broad_class(phone) for phone in found.said]
    edges = [place - 0.5 for place in range(1, len(classes)) if classes[place] != classes[place - 1]] + [len(classes) - 0.5]

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        image = axes.imshow(np.sqrt(shares(found.counts)), cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
        size = min(SMALL, 300 / len(classes))
        axes.set_xticks(range(len(classes) + 1), labels=[*found.written, "missing"], rotation=90, fontsize=size)
        axes.set_yticks(range(len(classes) + 1), labels=[*found.said, "too many"], fontsize=size)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for edge in edges:
            axes.axhline(edge, color=SOFT, linewidth=0.5)
            axes.axvline(edge, color=SOFT, linewidth=0.5)
        axes.set(xlabel="recognized", ylabel="said")
        figure.colorbar(image, ax=axes, shrink=0.6, label="share").set_ticks(np.sqrt(LEVELS), labels=[f"{level:g}" for level in LEVELS])

    return draw(name, f"Confusions of phones, {title}", (6.4, 5.8), paint)


def _classes(found: Confusion) -> Html:
    names, counts = folded(found)
    rows = [
        row(name, *(f"{100 * share:.0f}%" if share >= LEAST else "" for share in line))
        for name, line in zip(names, shares(counts), strict=False)
    ]
    return table(["said", *names, "missing"], rows)
